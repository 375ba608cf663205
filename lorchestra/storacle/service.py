"""The JSON-RPC face of a storacle service: a table of methods, and errors by code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path as FilePath
from typing import Any, TypeAlias

from lorchestra.code_names import type_name
from lorchestra.errors import Path, pointer
from lorchestra.json_value import JSONValue
from lorchestra.reporting import log
from lorchestra.storacle import codec
from lorchestra.storacle.codec import Batch, Call, Invalid, Message, Notification, Params
from lorchestra.storacle.error_codes import ErrorCode

Method: TypeAlias = Callable[[Params], JSONValue]

_LOG = log.get_logger(__name__)


class RpcError(Exception):
    """What a method answers instead of a result. `at` is the place in its params, as a path."""

    def __init__(self, code: ErrorCode, *, at: Path = (), retry_after: float | None = None) -> None:
        super().__init__(code.name.lower())
        self.code = code
        self.at = at
        self.retry_after = retry_after

    def data(self) -> dict[str, Any]:
        data: dict[str, Any] = {}
        if self.at:
            data["pointer"] = pointer(self.at)
        if self.retry_after is not None:
            data["retry_after"] = self.retry_after
        return data


class Dispatcher:
    """Answers any message, single or batch, from a table of methods. `handle` never raises."""

    def __init__(self, methods: Mapping[str, Method]) -> None:
        self._methods = methods

    def handle(self, message: object) -> Message | None:
        request = codec.parse(message)
        if not isinstance(request, Batch):
            return self._answer(request)
        answers = [answer for one in request.requests if (answer := self._answer(one)) is not None]
        return answers or None

    def _answer(self, request: Call | Notification | Invalid) -> dict[str, Any] | None:
        if isinstance(request, Invalid):
            return codec.error_response(request.id, request.code)
        response = self._respond(request, request.id if isinstance(request, Call) else None)
        return response if isinstance(request, Call) else None

    def _respond(self, request: Call | Notification, id: codec.Id) -> dict[str, Any]:
        method = self._methods.get(request.method)
        if method is None:
            return codec.error_response(id, ErrorCode.METHOD_NOT_FOUND)
        try:
            return codec.result_response(id, method(request.params))
        except RpcError as error:
            return codec.error_response(id, error.code, error.data())
        except Exception as error:  # noqa: BLE001  the edge of the service: whatever happened, the peer gets an answer
            # The message of a foreign exception could quote a row.
            _LOG.error(
                "storacle.internal_error",
                rpc_method=request.method,
                error_type=type_name(type(error)),
                raised_at=_place(error),
            )
            return codec.error_response(id, ErrorCode.INTERNAL)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "?"
    code = trace.tb_frame.f_code
    return f"{FilePath(code.co_filename).name}:{trace.tb_lineno}:{code.co_name}"
