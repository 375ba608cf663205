"""What `plan.build` is asked for: the method, where the rows go, how they are shaped and batched."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from lorchestra.errors import PlanError, Problem, did_you_mean
from lorchestra.json_value import JSONObject, empty, freeze

APPEND_METHODS = frozenset({"wal.append", "table.insert", "event.append"})
ROW_METHODS = APPEND_METHODS | {"table.upsert", "table.delete"}
SINGLE_METHODS = frozenset(
    {
        "sql.execute",
        "view.create",
        "state.put",
        "assert.rows",
        "assert.unique",
        "assert.exists",
        "file.write",
        "file.prune",
        "sqlite.sync",
        "sheets.write_table",
    }
)
METHODS = ROW_METHODS | SINGLE_METHODS
ALIASES: Mapping[str, str] = {"bq.upsert": "table.upsert", "bq.execute": "sql.execute"}

DEFAULT_METHOD = "wal.append"
DEFAULT_BATCH_ROWS = 1_000
DEFAULT_BATCH_BYTES = 4 * 1024 * 1024
ATOMIC_ROWS_MAX = 100_000
ATOMIC_BYTES_MAX = 64 * 1024 * 1024

EVENT_DATASET = "events"
EVENT_TABLE = "event_log"
# What these append goes to the event log unless the spec says otherwise.
_LOG_METHODS = frozenset({"event.append", "wal.append"})
_DEFAULT_APPEND_KEY = ("idem_key",)

_KEY_COLUMNS_RULE = "'key_columns' lists the columns that tell rows apart"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSpec:
    """A valid spec: constructing one with mistakes raises PlanError with all of them.

    `atomic` makes the whole plan one group, applied together or not at all. A group is held in memory whole, here and
    by storacle, so it has an end (`atomic_rows_max`, `atomic_bytes_max`), and what goes beyond it is an error.
    """

    method: str = DEFAULT_METHOD
    dataset: str | None = None
    table: str | None = None
    key_columns: tuple[str, ...] | None = None
    fields: tuple[str, ...] | None = None
    field_map: Mapping[str, str] = field(default_factory=empty)
    field_defaults: JSONObject = field(default_factory=empty)
    batch_rows: int = DEFAULT_BATCH_ROWS
    batch_bytes: int = DEFAULT_BATCH_BYTES
    atomic: bool = False
    atomic_rows_max: int = ATOMIC_ROWS_MAX
    atomic_bytes_max: int = ATOMIC_BYTES_MAX
    is_authored: bool = True
    """Whether all of it stands in a definition. What came from elsewhere is a value, which no message quotes."""

    def __post_init__(self) -> None:
        for name in ("key_columns", "fields", "field_map", "field_defaults"):
            object.__setattr__(self, name, freeze(getattr(self, name)))
        object.__setattr__(self, "method", ALIASES.get(self.method, self.method))
        problems = tuple(self._problems())
        if problems:
            raise PlanError(*problems)

    @classmethod
    def from_params(cls, params: Mapping[str, Any], *, is_authored: bool = True) -> PlanSpec:
        """The spec in the params of a step, beside `items`. All mistakes are raised together, each with its path."""
        problems = [_unknown_param(name) for name in params if name not in _PARAMS and name != "items"]
        values: dict[str, Any] = {}
        for name, (attribute, accepts, expected) in _PARAMS.items():
            if name not in params:
                continue
            if accepts(params[name]):
                values[attribute] = params[name]
            else:
                problems.append(Problem(found=f"'{name}' is {_kind(params[name])}", expected=expected, path=(name,)))
        try:
            spec = cls(**values, is_authored=is_authored)
        except PlanError as error:
            # What is missing only because it, or the method, was of the wrong type is reported as that alone.
            reported = {problem.path for problem in problems}
            if ("method",) in reported:
                reported |= {("dataset",), ("table",), ("key_columns",), ("fields",)}
            problems += [problem for problem in error.problems if problem.path[:1] not in reported]
        if problems:
            raise PlanError(*problems)
        return spec

    def target(self, method: str) -> tuple[str | None, str | None]:
        """The dataset and table that rows of a method go to. Events have a table of their own."""
        own = method == self.method or method != "event.append"
        dataset, table = (self.dataset, self.table) if own else (None, None)
        if method in _LOG_METHODS:
            return dataset or EVENT_DATASET, table or EVENT_TABLE
        return dataset, table

    def keys_of(self, method: str) -> tuple[str, ...] | None:
        """The columns that tell rows of a method apart; None when the spec leaves them open and must not."""
        if self.key_columns is not None and (method == self.method or method != "event.append"):
            return self.key_columns
        return _DEFAULT_APPEND_KEY if method in APPEND_METHODS else None

    def quoted(self, value: object) -> str:
        """The value as a message may say it."""
        return f"'{value}'" if self.is_authored else "(its name is a value)"

    def _problems(self) -> Iterator[Problem]:
        if self.method not in METHODS:
            yield Problem(
                found="'method' names no method of a plan",
                expected=f"one of {', '.join(sorted(METHODS))}",
                hint=did_you_mean(self.method, METHODS | ALIASES.keys()),
                path=("method",),
            )
        elif self.method in ROW_METHODS:
            yield from self._row_problems()
        for name, value, most in (
            ("batch_size", self.batch_rows, ATOMIC_ROWS_MAX),
            ("batch_bytes", self.batch_bytes, ATOMIC_BYTES_MAX),
        ):
            if not 1 <= value <= most:
                found = f"'{name}' is {value}" if self.is_authored else f"'{name}' is out of range"
                yield Problem(found=found, expected=f"a number from 1 to {most}", path=(name,))
        for name, columns in (("key_columns", self.key_columns), ("fields", self.fields)):
            if columns is not None and (not columns or len(set(columns)) < len(columns)):
                yield Problem(found=f"'{name}' is empty or repeats a name", expected="distinct names", path=(name,))

    def _row_problems(self) -> Iterator[Problem]:
        for name, value in zip(("dataset", "table"), self.target(self.method), strict=True):
            if not value:
                yield Problem(
                    found=f"'{name}' is missing", expected=f"{self.method} writes rows, so it needs one", path=(name,)
                )
        keys = self.keys_of(self.method)
        if keys is None:
            yield Problem(
                found="'key_columns' is missing",
                expected=f"{self.method} finds rows by their key: {_KEY_COLUMNS_RULE}",
                path=("key_columns",),
            )
        elif self.fields is not None:
            for column in keys:
                if column not in self.fields:
                    yield Problem(
                        found=f"'fields' leaves out the key column {self.quoted(column)}",
                        expected="'fields' holds every key column",
                        path=("fields",),
                    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _are_names(value: object) -> bool:
    return isinstance(value, (list, tuple)) and all(_is_text(name) for name in value)


def _is_renaming(value: object) -> bool:
    return isinstance(value, Mapping) and all(_is_text(text) for pair in value.items() for text in pair)


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


_Param: TypeAlias = tuple[str, Callable[[object], bool], str]

# The name in the definition: the attribute, what it accepts, and that in words.
_PARAMS: Mapping[str, _Param] = {
    "method": ("method", _is_text, "the name of a method"),
    "dataset": ("dataset", _is_text, "the name of a dataset"),
    "table": ("table", _is_text, "the name of a table"),
    "key_columns": ("key_columns", _are_names, "a list of column names"),
    "fields": ("fields", _are_names, "a list of field names"),
    "field_map": ("field_map", _is_renaming, "a mapping from new to old field names"),
    "field_defaults": ("field_defaults", _is_object, "a mapping from field names to values"),
    "batch_size": ("batch_rows", _is_count, "a number of rows"),
    "batch_bytes": ("batch_bytes", _is_count, "a number of bytes"),
    "atomic": ("atomic", _is_flag, "true or false"),
}

# A param may come from a payload, so a message tells its kind and never its value.
_KINDS: Mapping[type, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number with a fraction",
    str: "a text",
    list: "a list with other things",
    tuple: "a list with other things",
    dict: "a mapping with other things",
    type(empty()): "a mapping with other things",
}


def _kind(value: object) -> str:
    return "an empty text" if value == "" else _KINDS.get(type(value), "something else")


def _unknown_param(name: str) -> Problem:
    known: Collection[str] = (*_PARAMS, "items")
    return Problem(
        found=f"unknown param '{name}'",
        expected=f"known: {', '.join(known)}",
        hint=did_you_mean(name, known),
        path=(name,),
    )
