"""Where scripts that write are carried out: in turn, and again when another writer got in the way."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from google.api_core import exceptions as api

from lorchestra.storacle.backends.base import ReadyOp, UnitRefused
from lorchestra.storacle.backends.bigquery import errors, scripts
from lorchestra.storacle.backends.bigquery.jobs import Jobs
from lorchestra.storacle.backends.bigquery.scripts import Raised, Script
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.params import Meta
from lorchestra.storacle.service import RpcError

_WAIT_INITIAL_S = 0.1
_WAIT_MOST_S = 5.0


class Runner:
    def __init__(
        self, jobs: Jobs, *, most_attempts: int, sleep: Callable[[float], None], chance: Callable[[], float]
    ) -> None:
        self._jobs = jobs
        self._most_attempts = most_attempts
        self._sleep = sleep
        self._chance = chance
        # Threads of one process wait for each other, rather than be refused by BigQuery.
        self._turns: dict[str, threading.Lock] = defaultdict(threading.Lock)

    def run(self, script: Script, meta: Meta, unit: Sequence[ReadyOp] = ()) -> list[Any]:
        """What the script answers. Raises RpcError and UnitRefused for what it stopped with."""
        try:
            return list(self._jobs.rows(script.sql, script.parameters, meta=meta, name="write"))
        except errors.FOREIGN as error:
            stopped = scripts.raised(error)
            if stopped is None:
                raise
            raise _refusal(stopped, unit) from None

    def run_in_turn(self, script: Script, meta: Meta, unit: Sequence[ReadyOp] = ()) -> list[Any]:
        """The same for one transaction, tried with longer and longer waits while other writers get in the way."""
        for attempt in range(self._most_attempts):
            try:
                with self._turns[meta.namespace]:
                    return self.run(script, meta, unit)
            except api.BadRequest as error:
                if not errors.is_conflict(error) or attempt + 1 == self._most_attempts:
                    raise
            self._sleep(min(_WAIT_MOST_S, _WAIT_INITIAL_S * 2**attempt) * (0.5 + self._chance()))
        raise AssertionError("there is at least one attempt")


def _refusal(stopped: Raised, unit: Sequence[ReadyOp]) -> Exception:
    """What a script stopped with, as the service has it."""
    if stopped.word == "fenced":
        return RpcError(ErrorCode.FENCED)
    at = unit[stopped.op].at
    match stopped.word:
        case "conflict":
            error = RpcError(ErrorCode.CONFLICT, at=(*at, "rows", stopped.row))
        case "expected":
            error = RpcError(ErrorCode.CONFLICT, at=(*at, "expected"))
        case "key_columns":
            error = RpcError(ErrorCode.INVALID_PARAMS, at=(*at, "key_columns"))
        case "assertion":
            error = RpcError(ErrorCode.ASSERTION_FAILED)
        case _:
            error = RpcError(ErrorCode.INTERNAL)
    return UnitRefused(stopped.op, error)
