"""What a step asks of `injest`, as a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lorchestra.callable.injest import times
from lorchestra.callable.injest.times import When
from lorchestra.errors import DefinitionError, Problem, did_you_mean

_RANGE = ("since", "until", "limit")
_PARAMS = ("connection", "stream", "range", *_RANGE, "auto_since", "source_system", "object_type")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """`source_system` and `object_type` are what the job takes the connection's objects for."""

    connection: str
    stream: str
    since: When | None = None
    until: When | None = None
    limit: int | None = None
    auto_since: bool = True
    source_system: str | None = None
    object_type: str | None = None

    @property
    def cursor_key(self) -> str:
        return f"injest:{self.connection}:{self.stream}"


def parse(params: Mapping[str, Any]) -> Asked:
    """Raises DefinitionError with every mistake. Values are not quoted: they may come from a payload."""
    problems = [
        Problem(
            found=f"injest knows no param '{name}'",
            expected=f"known: {', '.join(_PARAMS)}",
            hint=did_you_mean(name, _PARAMS),
            path=(name,),
        )
        for name in params
        if name not in _PARAMS
    ]
    bounds, more = _bounds(params)
    problems += more
    connection, stream = params.get("connection"), params.get("stream")
    for name, value in (("connection", connection), ("stream", stream)):
        if not isinstance(value, str) or not value:
            expected = "expected the name of a connection" if name == "connection" else "expected such as 'messages'"
            problems.append(_problem(name, value, expected))
    since, until = (_when(bounds, name, problems) for name in ("since", "until"))
    limit = bounds.get("limit")
    if limit is not None and (type(limit) is not int or limit < 1):
        problems.append(_problem("limit", limit, "expected a whole number, 1 at least"))
    auto_since = params.get("auto_since", True)
    if type(auto_since) is not bool:
        problems.append(_problem("auto_since", auto_since, "expected true or false"))
    for name in ("source_system", "object_type"):
        if not isinstance(params.get(name), str | None):
            problems.append(_problem(name, params[name], "expected text"))
    if problems:
        raise DefinitionError(*problems)
    return Asked(
        connection=str(connection),
        # A stream may be written with its connector before it.
        stream=str(stream).rpartition(".")[2],
        since=since,
        until=until,
        limit=limit,
        auto_since=auto_since,
        source_system=params.get("source_system"),
        object_type=params.get("object_type"),
    )


def _bounds(params: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Problem]]:
    """`since`, `until` and `limit`, which stand among the params or together in `range`."""
    bounds = {name: params[name] for name in _RANGE if params.get(name) is not None}
    together = params.get("range")
    if together is None:
        return bounds, []
    if not isinstance(together, Mapping):
        return bounds, [_problem("range", together, f"expected a mapping with some of {', '.join(_RANGE)}")]
    # Other keys are not looked at: a payload may say things to other jobs as well.
    problems = [
        Problem(found=f"'{name}' stands in the params and in 'range'", expected="expected it once", path=(name,))
        for name in bounds
        if together.get(name) is not None
    ]
    return {**together, **bounds}, problems


def _when(bounds: Mapping[str, Any], name: str, problems: list[Problem]) -> When | None:
    value = bounds.get(name)
    if value is None:
        return None
    try:
        return times.parse(value)
    except ValueError:
        problems.append(_problem(name, value, times.EXPECTED))
        return None


def _problem(name: str, value: object, expected: str) -> Problem:
    found = f"'{name}' is missing" if value is None else f"'{name}' is something else"
    return Problem(found=found, expected=expected, path=(name,))
