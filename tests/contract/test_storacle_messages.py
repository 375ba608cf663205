"""What a client and a service say to each other, and what each makes of a peer that is not ours."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.errors import PermanentError, TransientError
from lorchestra.storacle import PlanRefused, RpcClient, StoracleClient, codec
from lorchestra.storacle.codec import Message
from lorchestra.storacle.counting import CountingService
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.transports import InProcessTransport
from tests.contract.storacle_world import META, SECRET, World, make_op, plan_of, put_op, rows_params, upsert_op
from tests.data_plane import DataPlane


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


# The envelope


def test_client_is_a_storacle_client(world: World) -> None:
    client: StoracleClient = world.client
    assert client.open_run(META) == 1


def test_every_request_is_a_json_rpc_call_with_an_id_of_its_own(world: World) -> None:
    world.client.open_run(META)
    world.submit(upsert_op("a", {"k": 1}), meta=replace(META, token=1))
    world.read()
    requests: list[Any] = [exchange.request for exchange in world.recorder.exchanges]
    assert [one["method"] for one in requests] == ["run.open", "storacle.execute_plan", "storacle.query"]
    assert all(one["jsonrpc"] == "2.0" and set(one) == {"jsonrpc", "method", "params", "id"} for one in requests)
    assert len({one["id"] for one in requests}) == 3
    assert requests[1]["params"]["meta"] == replace(META, token=1).to_dict()


def test_rows_are_passed_to_the_transport_as_they_are() -> None:
    rows = ({"k": 1},)
    transport = ScriptedTransport({"ops": [{"op_id": "a", "status": "applied"}], "refused": None})
    RpcClient(transport).execute_plan(plan_of(make_op("a", "table.upsert", {"rows": rows})), META)
    assert transport.sent[0]["params"]["plan"]["ops"][0]["params"]["rows"] is rows


@pytest.mark.parametrize("namespace", ["", "smoke_", "smoke_A", "smoke_a/b", "production", "smoke_" + "a" * 21])
def test_namespace_that_is_none_is_refused(world: World, namespace: str) -> None:
    with pytest.raises(PermanentError, match="/meta/namespace"):
        world.client.open_run(replace(META, namespace=namespace))


# Whatever arrives


@given(st.data())
def test_service_answers_any_params(data: st.DataObject) -> None:
    scalars: st.SearchStrategy[Any] = st.sampled_from(
        [None, True, 1, 1.5, "x", "raw", [], {}, [1], {"k": 1}, {"k": {"in": ["a"]}}]
    )
    good: dict[str, Any] = {
        **rows_params({"k": 1}),
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
    with DataPlane() as service:
        answer: Any = service.handle(codec.request(rpc, body, 1))
    refused = answer.get("error") or answer["result"].get("refused") or {}
    assert refused.get("code") != ErrorCode.INTERNAL


_TAKES = {
    "storacle.execute_plan": ("plan", "meta"),
    "storacle.query": ("read", "limit", "meta"),
    "run.open": ("meta",),
}


# Answers of a service that is not ours


ANSWERS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["ops", "refused", "rows", "next", "token", "op_id", "status", "counts", "code"]), inner
        )
    ),
)


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
        RpcClient(ScriptedTransport(result)).execute_plan(plan_of(upsert_op("a"), upsert_op("b")), META)
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
        RpcClient(ScriptedTransport({"ops": [], "refused": refused})).execute_plan(plan_of(upsert_op("a")), META)
    assert caught.value.retry_after == 7


def test_op_refused_with_an_unknown_code_is_refused_for_good() -> None:
    refused = {"op_id": "a", "method": "m", "code": -32077, "message": SECRET}
    with pytest.raises(PlanRefused, match="-32077") as caught:
        RpcClient(ScriptedTransport({"ops": [], "refused": refused})).execute_plan(plan_of(upsert_op("a")), META)
    assert SECRET not in str(caught.value)


def test_failure_of_the_transport_is_passed_on() -> None:
    with pytest.raises(TransientError, match="refused the connection"):
        RpcClient(ScriptedTransport(TransientError("the service refused the connection"))).open_run(META)


@given(ANSWERS)
def test_any_answer_is_read_or_becomes_one_of_our_errors(result: object) -> None:
    with suppress(PermanentError, TransientError):
        RpcClient(ScriptedTransport(result)).execute_plan(plan_of(upsert_op("a")), META)
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
    results = client.execute_plan(plan_of(upsert_op("a", {"k": 1}, {"k": 2}), put_op("b", 1)), meta)
    assert [one.counts for one in results] == [{"inserted": 2}, {"inserted": 1}]
    assert (service.ops, service.rows) == (2, 3)
