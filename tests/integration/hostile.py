"""Requests of a peer that means harm, or nothing at all: valid ones of every kind, and what may become of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import orjson
from hypothesis import strategies as st

from lorchestra.storacle.codec import Message
from lorchestra.storacle.error_codes import ErrorCode

VALUE = "canary-value-e802"
GUARDED = {"dataset": "guard", "table": "kept"}
"""A table that no request speaks of, except those that mean harm."""
PHYSICAL = "guard__kept__1"

META = {"run_id": "r", "namespace": "prod", "job_id": "j", "step_id": "s"}
SMOKE = {**META, "namespace": "smoke_a", "read_namespace": "prod"}
RUN = {"dataset": "raw", "table": "raw_objects", "key_columns": ["idem_key"]}
_LOOSE = {"dataset": "lab", "table": "samples", "key_columns": ["k"]}
_ROW = {"idem_key": "k1", "source_system": VALUE, "payload": {"a": [{"b": VALUE}]}, "last_seen": "2026-03-01T06:00:00Z"}
_QUERY = "SELECT idem_key, JSON_VALUE(payload, '$.a') AS a FROM raw.raw_objects"
_SOURCE = {"dataset": "raw", "table": "raw_objects", "columns": ["idem_key", "source_system"]}

OPS: dict[str, tuple[str, dict[str, Any]]] = {
    "upsert": ("table.upsert", {**RUN, "rows": [_ROW]}),
    "upsert undeclared": ("table.upsert", {**_LOOSE, "rows": [{"k": 1, "v": VALUE}, {"k": "x", "v": [1.5]}]}),
    "old name": ("bq.upsert", {**RUN, "rows": [_ROW, {"idem_key": "k2"}]}),
    "markers": (
        "table.upsert",
        {
            "dataset": "storacle",
            "table": "_processed",
            "key_columns": ["stage", "idem_key"],
            "rows": [{"stage": "s", "idem_key": "k1", "content_hash": VALUE, "code_hash": "1", "result": "ok"}],
        },
    ),
    "typed": (
        "table.insert",
        {
            "dataset": "derived",
            "table": "observations",
            "key_columns": ["idem_key"],
            "rows": [{"idem_key": "o", "value": 1.5, "label": VALUE, "timestamp": "2026-03-01T06:00:00+02:00"}],
        },
    ),
    "append": ("wal.append", {**_LOOSE, "rows": [{"k": "w", "v": {"a": VALUE}}]}),
    "event": (
        "event.append",
        {"dataset": "events", "table": "event_log", "key_columns": ["idem_key"], "rows": [{"idem_key": "e"}]},
    ),
    "delete": ("table.delete", {**RUN, "rows": [{"idem_key": "k0"}]}),
    "delete undeclared": ("table.delete", {**_LOOSE, "rows": [{"k": 1}]}),
    "state": ("state.put", {"key": "cursor", "value": {"a": VALUE}, "expected": None}),
    "furthest": ("state.put", {"key": "furthest", "value": 7, "never_back": True}),
    "rows": ("assert.rows", {"dataset": "lab", "table": "samples", "where": {"v": {"ne": VALUE}}, "min": 0}),
    "exists": ("assert.exists", {"dataset": "raw", "table": "raw_objects", "where": {"payload.a[0].b": VALUE}}),
    "unique": ("assert.unique", {"dataset": "raw", "table": "raw_objects", "columns": ["idem_key"], "where": None}),
    "view": ("view.create", {"dataset": "derived", "table": "seen", "sql": _QUERY}),
    "query": ("sql.execute", {"sql": f"CREATE OR REPLACE TABLE derived.made AS {_QUERY}"}),
    "file": ("file.write", {"root": "files", "path": "notes/a.md", "content": VALUE}),
    "files": ("file.write", {"folder": "pages", "list": "pages", "files": [{"path": "a.md", "content": VALUE}]}),
    "prune": ("file.prune", {"root": "files", "folder": "pages", "list": "pages", "keep": ["a.md"]}),
    "copy": (
        "sqlite.sync",
        {
            "path": "a.db",
            "table": "t",
            "key_columns": ["idem_key"],
            "source": _SOURCE,
            "projected_at": _ROW["last_seen"],
        },
    ),
    "copy undeclared": (
        "sqlite.sync",
        {
            "path": "a.db",
            "table": "u",
            "key_columns": ["k"],
            "columns": [{"name": "k", "type": "STRING"}],
            "source": {"dataset": "lab", "table": "texts", "where": {"k": {"in": ["a", "b"]}}, "order_by": ["-k"]},
        },
    ),
}
READS: dict[str, dict[str, Any]] = {
    "all": {"dataset": "raw", "table": "raw_objects"},
    "fields": {
        **_SOURCE,
        "columns": ["idem_key", "payload.a[0].b", 'payload."a b"', "_content_hash"],
        "where": {
            "idem_key": {"in": ["k0", "k1", VALUE], "ne": VALUE},
            "payload.n": {"gte": 1, "lt": 5},
            "last_seen": {"lte": "2027-01-01T00:00:00Z"},
            "correlation_id": {"is_null": False},
        },
        "order_by": ["-payload.n", "last_seen"],
        "limit": 5,
    },
    "unprocessed": {"dataset": "raw", "table": "raw_objects", "unprocessed": {"stage": "s", "code_hash": "1"}},
    "undeclared": {"dataset": "lab", "table": "texts", "where": {"v.a": 1, "k": "a"}, "order_by": ["-v", "k"]},
    "view": {"dataset": "derived", "table": "known", "order_by": ["-a"], "where": {"a": None}},
    "own": {
        "dataset": "storacle",
        "table": "_ledger",
        "columns": ["key", "counts.inserted"],
        "order_by": ["applied_at"],
    },
    "absent": {"dataset": "lab", "table": "absent", "columns": ["a"], "where": {"b": True}},
}


def op(name: str, op_id: str = "a", **changes: Any) -> dict[str, Any]:
    method, params = OPS[name]
    return {"op_id": op_id, "method": method, "params": {**params, **changes}, "idempotency_key": f"key of {op_id}"}


def call(method: str, params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}


def plan(*ops: dict[str, Any], meta: Any = None) -> dict[str, Any]:
    body = {"kind": "storacle.plan", "version": "1.0", "correlation_id": "r", "ops": list(ops)}
    return call("storacle.execute_plan", {"plan": body, "meta": META if meta is None else meta})


def read(asked: Any, after: Any = None, meta: Any = None) -> dict[str, Any]:
    params = {"read": asked, "after": after, "limit": 3, "meta": META if meta is None else meta}
    return call("storacle.query", params)


def requests() -> dict[str, dict[str, Any]]:
    """One that is valid, of each kind there is."""
    group = [{**op(name, name), "group": "g"} for name in ("upsert", "markers", "exists", "state")]
    return {
        **{f"op: {name}": plan(op(name)) for name in OPS},
        **{f"smoke: {name}": plan(op(name), meta=SMOKE) for name in OPS},
        **{f"read: {name}": read(asked) for name, asked in READS.items()},
        "read all": {**read(READS["all"]), "params": {"read": READS["all"], "limit": 2**63 - 1, "meta": META}},
        "read on": read({"dataset": "raw", "table": "raw_objects", "order_by": ["-source_system"]}, [True, "x", "k0"]),
        "view on": read({"dataset": "derived", "table": "known"}, [True, "k0", False, 0, 1]),
        "texts on": read({"dataset": "lab", "table": "texts"}, ["0261000000"]),
        "group": plan(*group),
        "open": call("run.open", {"meta": {**META, "attempt_n": 1}}),
        "objects": call("namespace.objects", {"namespace": "smoke_a"}),
        "clean": call("namespace.clean", {"namespace": "smoke_a"}),
    }


def seed() -> dict[str, Any]:
    """What is there before: rows that requests speak of, and those that none of them does."""
    ops = [
        {**op("append", "guard"), "params": {**GUARDED, "key_columns": ["k"], "rows": [{"k": "g", "v": VALUE}]}},
        op("upsert", "raw", rows=[{"idem_key": f"k{n}", "payload": {"n": n, "a b": None}} for n in range(5)]),
        op("upsert undeclared", "texts", table="texts", rows=[{"k": k, "v": {"a": 1}} for k in "abcde"]),
        op("view", "view", table="known"),
    ]
    return plan(*ops)


# What means harm

INJECTIONS = (
    f'x"; DROP TABLE "{PHYSICAL}"; --',
    f"x'; DROP TABLE {PHYSICAL}; --",
    f"x); DELETE FROM {PHYSICAL}; --",
    f'"{PHYSICAL}"',
    f"{PHYSICAL} UNION SELECT 1",
    "../../guard",
    "a/../../b",
    "x`; DROP TABLE guard.kept; --",
    "$.a') OR 1=1 --",
    '$."a"',
    "sqlite_master",
    "_ledger",
    "main.sqlite_master",
    "storacle",
    "rowid",
)
_TEXTS = (
    "k\x00",
    "",
    VALUE,
    "x" * 300,
    "a.b[0]",
    'a."b c"',
    "-k",
    "é",
    "\n",
    "\ud800",
    "2026-13-45",
    "0001-01-01T00:00:00+23:59",
)
_NUMBERS = (
    0,
    -1,
    1,
    7,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63),
    2**64 - 1,
    2**70,
    1e308,
    -0.0,
    float("nan"),
    float("inf"),
)
_MOST_DEPTH = 12


def named(text: str) -> list[dict[str, Any]]:
    """Requests with the text wherever a name stands, none of which may change a thing."""
    rows = {**OPS["upsert undeclared"][1], "rows": [{"k": 1}]}
    ops = [
        ("table.upsert", {**rows, "dataset": text}),
        ("table.upsert", {**rows, "table": text}),
        ("table.upsert", {**rows, "key_columns": [text]}),
        ("table.upsert", {**rows, "rows": [{"k": 1, text: 1}]}),
        ("table.upsert", {**OPS["upsert"][1], "rows": [{"idem_key": "n", text: 1}]}),
        ("table.delete", {**RUN, "rows": [{text: "k1"}]}),
        ("assert.exists", {"dataset": "raw", "table": "raw_objects", "where": {text: 1}}),
        ("assert.unique", {"dataset": "raw", "table": "raw_objects", "columns": [text]}),
        ("assert.exists", {"dataset": text, "table": text, "where": {"a": 1}}),
        ("view.create", {"dataset": "derived", "table": text, "sql": "SELECT 1 AS a"}),
        ("view.create", {"dataset": text, "table": "v", "sql": "SELECT 1 AS a"}),
        ("view.create", {"dataset": "derived", "table": "v", "sql": text}),
        ("sql.execute", {"sql": f"CREATE OR REPLACE TABLE derived.t AS SELECT * FROM {text}"}),
        ("sqlite.sync", {**OPS["copy"][1], "table": text, "columns": [{"name": text, "type": "STRING"}]}),
        ("sqlite.sync", {**OPS["copy"][1], "source": {**_SOURCE, "order_by": [text]}}),
        (text, {}),
    ]
    reads = [{**READS["all"], name: value} for name, value in (("dataset", text), ("table", text))]
    reads += [{**READS["all"], name: [text]} for name in ("columns", "order_by")]
    reads += [{**READS["all"], "where": {text: 1}}]
    namespaces = [call(method, {"namespace": text}) for method in ("namespace.objects", "namespace.clean")]
    return [
        *(plan({"op_id": "a", "method": method, "params": params, "idempotency_key": "n"}) for method, params in ops),
        *map(read, reads),
        *namespaces,
        plan(op("upsert"), meta={**META, "namespace": text}),
    ]


def valued(text: str) -> list[dict[str, Any]]:
    """Requests with the text wherever a value stands."""
    return [
        plan(op("upsert undeclared", rows=[{"k": text, "v": {text: text}}])),
        plan({**op("upsert", rows=[{"idem_key": text, "payload": {text: text}}]), "idempotency_key": text}),
        plan(op("state", "b", key=text, value=text)),
    ]


def _deep(levels: int) -> Any:
    """Lists in lists, as many as some encoders of JSON refuse."""
    value: list[Any] = []
    for _ in range(levels):
        value = [value]
    return value


scalars: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.sampled_from(_NUMBERS) | st.sampled_from(_TEXTS) | st.sampled_from(INJECTIONS)
)
names = st.sampled_from(
    [
        "k",
        "idem_key",
        "where",
        "rows",
        "in",
        "eq",
        "x y",
        'a"b',
        "payload.a",
        "_op",
        "row",
        "_content_hash",
        "",
        "limit",
    ]
)
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.sampled_from(INJECTIONS), inner, max_size=3),
    max_leaves=6,
) | st.builds(_deep, st.just(300))


_SHAPES: tuple[Any, ...] = (
    [],
    {},
    [None],
    [[1]],
    {"k": 1},
    {"in": [2**70]},
    {"eq": float("nan")},
    {"gt": 2**64 - 1},
    {"is_null": 1},
    ["a", "a"],
    [{"k": 2**70}],
    [{"idem_key": "\ud800"}],
    {"\ud800": 1},
    {"": 1},
    [0] * 40,
    _deep(300),
)


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if len(at) >= _MOST_DEPTH:
        return
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in entries:
        yield from _places(inner, (*at, key))


def _at(value: Any, place: Sequence[Any]) -> Any:
    for key in place:
        value = value[key]
    return value


def _like(value: Any) -> st.SearchStrategy[Any]:
    """Of the same type, so that it is not refused for that alone."""
    if isinstance(value, str):
        return st.sampled_from(_TEXTS) | st.sampled_from(INJECTIONS)
    if isinstance(value, (int, float)):
        return st.sampled_from(_NUMBERS)
    if isinstance(value, list):
        return st.lists(scalars, max_size=4)
    return st.dictionaries(names, values, max_size=3) if isinstance(value, dict) else scalars


_CHANGES = ("vary", "vary", "vary", "replace", "replace", "remove", "rename", "add", "wrap")


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A valid request, of which a few places are something else; seldom those that every request has."""
    request = copy.deepcopy(draw(st.sampled_from(list(requests().values()))))
    for _ in range(draw(st.integers(1, 2))):
        places = [place for place in _places(request) if place]
        inner = [place for place in places if len(place) > 2 and place[:2] != ("params", "meta")]
        *above, last = draw(st.sampled_from(inner or places) | st.sampled_from(places))
        parent = _at(request, above)
        match draw(st.sampled_from(_CHANGES)):
            case "vary":
                parent[last] = draw(_like(parent[last]))
            case "replace":
                parent[last] = draw(values)
            case "remove":
                del parent[last]
            case "rename" if isinstance(parent, dict):
                parent[draw(names | st.sampled_from(INJECTIONS))] = parent.pop(last)
            case "add" if isinstance(parent, dict):
                parent[draw(names | st.sampled_from(INJECTIONS))] = draw(values)
            case _:
                parent[last] = [parent[last], draw(values)]
        if not request:
            return request
    return request


