"""What a storacle client promises, over every transport and backing there is."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.errors import PermanentError, TransientError
from lorchestra.items import Checkpoint, Item, Marker, MarkerResult, Record, Rejected
from lorchestra.plan_builder import PlanKeys, PlanSpec, plan_ops
from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import OpResult, OpStatus, PlanRefused, RpcClient, RpcMeta, StoracleClient, codec, submit_plan
from lorchestra.storacle.backends.sqlite import SqliteBackend
from lorchestra.storacle.codec import Message
from lorchestra.storacle.counting import CountingService
from lorchestra.storacle.data_service import DataService
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.journal import JournalService
from lorchestra.storacle.transports import InProcessTransport, RecordingTransport, Service, Transport
from lorchestra.storacle.transports.http import HttpTransport
from tests.standins.storacle_http import HttpStoracle

META = RpcMeta(job_id="j", run_id="01RUN", step_id="write", correlation_id="01RUN", ts="2024-01-01T00:00:00Z")
SMOKE = replace(META, namespace="smoke_a")
SECRET = "Jane Doe"
TOKEN = "a-token"
KEY = "jane_doe"
"""A key of what is sent, which may be data too."""


answers: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["ops", "refused", "rows", "next", "token", "op_id", "status", "counts", "code"]), inner
        )
    ),
)


class EncodedTransport:
    """Every message crosses as bytes, both ways."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def send(self, message: Message) -> object:
        answer = self._service.handle(codec.encode(message))
        return None if answer is None else codec.decode(codec.encode(answer))


class ScriptedTransport:
    """Gives the result it is told to, whatever is asked."""

    def __init__(self, *results: object) -> None:
        self.results = list(results)
        self.sent: list[Any] = []

    def send(self, message: Message) -> object:
        assert isinstance(message, dict)
        self.sent.append(message)
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return {"jsonrpc": "2.0", "id": message["id"], "result": result}


class World:
    def __init__(self, service: Service, transport: Transport, effects: Callable[[], int]) -> None:
        self.service = service
        self._effects = effects
        self.recorder = RecordingTransport(transport)
        self.client = RpcClient(self.recorder, page_rows=3)

    def submit(self, *ops: StoracleOp, meta: RpcMeta = META) -> tuple[OpResult, ...]:
        return submit_plan(_plan(*ops), meta, client=self.client)

    @property
    def effects(self) -> int:
        """How many ops have been applied."""
        return self._effects()

    def read(self, meta: RpcMeta = META, /, **read: Any) -> list[Mapping[str, Any]]:
        return list(self.client.query({"dataset": "raw", "table": "objects", **read}, meta))


@pytest.fixture(scope="module")
def over_http() -> Iterator[HttpStoracle]:
    with HttpStoracle(token=TOKEN) as server:
        yield server


WORLDS = (
    "journal in memory, in process",
    "journal in memory, encoded",
    "journal in memory, http",
    "journal, in process",
    "sqlite in memory, http",
    "sqlite, encoded",
    "sqlite, in process",
)


@contextmanager
def _backing(name: str, folder: Path) -> Iterator[tuple[Service, Callable[[], int]]]:
    """A service, and how many ops it has applied."""
    path = None if name.endswith("in memory") else folder / "data"
    if name.startswith("journal"):
        journal = JournalService(path)
        yield journal, lambda: journal.effects
        return
    backend = SqliteBackend(path)
    service = DataService(backend)
    yield service, lambda: backend.effects
    service.close()


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    backing, transport = request.param.split(", ")
    with _backing(backing, tmp_path) as (service, effects):
        match transport:
            case "encoded":
                yield World(service, EncodedTransport(service), effects)
            case "http":
                server: HttpStoracle = request.getfixturevalue("over_http")
                server.service = service
                http = HttpTransport(server.url, token=lambda: TOKEN)
                yield World(service, http, effects)
                http.close()
            case _:
                yield World(service, InProcessTransport(service), effects)


def _plan(*ops: StoracleOp) -> StoraclePlan:
    return StoraclePlan(correlation_id="01RUN", ops=ops)


def _op(name: str, method: str, params: Mapping[str, Any], *, group: str | None = None) -> StoracleOp:
    return StoracleOp(op_id=name, method=method, params=params, idempotency_key=f"key of {name}", group=group)


def _rows(*rows: object, table: str = "objects", keys: Sequence[str] = ("k",)) -> dict[str, Any]:
    return {"dataset": "raw", "table": table, "key_columns": keys, "rows": rows}


def _upsert(name: str, *rows: object, group: str | None = None) -> StoracleOp:
    return _op(name, "table.upsert", _rows(*rows), group=group)


