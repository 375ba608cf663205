"""JSON-RPC 2.0, as values.

A message is a plain dict (or, for a batch, a list of them), so that a transport within one process passes the rows of
a plan without encoding them. Transports that cross a wire use `encode` and `decode`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import orjson

from lorchestra.errors import PermanentError
from lorchestra.json_value import JSONObject, JSONValue, canonical_bytes
from lorchestra.storacle.error_codes import ErrorCode

VERSION = "2.0"
MAX_BYTES = 96 * 1024 * 1024
"""Room for the largest atomic group, which has 64 MiB of rows, and for what is around it."""
MAX_BATCH = 1_000

Id: TypeAlias = str | int | float | None
Params: TypeAlias = Mapping[str, Any] | Sequence[Any]
Message: TypeAlias = dict[str, Any] | list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """A request that is to be answered."""

    id: Id
    method: str
    params: Params


@dataclass(frozen=True, slots=True)
class Notification:
    """A request that must not be answered."""

    method: str
    params: Params


@dataclass(frozen=True, slots=True)
class Invalid:
    """What arrived is no request; the answer is an error."""

    id: Id
    code: ErrorCode


@dataclass(frozen=True, slots=True)
class Batch:
    requests: tuple[Call | Notification | Invalid, ...]


@dataclass(frozen=True, slots=True)
class Success:
    result: Any


@dataclass(frozen=True, slots=True)
class Failure:
    code: int
    data: Any


class MalformedMessage(PermanentError):
    """A message that cannot be sent or read. It quotes nothing of the message."""

    def __init__(self, code: ErrorCode, text: str) -> None:
        super().__init__(f"JSON-RPC: {text}")
        self.code = code


def request(method: str, params: JSONObject, id: str | int) -> dict[str, Any]:
    return {"jsonrpc": VERSION, "method": method, "params": params, "id": id}


def result_response(id: Id, result: JSONValue) -> dict[str, Any]:
    return {"jsonrpc": VERSION, "result": result, "id": id}


def error_response(id: Id, code: ErrorCode, data: JSONObject | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": int(code), "message": code.name.lower()}
    if data:
        error["data"] = data
    return {"jsonrpc": VERSION, "error": error, "id": id}


def encode(message: Message, *, max_bytes: int = MAX_BYTES) -> bytes:
    """The bytes of a message. Raises MalformedMessage for what JSON cannot hold, and for what is too large."""
    try:
        data = canonical_bytes(message)
    except (TypeError, RecursionError):
        # orjson's own text is left out: an exception of a caller's mapping could quote a value.
        raise MalformedMessage(ErrorCode.INVALID_PARAMS, "the message holds a value that is not JSON") from None
    if len(data) > max_bytes:
        raise MalformedMessage(ErrorCode.TOO_LARGE, f"the message has {len(data)} bytes; {max_bytes} are allowed")
    return data


def decode(data: bytes, *, max_bytes: int = MAX_BYTES) -> Any:
    """The value of some bytes, which may be of any shape. Raises MalformedMessage when they are no JSON or too many."""
    if len(data) > max_bytes:
        raise MalformedMessage(ErrorCode.TOO_LARGE, f"the message has {len(data)} bytes; {max_bytes} are allowed")
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        # The decoder's exception carries the whole document.
        raise MalformedMessage(ErrorCode.PARSE, "the message is not JSON") from None


def parse(message: object) -> Call | Notification | Invalid | Batch:
    """Any incoming value or bytes as a request. Never raises."""
    if isinstance(message, (bytes, bytearray, memoryview)):
        try:
            message = decode(bytes(message))
        except MalformedMessage as error:
            return Invalid(None, error.code)
    if not isinstance(message, (list, tuple)):
        return _parse_one(message)
    if not message:
        return Invalid(None, ErrorCode.INVALID_REQUEST)
    if len(message) > MAX_BATCH:
        return Invalid(None, ErrorCode.TOO_LARGE)
    return Batch(tuple(_parse_one(entry) for entry in message))


def read_response(message: object, id: Id) -> Success | Failure:
    """The answer to the request with this id. Raises MalformedMessage, with a JSON pointer, for anything else."""
    if not isinstance(message, Mapping):
        raise _bad_answer("", "an object is expected")
    if message.get("jsonrpc") != VERSION:
        raise _bad_answer("/jsonrpc", f"'{VERSION}' is expected")
    if ("result" in message) == ("error" in message):
        raise _bad_answer("", "exactly one of 'result' and 'error' is expected")
    failure = _read_error(message["error"]) if "error" in message else None
    answered = message.get("id")
    # A peer that could not read the request answers with an error and no id.
    unread = failure is not None and answered is None
    if "id" not in message or not (unread or (type(answered) is type(id) and answered == id)):
        raise _bad_answer("/id", "the id of the request is expected")
    return failure or Success(message["result"])


def _parse_one(value: object) -> Call | Notification | Invalid:
    if not isinstance(value, Mapping):
        return Invalid(None, ErrorCode.INVALID_REQUEST)
    has_id = "id" in value
    id = value.get("id")
    if has_id and not _is_id(id):
        return Invalid(None, ErrorCode.INVALID_REQUEST)
    method = value.get("method")
    params = value.get("params", {})
    if (
        value.get("jsonrpc") != VERSION
        or not isinstance(method, str)
        or not isinstance(params, (Mapping, list, tuple))
        or not method
    ):
        return Invalid(id, ErrorCode.INVALID_REQUEST)
    return Call(id, method, params) if has_id else Notification(method, params)


def _is_id(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or (isinstance(value, (str, int)) and not isinstance(value, bool))


def _read_error(error: object) -> Failure:
    if not isinstance(error, Mapping):
        raise _bad_answer("/error", "an object is expected")
    code = error.get("code")
    if not isinstance(code, int) or isinstance(code, bool):
        raise _bad_answer("/error/code", "an integer is expected")
    if not isinstance(error.get("message"), str):
        raise _bad_answer("/error/message", "a string is expected")
    return Failure(int(code), error.get("data"))


def _bad_answer(pointer: str, expected: str) -> MalformedMessage:
    where = f" at {pointer}" if pointer else ""
    return MalformedMessage(ErrorCode.INVALID_REQUEST, f"the answer is malformed{where}: {expected}")