Variation: TypeAlias = tuple[str, tuple[Any, ...], int]
"""A valid request, a place in it, and which value stands there instead."""

_VALUES: tuple[Any, ...] = (None, True, *_NUMBERS, *_TEXTS, *INJECTIONS, *_SHAPES)


def variations() -> list[Variation]:
    return [
        (name, place, number)
        for name, request in requests().items()
        for place in _places(request)
        if place
        for number in range(len(_VALUES))
    ]


def varied(variation: Variation) -> Any:
    name, place, number = variation
    request = copy.deepcopy(requests()[name])
    _at(request, place[:-1])[place[-1]] = copy.deepcopy(_VALUES[number])
    return _named(request, number)


def _named(request: Any, number: int) -> Any:
    """With a key of its own, where it still has one: what has been applied already is not even looked at."""
    match request:
        case {"params": {"plan": {"ops": [{"idempotency_key": str(key)} as first, *_]}}}:
            first["idempotency_key"] = f"{key} {number}"
    return request


anything = mutated() | mutated() | mutated() | values | st.lists(mutated(), min_size=1, max_size=3)


# What must hold of the answers


def expect_answer(answer: Message | None) -> None:
    """It is one of the protocol, blames nobody but the request, and shows nothing of its values."""
    if answer is None:
        return
    for one in answer if isinstance(answer, list) else [answer]:
        assert set(one) == {"jsonrpc", "id", "result"} or set(one) == {"jsonrpc", "id", "error"}
        assert one["jsonrpc"] == "2.0"
        # An id comes back as it was sent, and whoever shares the process may send any text.
        orjson.dumps({name: value for name, value in one.items() if name != "id"})
        if "error" in one:
            _expect_error(one["error"], {"code", "message", "data"})
            assert one["error"]["message"] == ErrorCode(one["error"]["code"]).name.lower()
        else:
            refused = one["result"].get("refused")
            if refused:
                # The ids that were sent say which op it was.
                _expect_error({key: refused[key] for key in refused if key not in ("op_id", "method")}, None)


def _expect_error(error: dict[str, Any], allowed: set[str] | None) -> None:
    assert set(error) <= (allowed or {"code", "pointer", "retry_after"})
    assert ErrorCode(error["code"]) is not ErrorCode.INTERNAL
    text = orjson.dumps(error).decode()
    assert VALUE not in text
    assert "Traceback" not in text