def _append(name: str, *rows: object, group: str | None = None) -> StoracleOp:
    return _op(name, "wal.append", _rows(*rows), group=group)


def _put(name: str, value: object, expected: object = None) -> StoracleOp:
    return _op(name, "state.put", {"key": "cursor", "value": value, "expected": expected})


def _assert(name: str, method: str, *, group: str | None = None, **params: Any) -> StoracleOp:
    return _op(name, method, {"dataset": "raw", "table": "objects", **params}, group=group)


def _filled(world: World, count: int = 10) -> None:
    world.submit(
        _upsert("fill", *({"k": f"k{number}", "n": number, "odd": bool(number % 2)} for number in range(count)))
    )


# The envelope


def test_client_is_a_storacle_client(world: World) -> None:
    client: StoracleClient = world.client
    assert client.open_run(META) == 1


def test_every_request_is_a_json_rpc_call_with_an_id_of_its_own(world: World) -> None:
    world.client.open_run(META)
    world.submit(_upsert("a", {"k": 1}), meta=replace(META, token=1))
    world.read()
    requests: list[Any] = [exchange.request for exchange in world.recorder.exchanges]
    assert [one["method"] for one in requests] == ["run.open", "storacle.execute_plan", "storacle.query"]
    assert all(one["jsonrpc"] == "2.0" and set(one) == {"jsonrpc", "method", "params", "id"} for one in requests)
    assert len({one["id"] for one in requests}) == 3
    assert requests[1]["params"]["meta"] == replace(META, token=1).to_dict()


def test_rows_are_passed_to_the_transport_as_they_are() -> None:
    rows = ({"k": 1},)
    transport = ScriptedTransport({"ops": [{"op_id": "a", "status": "applied"}], "refused": None})
    RpcClient(transport).execute_plan(_plan(_op("a", "table.upsert", {"rows": rows})), META)
    assert transport.sent[0]["params"]["plan"]["ops"][0]["params"]["rows"] is rows


# Upserts, appends, deletes


def test_upsert_counts_what_it_inserted_updated_and_left(world: World) -> None:
    world.submit(_upsert("a", {"k": "x", "v": 1}, {"k": "y", "v": 1}))
    [result] = world.submit(_upsert("b", {"k": "x", "v": 2}, {"k": "y", "v": 1}, {"k": "z", "v": 1}))
    assert result == OpResult(
        op_id="b",
        method="table.upsert",
        status=OpStatus.APPLIED,
        counts={"inserted": 1, "updated": 1, "unchanged": 1},
    )
    assert world.read() == [{"k": "x", "v": 2}, {"k": "y", "v": 1}, {"k": "z", "v": 1}]


def test_upsert_leaves_the_columns_it_does_not_name(world: World) -> None:
    world.submit(_upsert("a", {"k": "x", "v": 1, "status": None}))
    [result] = world.submit(_upsert("b", {"k": "x", "status": "pass"}))
    assert result.counts["updated"] == 1
    assert world.read() == [{"k": "x", "v": 1, "status": "pass"}]


def test_bq_upsert_is_another_name_of_table_upsert(world: World) -> None:
    world.submit(_op("a", "bq.upsert", _rows({"k": 1})))
    assert world.read() == [{"k": 1}]


@pytest.mark.parametrize("method", ["wal.append", "event.append", "table.insert"])
def test_append_of_the_same_row_is_left_and_of_another_with_its_key_refused(world: World, method: str) -> None:
    world.submit(_op("a", method, _rows({"k": "x", "v": 1})))
    [same] = world.submit(_op("b", method, _rows({"v": 1, "k": "x"}, {"k": "y", "v": 1})))
    assert same.counts == {"inserted": 1, "unchanged": 1}
    with pytest.raises(PlanRefused) as caught:
        world.submit(_op("c", method, _rows({"k": "z"}, {"k": "x", "v": SECRET})))
    assert caught.value.code == ErrorCode.CONFLICT
    assert "/plan/ops/0/params/rows/1" in caught.value.reason
    assert SECRET not in str(caught.value)
    assert [row["k"] for row in world.read()] == ["x", "y"]


def test_delete_counts_what_it_deleted_and_what_was_absent(world: World) -> None:
    world.submit(_upsert("a", {"k": "x", "v": 1}, {"k": "y", "v": 1}))
    [result] = world.submit(_op("b", "table.delete", _rows({"k": "x"}, {"k": "q"})))
    assert result.counts == {"deleted": 1, "absent": 1}
    assert world.read() == [{"k": "y", "v": 1}]


