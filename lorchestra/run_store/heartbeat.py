"""A thread that says, again and again while it is wanted, that its process still runs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from lorchestra.errors import StoreError

_log = logging.getLogger(__name__)


class Heartbeat:
    """Calls `beat` every so often until `is_wanted` says no.

    A beat that fails is logged and tried again: others take the runs for interrupted if it goes on failing.
    """

    def __init__(
        self,
        beat: Callable[[], None],
        *,
        is_wanted: Callable[[], bool],
        every_s: float,
    ) -> None:
        self._beat = beat
        self._is_wanted = is_wanted
        self._every_s = every_s
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def ensure(self) -> None:
        """Call this after `is_wanted` became true."""
        with self._mutex:
            if self._thread is None and not self._stopping.is_set():
                self._thread = threading.Thread(target=self._run, name="lorchestra-heartbeat", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """No beat happens after this."""
        self._stopping.set()
        with self._mutex:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        # It ends at the first beat that nobody wants, not with the last run: a thread a run would cost more.
        while not self._stopping.wait(self._every_s) and not self._has_ended():
            self._try_beat()

    def _has_ended(self) -> bool:
        with self._mutex:
            if self._is_wanted():
                return False
            self._thread = None
            return True

    def _try_beat(self) -> None:
        try:
            self._beat()
        except StoreError as error:
            _log.warning("store.heartbeat_failed", extra={"reason": str(error)})
