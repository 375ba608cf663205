"""What can be made to go wrong with a provider."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from lorchestra.demo.providers.messages import Answer, Refusal, Request


class Cut(StrEnum):
    """Where a connection is cut: before the request is looked at, or in the middle of the answer."""

    BEFORE = "before"
    HALF_WAY = "half_way"


Effect: TypeAlias = Answer | Cut | Callable[[], None]
"""What happens in place of the answer; or something that is done before it."""


@dataclass(slots=True, kw_only=True)
class Fault:
    effect: Effect
    path: str
    after: int
    times: int

    def is_met_by(self, request: Request) -> bool:
        if self.times < 1 or re.search(self.path, request.path) is None:
            return False
        self.after -= 1
        if self.after >= 0:
            return False
        self.times -= 1
        return True


class Faults:
    """Each is met by requests whose path has the pattern `path` in it, after so many that pass, so many `times`."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, effect: Effect, *, path: str = "", after: int = 0, times: int = 1) -> None:
        with self._lock:
            self._faults.append(Fault(effect=effect, path=path, after=after, times=times))

    def refuse(
        self,
        status: int,
        reason: str = "",
        *,
        retry_after: str | None = None,
        path: str = "",
        after: int = 0,
        times: int = 1,
    ) -> None:
        """Answer with an error, as with 429 or with 403 for `rateLimitExceeded`."""
        headers = {} if retry_after is None else {"Retry-After": retry_after}
        self.add(Refusal(status, reason or "refused", headers=headers).answer(), path=path, after=after, times=times)

    def garble(self, content: bytes = b"<html>", *, path: str = "", after: int = 0, times: int = 1) -> None:
        """Answer with something else, and status 200."""
        answer = Answer(headers={"Content-Type": "application/json"}, content=content)
        self.add(answer, path=path, after=after, times=times)

    @property
    def pending(self) -> int:
        """How many have not been met yet."""
        return sum(fault.times for fault in self._faults)

    def effect_for(self, request: Request) -> Effect | None:
        with self._lock:
            return next((fault.effect for fault in self._faults if fault.is_met_by(request)), None)