def test_caller_that_changes_a_row_afterwards_changes_nothing_stored(world: World) -> None:
    row = {"k": "x", "tags": ["a"]}
    world.submit(_upsert("a", row))
    row["tags"].append("b")  # type: ignore[attr-defined]  # the values of the row are of several types
    first = world.read()[0]
    first["tags"].append("c")
    assert world.read() == [{"k": "x", "tags": ["a"]}]


def test_keys_of_several_columns_and_kinds_are_told_apart_and_ordered(world: World) -> None:
    keys = [(True, "a"), (1, "a"), (2.5, "a"), ("1", "a"), ("1", "b"), (False, "z")]
    world.submit(_op("a", "table.upsert", _rows(*({"k": k, "l": x} for k, x in keys), keys=("k", "l"))))
    assert [(row["k"], row["l"]) for row in world.read()] == [
        (False, "z"),
        (True, "a"),
        (1, "a"),
        (2.5, "a"),
        ("1", "a"),
        ("1", "b"),
    ]


# Resends


def test_same_plan_again_has_no_second_effect(world: World) -> None:
    ops = (_upsert("a", {"k": "x", "v": 1}), _append("b", {"k": "y"}), _put("c", 5))
    first = world.submit(*ops)
    world.submit(_upsert("between", {"k": "x", "v": 2}))
    again = world.submit(*ops)
    assert [one.status for one in again] == [OpStatus.ALREADY] * 3
    assert [one.counts for one in again] == [one.counts for one in first]
    assert world.effects == 4
    assert world.read()[0] == {"k": "x", "v": 2}


def test_other_op_with_the_same_rows_lands(world: World) -> None:
    for name, value in (("a", "A"), ("b", "B"), ("c", "A")):
        world.submit(_upsert(name, {"k": "x", "v": value}))
    assert world.read() == [{"k": "x", "v": "A"}]


def test_resend_of_asserts_that_no_longer_hold_is_recognised(world: World) -> None:
    ops = (_assert("free", "assert.rows", count=0, group="g"), _append("add", {"k": "x"}, group="g"))
    world.submit(*ops)
    assert [one.status for one in world.submit(*ops)] == [OpStatus.ALREADY] * 2


def test_same_key_twice_in_a_plan_has_one_effect(world: World) -> None:
    one = _append("a", {"k": "x"}, group="g")
    results = world.submit(one, replace(one, op_id="b"))
    assert [result.status for result in results] == [OpStatus.APPLIED, OpStatus.ALREADY]
    assert world.effects == 1


def test_what_the_plan_builder_makes_of_a_stream_lands_with_its_markers_quarantine_and_cursor(world: World) -> None:
    items: list[Item] = [
        *(Record({"k": number}) for number in range(3)),
        Marker(stage="s", idem_key="x", content_hash="c", code_hash="h", result=MarkerResult.OK),
        Rejected(idem_key="y", schema="iglu:a", pointer="/a", rule="type"),
        Checkpoint(key="cursor", cursor={"page": 2}, expected=None),
    ]
    spec = PlanSpec(method="table.upsert", dataset="raw", table="objects", key_columns=("k",), batch_rows=4)
    keys = PlanKeys(run_id="01RUN", job_id="j", step_id="s")
    units = list(plan_ops(items, spec, keys))
    for again in (False, True):
        results = [result for unit in units for result in world.submit(*unit)]
        assert {one.status for one in results} == {OpStatus.ALREADY if again else OpStatus.APPLIED}
    assert [row["k"] for row in world.read()] == [0, 1, 2]
    assert [row["idem_key"] for row in world.read(dataset="storacle", table="_processed")] == ["x"]
    assert [row["idem_key"] for row in world.read(dataset="events", table="quarantine")] == ["y"]
    assert [row["value"] for row in world.read(dataset="storacle", table="_state")] == [{"page": 2}]


# Refusals


def test_refused_op_stops_the_plan_there_and_the_error_says_what_stays(world: World) -> None:
    with pytest.raises(PlanRefused) as caught:
        world.submit(
            _upsert("a", {"k": "x"}), _assert("b", "assert.exists", where={"k": SECRET}), _upsert("c", {"k": "y"})
        )
    refused = caught.value
    assert (refused.op_id, refused.method, refused.code) == ("b", "assert.exists", ErrorCode.ASSERTION_FAILED)
    assert [one.op_id for one in refused.applied] == ["a"]
    assert "ops before it that stay applied: 1" in str(refused)
    assert SECRET not in str(refused)
    assert world.read() == [{"k": "x"}]


