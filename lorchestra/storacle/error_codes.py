"""The error codes of storacle: one table from a code to who must act and a sentence for them.

A service's own message text is never shown, because it could hold values; the code, the method, the op and a JSON
pointer say what happened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from lorchestra.errors import PermanentError, TransientError


class ErrorCode(IntEnum):
    PARSE = -32700
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    INVALID_PARAMS = -32602
    INTERNAL = -32603

    REFUSED = -32000
    FENCED = -32001
    CONFLICT = -32002
    ASSERTION_FAILED = -32003
    UNSUPPORTED = -32004
    TOO_LARGE = -32005
    UNAUTHORIZED = -32006
    FORBIDDEN = -32007
    STORAGE_FULL = -32008
    BUSY = -32010
    UNAVAILABLE = -32011
    TIMEOUT = -32012
    RATE_LIMITED = -32013


@dataclass(frozen=True, slots=True)
class Meaning:
    error: type[TransientError] | type[PermanentError]
    sentence: str


MEANINGS: Mapping[ErrorCode, Meaning] = {
    ErrorCode.PARSE: Meaning(PermanentError, "the request was not JSON when it arrived; look for a proxy in between"),
    ErrorCode.INVALID_REQUEST: Meaning(PermanentError, "the request was no JSON-RPC 2.0 request"),
    ErrorCode.METHOD_NOT_FOUND: Meaning(PermanentError, "this service has no such method"),
    ErrorCode.INVALID_PARAMS: Meaning(PermanentError, "the params are not what the method takes"),
    ErrorCode.INTERNAL: Meaning(PermanentError, "the service failed; its own log says where"),
    ErrorCode.REFUSED: Meaning(PermanentError, "the service will not do this"),
    ErrorCode.FENCED: Meaning(PermanentError, "the run was opened anew elsewhere; this worker may write no more"),
    ErrorCode.CONFLICT: Meaning(PermanentError, "what is stored already differs from what this writer expects"),
    ErrorCode.ASSERTION_FAILED: Meaning(PermanentError, "the data does not fulfil what the op asserts"),
    ErrorCode.UNSUPPORTED: Meaning(PermanentError, "this service cannot do what was asked; another backend may"),
    ErrorCode.TOO_LARGE: Meaning(PermanentError, "the request is larger than the service takes; use smaller batches"),
    ErrorCode.UNAUTHORIZED: Meaning(PermanentError, "the service does not know the caller; check the token"),
    ErrorCode.FORBIDDEN: Meaning(PermanentError, "the caller may not do this"),
    ErrorCode.STORAGE_FULL: Meaning(PermanentError, "the service's storage is full; make room, then resume the run"),
    ErrorCode.BUSY: Meaning(TransientError, "the service is busy with other writers"),
    ErrorCode.UNAVAILABLE: Meaning(TransientError, "the service cannot be reached or cannot reach its storage"),
    ErrorCode.TIMEOUT: Meaning(TransientError, "the service took too long"),
    ErrorCode.RATE_LIMITED: Meaning(TransientError, "the service asks for fewer requests"),
}

_UNKNOWN = Meaning(PermanentError, "the service answered with an error code that lorchestra does not know")

# Names of the protocol. Other names in a pointer are keys of what was sent, and those may be data.
# fmt: off
POINTER_WORDS = frozenset({
    "after", "attempt_n", "code_hash", "code_sha256", "columns", "content", "content_base64", "content_sha256",
    "correlation_id", "count", "dataset", "eq", "expected", "files", "folder", "group", "gt", "gte",
    "idempotency_key", "in", "is_null", "job_id", "job_version", "keep", "key", "key_columns", "kind", "limit",
    "list", "lt", "lte", "max", "meta", "method", "min", "name", "namespace", "ne", "never_back", "op_id", "ops",
    "order_by", "params", "path", "plan", "projected_at", "read", "read_namespace", "root", "rows", "run_id",
    "sheet", "source", "spreadsheet_id", "sql", "stage", "step_id", "table", "token", "type", "unprocessed",
    "value", "version", "where",
})
# fmt: on

# Names and positions, and short: a pointer made by a foreign service must not carry a value along.
_POINTER = re.compile(r"(?:/(?:[A-Za-z_][A-Za-z0-9_]{0,63}|[0-9]{1,7})){1,12}", re.ASCII)
_OP_ID = re.compile(r"[A-Za-z0-9_.:#-]{1,128}", re.ASCII)
_LONGEST_WAIT = 24 * 3600.0


def meaning(code: int) -> Meaning:
    try:
        return MEANINGS[ErrorCode(code)]
    except ValueError:
        return _UNKNOWN


def describe(code: int, data: object = None) -> str:
    """The sentence of a code, with the pointer in `data` when it is well-formed; `*` stands for a key that was sent."""
    try:
        name = ErrorCode(code).name.lower()
    except ValueError:
        # JSON-RPC reserves this range for codes; any other number could be a value.
        name = str(code) if -32768 <= code <= -32000 else "code out of range"
    where = _known(_matching(_POINTER, data, "pointer"))
    return f"{meaning(code).sentence} ({name}{f', at {where}' if where else ''})"


def error_for(code: int, data: object, *, method: str, op_id: str | None = None) -> TransientError | PermanentError:
    """The exception a client raises for an error answer."""
    op = op_id or _matching(_OP_ID, data, "op_id")
    text = f"storacle: {method}{f' of op {op!r}' if op else ''}: {describe(code, data)}"
    if issubclass(meaning(code).error, TransientError):
        return TransientError(text, retry_after=_retry_after(data))
    return PermanentError(text)


def _known(where: str | None) -> str | None:
    if where is None:
        return None
    return "/".join(part if part in POINTER_WORDS or not part or part.isdigit() else "*" for part in where.split("/"))


def _matching(pattern: re.Pattern[str], data: object, name: str) -> str | None:
    value: Any = data.get(name) if isinstance(data, Mapping) else None
    return value if isinstance(value, str) and pattern.fullmatch(value) else None


def _retry_after(data: object) -> float | None:
    value: Any = data.get("retry_after") if isinstance(data, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        return None
    return float(min(value, _LONGEST_WAIT))
