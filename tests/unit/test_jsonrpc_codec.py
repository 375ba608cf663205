"""The JSON-RPC codec reads anything without breaking, and the error codes say who must act."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.errors import PermanentError, TransientError
from lorchestra.storacle import codec
from lorchestra.storacle.codec import Batch, Call, Failure, Invalid, MalformedMessage, Notification, Success
from lorchestra.storacle.error_codes import MEANINGS, ErrorCode, describe, error_for, meaning
from lorchestra.storacle.service import Dispatcher, RpcError

SECRET = "ssn-123-45-6789"

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)
near_misses = st.dictionaries(
    st.sampled_from(["jsonrpc", "method", "params", "id", "result", "error", "extra"]),
    st.sampled_from(["2.0", "ping", 1, 1.5, None, True, [], {}, {"code": 1, "message": "m"}, {"code": "x"}])
    | json_values,
)


def _add(params: codec.Params) -> int:
    if not isinstance(params, (list, tuple)):
        raise RpcError(ErrorCode.INVALID_PARAMS, at=("a/b", 0), retry_after=2)
    return int(sum(params))


def _fail(params: codec.Params) -> None:
    raise ZeroDivisionError(SECRET)


@pytest.fixture
def dispatcher() -> Dispatcher:
    return Dispatcher({"add": _add, "fail": _fail})


def _call(method: object = "add", params: object = (1, 2), id: object = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params, "id": id}


# Requests


@pytest.mark.parametrize(
    ("message", "parsed"),
    [
        (_call(), Call(1, "add", (1, 2))),
        (_call(id="x"), Call("x", "add", (1, 2))),
        (_call(id=None), Call(None, "add", (1, 2))),
        (_call(id=1.5), Call(1.5, "add", (1, 2))),
        (_call(params={"a": 1}), Call(1, "add", {"a": 1})),
        ({"jsonrpc": "2.0", "method": "m", "id": 7}, Call(7, "m", {})),
        (MappingProxyType({"jsonrpc": "2.0", "method": "m"}), Notification("m", {})),
        (b'{"jsonrpc":"2.0","method":"m","params":[1]}', Notification("m", [1])),
        (bytearray(b'{"jsonrpc":"2.0","method":"m","id":3}'), Call(3, "m", {})),
        (_call(method=1), Invalid(1, ErrorCode.INVALID_REQUEST)),
        (_call(method=""), Invalid(1, ErrorCode.INVALID_REQUEST)),
        (_call(params="bar"), Invalid(1, ErrorCode.INVALID_REQUEST)),
        (_call(params=None), Invalid(1, ErrorCode.INVALID_REQUEST)),
        (_call(id=True), Invalid(None, ErrorCode.INVALID_REQUEST)),
        (_call(id=[1]), Invalid(None, ErrorCode.INVALID_REQUEST)),
        (_call(id=float("nan")), Invalid(None, ErrorCode.INVALID_REQUEST)),
        ({"method": "m", "id": 1}, Invalid(1, ErrorCode.INVALID_REQUEST)),
        ({"jsonrpc": 2.0, "method": "m", "id": 1}, Invalid(1, ErrorCode.INVALID_REQUEST)),
        ({"jsonrpc": "2.0", "method": 1}, Invalid(None, ErrorCode.INVALID_REQUEST)),
        (b'{"jsonrpc": "2.0", "method": "foobar, "params"', Invalid(None, ErrorCode.PARSE)),
        (b"", Invalid(None, ErrorCode.PARSE)),
        (b"\xff\xfe", Invalid(None, ErrorCode.PARSE)),
        (b"[" * 100_000, Invalid(None, ErrorCode.PARSE)),
        ([], Invalid(None, ErrorCode.INVALID_REQUEST)),
        (b"[]", Invalid(None, ErrorCode.INVALID_REQUEST)),
        (None, Invalid(None, ErrorCode.INVALID_REQUEST)),
        ("text", Invalid(None, ErrorCode.INVALID_REQUEST)),
        ([1], Batch((Invalid(None, ErrorCode.INVALID_REQUEST),))),
        ([1] * (codec.MAX_BATCH + 1), Invalid(None, ErrorCode.TOO_LARGE)),
        (
            [_call(), {"jsonrpc": "2.0", "method": "m"}, 2],
            Batch((Call(1, "add", (1, 2)), Notification("m", {}), Invalid(None, ErrorCode.INVALID_REQUEST))),
        ),
    ],
)
def test_incoming_message_is_parsed_as_the_specification_says(message: object, parsed: object) -> None:
    assert codec.parse(message) == parsed


def test_built_request_is_parsed_as_what_it_was_built_from() -> None:
    assert codec.parse(codec.request("m", {"a": 1}, 5)) == Call(5, "m", {"a": 1})


def test_request_passes_the_params_without_copying_them() -> None:
    params = {"rows": ({"a": 1},)}
    parsed = codec.parse(codec.request("m", params, 5))
    assert isinstance(parsed, Call)
    assert parsed.params is params


# Answers of a service


def test_call_gets_its_result_and_a_notification_gets_no_answer(dispatcher: Dispatcher) -> None:
    assert dispatcher.handle(_call()) == {"jsonrpc": "2.0", "result": 3, "id": 1}
    assert dispatcher.handle({"jsonrpc": "2.0", "method": "add", "params": [1]}) is None
    assert dispatcher.handle({"jsonrpc": "2.0", "method": "nope"}) is None
    assert dispatcher.handle({"jsonrpc": "2.0", "method": "fail"}) is None


def test_batch_is_answered_one_by_one_without_its_notifications(dispatcher: Dispatcher) -> None:
    answer = dispatcher.handle(
        [_call(id="a"), {"jsonrpc": "2.0", "method": "add", "params": [1]}, 1, _call("nope", id=9)]
    )
    assert isinstance(answer, list)
    assert [(one["id"], one.get("result"), one.get("error", {}).get("code")) for one in answer] == [
        ("a", 3, None),
        (None, None, -32600),
        (9, None, -32601),
    ]


def test_batch_of_notifications_gets_no_answer(dispatcher: Dispatcher) -> None:
    assert dispatcher.handle([{"jsonrpc": "2.0", "method": "add", "params": []}]) is None


def test_batch_of_rubbish_gets_an_error_for_each(dispatcher: Dispatcher) -> None:
    answer = dispatcher.handle(b"[1,2,3]")
    assert isinstance(answer, list)
    assert [one["error"]["code"] for one in answer] == [-32600] * 3


def test_refusing_method_answers_with_its_code_place_and_wait(dispatcher: Dispatcher) -> None:
    answer = dispatcher.handle(_call(params={}))
    assert isinstance(answer, dict)
    assert answer["error"]["code"] == -32602
    assert answer["error"]["data"] == {"pointer": "/a~1b/0", "retry_after": 2}


def test_broken_method_answers_internal_error_and_says_nothing_of_the_exception(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    answer = dispatcher.handle(_call("fail"))
    assert isinstance(answer, dict)
    assert answer["error"]["code"] == -32603
    assert SECRET not in json.dumps(answer)
    assert SECRET not in caplog.text
    [record] = caplog.records
    said = record.getMessage()
    assert "storacle.internal_error" in said
    assert "error_type=ZeroDivisionError" in said
    assert said.endswith(":_fail")


@given(st.binary() | json_values | near_misses | st.lists(near_misses | json_values, max_size=4))
def test_service_answers_whatever_arrives(message: object) -> None:
    answer = Dispatcher({"ping": lambda params: "pong"}).handle(message)
    for one in answer if isinstance(answer, list) else [answer] if answer else []:
        assert one["jsonrpc"] == "2.0"
        assert ("result" in one) != ("error" in one)
        assert "id" in one


# Encoding


@given(json_values)
def test_decoding_is_the_inverse_of_encoding(value: Any) -> None:
    message = codec.request("m", {"value": value}, 1)
    assert codec.decode(codec.encode(message)) == message


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_are_malformed(data: bytes) -> None:
    with suppress(MalformedMessage):
        codec.decode(data)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": "' + SECRET.encode()])
def test_bytes_that_are_no_json_are_malformed_and_not_quoted(data: bytes) -> None:
    with pytest.raises(MalformedMessage, match="not JSON") as caught:
        codec.decode(data)
    assert caught.value.code is ErrorCode.PARSE
    assert caught.value.__cause__ is None
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("value", [object(), {1: 2}, 2**70, "\ud800", {"a": {1, 2}}, b"bytes"])
def test_value_that_is_not_json_is_not_sent_nor_quoted(value: object) -> None:
    with pytest.raises(MalformedMessage, match="not JSON") as caught:
        codec.encode({"value": value, "other": SECRET})
    assert caught.value.code is ErrorCode.INVALID_PARAMS
    assert SECRET not in str(caught.value)


def test_value_nested_without_end_is_not_sent() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    with pytest.raises(MalformedMessage):
        codec.encode(endless)


def test_size_is_bounded_both_ways() -> None:
    message = codec.request("m", {"text": "x" * 100}, 1)
    with pytest.raises(MalformedMessage) as encoding:
        codec.encode(message, max_bytes=100)
    with pytest.raises(MalformedMessage) as decoding:
        codec.decode(codec.encode(message), max_bytes=100)
    assert encoding.value.code is decoding.value.code is ErrorCode.TOO_LARGE


# Reading an answer


def test_result_and_error_are_read() -> None:
    assert codec.read_response(codec.result_response(4, {"a": 1}), 4) == Success({"a": 1})
    assert codec.read_response(codec.result_response(4, None), 4) == Success(None)
    error = codec.error_response(4, ErrorCode.BUSY, {"retry_after": 1})
    assert codec.read_response(error, 4) == Failure(-32010, {"retry_after": 1})


def test_error_without_an_id_answers_a_request_that_could_not_be_read() -> None:
    assert codec.read_response(codec.error_response(None, ErrorCode.PARSE), 4) == Failure(-32700, None)


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        (None, "an object is expected"),
        ([], "an object is expected"),
        ("text", "an object is expected"),
        ({"result": 1, "id": 1}, "/jsonrpc"),
        ({"jsonrpc": "1.0", "result": 1, "id": 1}, "/jsonrpc"),
        ({"jsonrpc": "2.0", "id": 1}, "exactly one"),
        ({"jsonrpc": "2.0", "result": 1, "error": {"code": 1, "message": ""}, "id": 1}, "exactly one"),
        ({"jsonrpc": "2.0", "result": 1}, "/id"),
        ({"jsonrpc": "2.0", "result": 1, "id": None}, "/id"),
        ({"jsonrpc": "2.0", "result": 1, "id": 2}, "/id"),
        ({"jsonrpc": "2.0", "result": 1, "id": "1"}, "/id"),
        ({"jsonrpc": "2.0", "result": 1, "id": True}, "/id"),
        ({"jsonrpc": "2.0", "error": {"code": 1, "message": ""}, "id": 2}, "/id"),
        ({"jsonrpc": "2.0", "error": "boom", "id": 1}, "/error"),
        ({"jsonrpc": "2.0", "error": {"code": "1", "message": ""}, "id": 1}, "/error/code"),
        ({"jsonrpc": "2.0", "error": {"code": True, "message": ""}, "id": 1}, "/error/code"),
        ({"jsonrpc": "2.0", "error": {"code": 1}, "id": 1}, "/error/message"),
    ],
)
def test_malformed_answer_is_permanent_and_names_the_place(answer: object, place: str) -> None:
    with pytest.raises(PermanentError, match=place):
        codec.read_response(answer, 1)


@given(near_misses | json_values)
def test_any_answer_is_read_or_malformed(answer: object) -> None:
    try:
        read = codec.read_response(answer, 1)
    except MalformedMessage:
        return
    assert isinstance(answer, Mapping)
    assert isinstance(read, (Success, Failure))


# Error codes


def test_table_of_codes_is_complete() -> None:
    assert set(MEANINGS) == set(ErrorCode)
    assert all(one.sentence for one in MEANINGS.values())


def test_codes_are_in_the_ranges_of_the_specification() -> None:
    ours = {code for code in ErrorCode if code > -32100}
    assert all(-32099 <= code <= -32000 for code in ours)
    assert {int(code) for code in set(ErrorCode) - ours} == {-32700, -32600, -32601, -32602, -32603}


@pytest.mark.parametrize("code", list(ErrorCode))
def test_code_becomes_the_error_its_meaning_says(code: ErrorCode) -> None:
    error = error_for(code, {"retry_after": 3}, method="storacle.query")
    assert type(error) is meaning(code).error
    assert code.name.lower() in str(error)
    assert "storacle.query" in str(error)
    if isinstance(error, TransientError):
        assert error.retry_after == 3


@pytest.mark.parametrize("code", [0, 1, -32050, -40000, 10**30, 123456789])
def test_unknown_code_is_permanent(code: int) -> None:
    error = error_for(code, None, method="m")
    assert type(error) is PermanentError
    assert ("-32050" in str(error)) == (code == -32050)
    assert "123456789" not in str(error)


@pytest.mark.parametrize(
    ("wait", "read"),
    [(0, 0.0), (1.5, 1.5), (10**400, 86_400.0), (float("inf"), 86_400.0)]
    + [(wrong, None) for wrong in (-1, True, "5", None, float("nan"), [1])],
)
def test_only_a_sensible_wait_is_obeyed(wait: object, read: float | None) -> None:
    error = error_for(ErrorCode.BUSY, {"retry_after": wait}, method="m")
    assert isinstance(error, TransientError)
    assert error.retry_after == read


def test_pointer_and_op_id_are_shown_when_they_are_well_formed() -> None:
    error = error_for(
        ErrorCode.CONFLICT, {"pointer": "/plan/ops/0/params/rows/17", "op_id": "write-000001"}, method="m"
    )
    assert "at /plan/ops/0/params/rows/17" in str(error)
    assert "'write-000001'" in str(error)


@pytest.mark.parametrize(
    "data", [{"pointer": f"/{SECRET}"}, {"op_id": f"{SECRET} x"}, {"message": SECRET}, SECRET, [SECRET]]
)
def test_nothing_else_of_a_foreign_error_is_shown(data: object) -> None:
    assert SECRET not in str(error_for(ErrorCode.CONFLICT, data, method="m"))


@given(st.integers(), json_values)
def test_any_error_of_a_service_can_be_described(code: int, data: object) -> None:
    assert describe(code, data)
    assert isinstance(error_for(code, data, method="m"), (TransientError, PermanentError))