@pytest.mark.parametrize("method", ["sql.execute", "bq.execute", "view.create", "file.write", "nope"])
def test_method_the_service_does_not_have_is_refused_by_name(world: World, method: str) -> None:
    with pytest.raises(PlanRefused, match=rf"'a' \({method}\).*method_not_found"):
        world.submit(_op("a", method, {}))


def test_atomic_group_lands_whole_or_not_at_all(world: World) -> None:
    world.submit(_upsert("before", {"k": "x", "v": 0}), _put("cursor", 1))
    effects = world.effects
    with pytest.raises(PlanRefused) as caught:
        world.submit(
            _upsert("alone", {"k": "w"}),
            _upsert("a", {"k": "x", "v": 9}, {"k": "new"}, group="g"),
            replace(_put("b", 2, 1), group="g"),
            _op("c", "table.delete", _rows({"k": "w"}), group="g"),
            _upsert("d", {"k": "other"}, "no row", group="g"),
            _upsert("e", {"k": "late"}),
        )
    assert caught.value.op_id == "d"
    assert [one.op_id for one in caught.value.applied] == ["alone"]
    assert world.read() == [{"k": "w"}, {"k": "x", "v": 0}]
    assert world.read(dataset="storacle", table="_state") == [{"key": "cursor", "value": 1}]
    assert world.effects == effects + 1


def test_refused_group_can_land_once_what_it_asserts_holds(world: World) -> None:
    group = (_append("a", {"k": "x"}, group="g"), _assert("b", "assert.rows", min=2, group="g"))
    with pytest.raises(PlanRefused):
        world.submit(*group)
    world.submit(_append("other", {"k": "y"}))
    assert [one.status for one in world.submit(*group)] == [OpStatus.APPLIED] * 2


def test_table_that_a_refused_op_would_have_made_has_no_key_yet(world: World) -> None:
    with pytest.raises(PlanRefused):
        world.submit(_upsert("a", {"k": "x"}, {"no": "key"}))
    world.submit(_upsert("empty"))
    world.submit(_op("b", "table.upsert", _rows({"id": 1}, keys=("id",))))
    assert world.read() == [{"id": 1}]


@pytest.mark.parametrize(
    ("params", "place"),
    [
        ({}, "dataset"),
        ("text", "params"),
        (_rows({"k": 1}) | {"extra": 1}, "*"),
        (_rows({"k": 1}) | {"dataset": "raw; drop"}, "dataset"),
        (_rows({"k": 1}) | {"table": 5}, "table"),
        (_rows({"k": 1}, keys=()), "key_columns"),
        (_rows({"k": 1}, keys=("k", "k")), "key_columns"),
        (_rows({"k": 1}) | {"rows": "text"}, "rows"),
        (_rows({"k": 1}) | {"rows": {"k": 1}}, "rows"),
        (_rows({"k": 1}, 5), "rows/1"),
        (_rows({"k": 1}, {"v": SECRET}), "rows/1/*"),
        (_rows({"k": None}), "rows/0/*"),
        (_rows({"k": [1]}), "rows/0/*"),
        (_rows({"k": 1, "not a name": 1}), "rows/0"),
    ],
)
def test_wrong_params_are_refused_with_their_place(world: World, params: Any, place: str) -> None:
    with pytest.raises(PlanRefused) as caught:
        world.submit(_op("a", "table.upsert", params))
    assert caught.value.code == ErrorCode.INVALID_PARAMS
    assert caught.value.reason.endswith(f"params/{place})" if place != "params" else "/plan/ops/0/params)")
    assert SECRET not in str(caught.value)


def test_other_key_columns_than_the_table_has_are_refused(world: World) -> None:
    world.submit(_upsert("a", {"k": 1}))
    with pytest.raises(PlanRefused, match="params/key_columns"):
        world.submit(_op("b", "table.upsert", _rows({"v": 1}, keys=("v",))))


def test_plan_with_an_op_id_twice_is_refused_whole(world: World) -> None:
    with pytest.raises(PermanentError, match="/plan/ops/1/op_id"):
        world.submit(_upsert("a", {"k": 1}), _upsert("a", {"k": 2}))
    assert world.read() == []


# Compare and set


def test_cursor_is_set_when_the_stored_one_is_expected(world: World) -> None:
    assert world.submit(_put("a", {"page": 1}))[0].counts == {"stored": 1, "unchanged": 0}
    assert world.submit(_put("b", {"page": 2}, {"page": 1}))[0].counts["stored"] == 1
    assert world.read(dataset="storacle", table="_state", where={"key": "cursor"}) == [
        {"key": "cursor", "value": {"page": 2}}
    ]


def test_cursor_is_not_set_when_another_is_stored(world: World) -> None:
    world.submit(_put("a", SECRET))
    with pytest.raises(PlanRefused, match="expected") as caught:
        world.submit(_put("b", 2, 1))
    assert caught.value.code == ErrorCode.CONFLICT
    assert SECRET not in str(caught.value)


def test_storing_what_is_stored_changes_nothing(world: World) -> None:
    world.submit(_put("a", 5))
    assert world.submit(_put("b", 5, 3))[0].counts == {"stored": 0, "unchanged": 1}


def test_cursors_are_written_by_state_put_alone(world: World) -> None:
    row = {"key": "cursor", "value": 9}
    params = {"dataset": "storacle", "table": "_state", "key_columns": ["key"], "rows": [row]}
    with pytest.raises(PlanRefused, match="forbidden"):
        world.submit(_op("a", "table.upsert", params))


# Assertions


@pytest.mark.parametrize(
    ("method", "params", "holds"),
    [
        ("assert.rows", {"count": 10}, True),
        ("assert.rows", {"count": 9}, False),
        ("assert.rows", {"min": 5, "where": {"odd": True}}, True),
        ("assert.rows", {"min": 6, "where": {"odd": True}}, False),
        ("assert.rows", {"max": 5, "where": {"odd": True}}, True),
        ("assert.rows", {"min": 1, "max": 4, "where": {"odd": True}}, False),
        ("assert.rows", {"count": 0, "table": "absent"}, True),
        ("assert.exists", {"where": {"k": "k3"}}, True),
        ("assert.exists", {"where": {"k": "k33"}}, False),
        ("assert.unique", {"columns": ["n"]}, True),
        ("assert.unique", {"columns": ["odd"]}, False),
        ("assert.unique", {"columns": ["odd"], "where": {"n": {"lt": 2}}}, True),
        ("assert.unique", {"columns": ["absent"]}, True),
    ],
)
def test_assertion_holds_or_is_refused(world: World, method: str, params: dict[str, Any], holds: bool) -> None:
    _filled(world)
    op = _assert("check", method, **params)
    if holds:
        assert world.submit(op)[0].status is OpStatus.APPLIED
        return
    with pytest.raises(PlanRefused) as caught:
        world.submit(op)
    assert caught.value.code == ErrorCode.ASSERTION_FAILED


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("assert.rows", {}),
        ("assert.rows", {"count": 1, "min": 1}),
        ("assert.rows", {"count": -1}),
        ("assert.rows", {"count": True}),
        ("assert.exists", {}),
        ("assert.exists", {"where": 5}),
        ("assert.unique", {}),
        ("assert.unique", {"columns": []}),
    ],
)
def test_assertion_that_makes_no_sense_is_refused_as_such(world: World, method: str, params: dict[str, Any]) -> None:
    with pytest.raises(PlanRefused) as caught:
        world.submit(_assert("check", method, **params))
    assert caught.value.code == ErrorCode.INVALID_PARAMS


# Reads


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ({}, [0, 1, 2, 3, 4]),
        ({"n": 3}, [3]),
        ({"n": 3.0}, [3]),
        ({"n": "3"}, []),
        ({"n": True}, []),
        ({"odd": True}, [1, 3]),
        ({"odd": True, "n": {"gt": 1}}, [3]),
        ({"n": {"ne": 3}}, [0, 1, 2, 4]),
        ({"n": {"lt": 2}}, [0, 1]),
        ({"n": {"lte": 2}}, [0, 1, 2]),
        ({"n": {"gt": 3}}, [4]),
        ({"n": {"gte": 3, "lt": 4}}, [3]),
        ({"k": {"gt": "k3"}}, [4]),
        ({"k": {"in": ["k1", "k9", 2]}}, [1]),
        ({"k": {"in": []}}, []),
        ({"note": None}, [0, 1, 2, 3]),
        ({"note": {"is_null": True}}, [0, 1, 2, 3]),
        ({"note": {"is_null": False}}, [4]),
        ({"note": {"ne": "x"}}, []),
        ({"absent": 1}, []),
    ],
)
def test_read_gives_the_rows_its_conditions_ask_for(world: World, where: dict[str, Any], found: list[int]) -> None:
    _filled(world, 4)
    world.submit(_upsert("more", {"k": "k4", "n": 4, "odd": False, "note": "x"}))
    assert [row["n"] for row in world.read(where=where)] == found


def test_read_gives_the_columns_it_asks_for_and_null_for_what_a_row_lacks(world: World) -> None:
    _filled(world, 1)
    assert world.read(columns=["n", "absent"]) == [{"n": 0, "absent": None}]


def test_read_is_paged_by_key_and_pages_come_only_when_they_are_wanted(world: World) -> None:
    _filled(world, 8)
    rows = world.client.query({"dataset": "raw", "table": "objects"}, META)
    sent = len(world.recorder.exchanges)
    assert [next(rows)["n"] for _ in range(3)] == [0, 1, 2]
    assert len(world.recorder.exchanges) == sent + 1
    # A row that comes in front of the cursor meanwhile shifts no page, as it would by offset.
    world.submit(_upsert("early", {"k": "a", "n": 99}), _upsert("late", {"k": "z", "n": 100}))
    assert [row["n"] for row in rows] == [3, 4, 5, 6, 7, 100]
    requests: list[Any] = [one.request for one in world.recorder.exchanges]
    afters = [one["params"]["after"] for one in requests if one["method"] == "storacle.query"]
    assert afters == [None, ["k2"], ["k5"]]


@pytest.mark.parametrize(("limit", "found"), [(0, 0), (2, 2), (3, 3), (4, 4), (8, 8), (100, 8)])
def test_limit_is_over_all_pages(world: World, limit: int, found: int) -> None:
    _filled(world, 8)
    assert len(world.read(limit=limit)) == found


def test_read_of_what_nobody_wrote_gives_nothing(world: World) -> None:
    assert world.read(table="absent") == []


@pytest.mark.parametrize(
    ("read", "place"),
    [
        ({"dataset": "a b"}, "/read/dataset"),
        ({KEY: 1}, "/read/*"),
        ({"limit": -1}, "/limit"),
        ({"columns": []}, "/read/columns"),
        ({"where": []}, "/read/where"),
        ({"where": {KEY: {"like": SECRET}}}, "/read/where/*"),
        ({"where": {KEY: {}}}, "/read/where/*"),
        ({"where": {KEY: [1]}}, "/read/where/*"),
        ({"where": {KEY: {"in": 5}}}, "/read/where/*/in"),
        ({"where": {KEY: {"in": [None]}}}, "/read/where/*/in"),
        ({"where": {KEY: {"is_null": 1}}}, "/read/where/*/is_null"),
        ({"where": {KEY: {"eq": None}}}, "/read/where/*/eq"),
        ({"where": {f"x = '{SECRET}'": 1}}, "/read/where"),
    ],
)
def test_wrong_read_is_refused_with_its_place(world: World, read: dict[str, Any], place: str) -> None:
    with pytest.raises(PermanentError, match=rf"invalid_params, at .*{re.escape(place)}\)") as caught:
        world.read(**read)
    assert SECRET not in str(caught.value)
    assert KEY not in str(caught.value)


def test_read_of_what_is_unprocessed_is_refused_as_unsupported(world: World) -> None:
    with pytest.raises(PermanentError, match=r"unsupported, at /read/unprocessed"):
        world.read(unprocessed="canonize")


@pytest.mark.parametrize("after", ["k1", [], ["a", "b"], [None]])
def test_foreign_cursor_is_refused(world: World, after: object) -> None:
    _filled(world)
    read = {"dataset": "raw", "table": "objects"}
    params: dict[str, Any] = {"read": read, "after": after, "limit": 5, "meta": META.to_dict()}
    answer: Any = world.service.handle(codec.request("storacle.query", params, 1))
    assert answer["error"]["code"] == ErrorCode.INVALID_PARAMS


def test_bq_query_is_another_name_of_storacle_query(world: World) -> None:
    _filled(world, 1)
    params: dict[str, Any] = {"read": {"dataset": "raw", "table": "objects"}, "limit": 5, "meta": META.to_dict()}
    answer: Any = world.service.handle(codec.request("bq.query", params, 1))
    assert answer["result"]["next"] is None
    assert len(answer["result"]["rows"]) == 1


# Fencing and namespaces


def test_worker_whose_run_was_opened_anew_may_write_no_more(world: World) -> None:
    old = replace(META, token=world.client.open_run(META))
    world.submit(_upsert("a", {"k": 1}), meta=old)
    new = replace(META, token=world.client.open_run(META))
    assert new.token is not None
    assert old.token is not None
    assert new.token > old.token
    for meta in (old, META, replace(META, token=new.token + 1)):
        with pytest.raises(PlanRefused) as caught:
            world.submit(_upsert("b", {"k": 2}), meta=meta)
        assert caught.value.code == ErrorCode.FENCED
    assert world.read() == [{"k": 1}]
    world.submit(_upsert("b", {"k": 2}), meta=new)


def test_replaced_worker_is_refused_even_what_it_had_applied(world: World) -> None:
    old = replace(META, token=world.client.open_run(META))
    world.submit(_upsert("a", {"k": 1}), meta=old)
    world.client.open_run(META)
    with pytest.raises(PlanRefused, match="fenced"):
        world.submit(_upsert("a", {"k": 1}), meta=old)


def test_token_of_a_run_that_was_never_opened_is_worth_nothing(world: World) -> None:
    with pytest.raises(PlanRefused, match="fenced"):
        world.submit(_upsert("a", {"k": 1}), meta=replace(META, token=1))


def test_namespaces_see_nothing_of_each_other(world: World) -> None:
    ops = (_upsert("a", {"k": 1}), _put("b", 1))
    world.submit(*ops)
    assert world.read(SMOKE) == []
    assert [one.status for one in world.submit(*ops, meta=SMOKE)] == [OpStatus.APPLIED] * 2
    world.submit(_op("c", "table.delete", _rows({"k": 1})), meta=SMOKE)
    world.client.open_run(SMOKE)
    world.submit(_upsert("d", {"k": 2}))
    assert [row["k"] for row in world.read()] == [1, 2]
    assert world.read(SMOKE) == []


@pytest.mark.parametrize("namespace", ["", "smoke_", "smoke_A", "smoke_a/b", "production", "smoke_" + "a" * 21])
def test_namespace_that_is_none_is_refused(world: World, namespace: str) -> None:
    with pytest.raises(PermanentError, match="/meta/namespace"):
        world.client.open_run(replace(META, namespace=namespace))


def test_threads_share_a_client_and_each_op_has_one_effect(world: World) -> None:
    ops = tuple(_append(f"op{number}", {"k": number}) for number in range(10))
    threads = [threading.Thread(target=world.submit, args=ops) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert world.effects == 10
    assert len(world.read()) == 10


# Whatever arrives


@given(st.data())
def test_service_answers_any_params(data: st.DataObject) -> None:
    service = JournalService()
    scalars: st.SearchStrategy[Any] = st.sampled_from(
        [None, True, 1, 1.5, "x", "raw", [], {}, [1], {"k": 1}, {"k": {"in": ["a"]}}]
    )
    good: dict[str, Any] = {
        **_rows({"k": 1}),
        **{"where": None, "count": 1, "key": "k", "value": 1, "columns": ["k"], "limit": 1},
    }
    names = data.draw(st.sets(st.sampled_from(sorted(good))))
    params = {name: data.draw(scalars | st.just(good[name])) for name in names}
    method = data.draw(st.sampled_from(["table.upsert", "wal.append", "table.delete", "state.put", "assert.rows"]))
    op = {"op_id": "a", "method": method, "params": params, "idempotency_key": "k"}
    op = data.draw(st.just(op) | st.dictionaries(st.sampled_from(sorted(op)), scalars))
    plan = {"kind": "storacle.plan", "version": "1.0", "correlation_id": "c", "ops": [op]}
    bodies: dict[str, Any] = {"plan": plan, "read": params, "limit": 5, "meta": META.to_dict()}
    rpc = data.draw(st.sampled_from(["storacle.execute_plan", "storacle.query", "run.open"]))
    body: dict[str, Any] = {name: bodies[name] for name in _TAKES[rpc]}
    answer: Any = service.handle(codec.request(rpc, body, 1))
    assert answer.get("error", {}).get("code") != ErrorCode.INTERNAL


_TAKES = {
    "storacle.execute_plan": ("plan", "meta"),
    "storacle.query": ("read", "limit", "meta"),
    "run.open": ("meta",),
}


# Answers of a service that is not ours


def _applied(op_id: object = "a", **more: object) -> dict[str, object]:
    return {"op_id": op_id, "method": "m", "status": "applied", "counts": {"inserted": 1}, **more}


@pytest.mark.parametrize(
    ("result", "place"),
    [
        (None, "/result:"),
        ([], "/result:"),
        ({}, "/result/ops:"),
        ({"ops": "text"}, "/result/ops:"),
        ({"ops": []}, "/result/ops:"),
        ({"ops": [_applied()] * 3}, "/result/ops:"),
        ({"ops": [5, 5]}, "/result/ops/0:"),
        ({"ops": [_applied(), _applied("other")]}, "/result/ops/1/op_id:"),
        ({"ops": [_applied(status="done")]}, "/result/ops/0/status:"),
        ({"ops": [_applied(status=[])]}, "/result/ops/0/status:"),
        ({"ops": [_applied(counts=5)]}, "/result/ops/0/counts:"),
        ({"ops": [_applied(counts={SECRET: 1})]}, "/result/ops/0/counts:"),
        ({"ops": [_applied(counts={"inserted": "1"})]}, "/result/ops/0/counts/inserted:"),
        ({"ops": [_applied(counts={"inserted": -1})]}, "/result/ops/0/counts/inserted:"),
        ({"ops": [_applied(counts={"inserted": True})]}, "/result/ops/0/counts/inserted:"),
        ({"ops": [], "refused": SECRET}, "/result/refused:"),
        ({"ops": [], "refused": {"op_id": SECRET, "code": -32000}}, "/result/refused/op_id:"),
        ({"ops": [_applied()], "refused": {"op_id": "a", "code": -32000}}, "/result/refused/op_id:"),
        ({"ops": [], "refused": {"op_id": "a", "code": "x"}}, "/result/refused/code:"),
    ],
)
def test_malformed_answer_to_a_plan_is_permanent_and_names_the_place(result: object, place: str) -> None:
    with pytest.raises(PermanentError, match=place) as caught:
        RpcClient(ScriptedTransport(result)).execute_plan(_plan(_upsert("a"), _upsert("b")), META)
    assert not isinstance(caught.value, PlanRefused)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("result", [None, 5, {}, {"token": "1"}, {"token": True}])
def test_malformed_answer_to_run_open_is_permanent(result: object) -> None:
    with pytest.raises(PermanentError, match="/result"):
        RpcClient(ScriptedTransport(result)).open_run(META)


@pytest.mark.parametrize(
    ("results", "place"),
    [
        ([None], "/result:"),
        ([{"next": None}], "/result/rows:"),
        ([{"rows": [5]}], "/result/rows/0:"),
        ([{"rows": [{}] * 3}], "/result/rows:"),
        ([{"rows": [{}], "next": ["a"]}, {"rows": [{}], "next": ["a"]}], "/result/next:"),
    ],
)
def test_malformed_page_is_permanent(results: list[object], place: str) -> None:
    client = RpcClient(ScriptedTransport(*results), page_rows=2)
    with pytest.raises(PermanentError, match=place):
        list(client.query({"dataset": "raw", "table": "objects"}, META))


def test_page_without_rows_is_no_end() -> None:
    transport = ScriptedTransport({"rows": [], "next": ["a"]}, {"rows": [{"k": 1}], "next": None})
    assert list(RpcClient(transport).query({"dataset": "raw", "table": "t"}, META)) == [{"k": 1}]


def test_op_refused_for_a_while_is_a_transient_error() -> None:
    refused = {"op_id": "a", "method": "m", "code": int(ErrorCode.BUSY), "retry_after": 7}
    with pytest.raises(TransientError, match=r"'a'.*busy") as caught:
        RpcClient(ScriptedTransport({"ops": [], "refused": refused})).execute_plan(_plan(_upsert("a")), META)
    assert caught.value.retry_after == 7


def test_op_refused_with_an_unknown_code_is_refused_for_good() -> None:
    refused = {"op_id": "a", "method": "m", "code": -32077, "message": SECRET}
    with pytest.raises(PlanRefused, match="-32077") as caught:
        RpcClient(ScriptedTransport({"ops": [], "refused": refused})).execute_plan(_plan(_upsert("a")), META)
    assert SECRET not in str(caught.value)


def test_failure_of_the_transport_is_passed_on() -> None:
    with pytest.raises(TransientError, match="refused the connection"):
        RpcClient(ScriptedTransport(TransientError("the service refused the connection"))).open_run(META)


@given(answers)
def test_any_answer_is_read_or_becomes_one_of_our_errors(result: object) -> None:
    with suppress(PermanentError, TransientError):
        RpcClient(ScriptedTransport(result)).execute_plan(_plan(_upsert("a")), META)
    with suppress(PermanentError, TransientError):
        RpcClient(ScriptedTransport(result)).open_run(META)
    with suppress(PermanentError, TransientError):
        # Twice, since an empty page may be followed by another.
        next(RpcClient(ScriptedTransport(result, result)).query({}, META), None)


# The service that counts and drops


def test_counting_service_counts_ops_and_rows_and_keeps_nothing() -> None:
    service = CountingService()
    client = RpcClient(InProcessTransport(service))
    meta = replace(META, token=client.open_run(META))
    results = client.execute_plan(_plan(_upsert("a", {"k": 1}, {"k": 2}), _put("b", 1)), meta)
    assert [one.counts for one in results] == [{"inserted": 2}, {"inserted": 1}]
    assert (service.ops, service.rows) == (2, 3)
