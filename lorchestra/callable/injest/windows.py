"""A range of time in windows, the oldest first, each so small that what is in it fits on one page.

For providers that list the newest first and can be asked for a window: without windows the cursor could move only when
all is fetched, and a first load that is killed would begin anew. Pure.
"""

from __future__ import annotations


class Windows:
    """The window that is to be fetched now, in whole seconds."""

    def __init__(self, begin: int | None, end: int, *, is_open: bool) -> None:
        """The first window has no begin where `begin` is None, and the last one no end if the range `is_open`."""
        self._start = begin or 0
        self._has_begin = begin is not None
        self._end = max(end, self._start)
        self._is_open = is_open
        # Most runs fetch what came since yesterday, and that fits.
        self._span = max(self._end - self._start, 1)
        self.is_done = self._start == self._end and not is_open

    @property
    def since(self) -> int | None:
        return self._start if self._has_begin else None

    @property
    def until(self) -> int | None:
        return None if self._is_last and self._is_open else self._upto

    def narrow(self) -> bool:
        """Halve the window, if that can be done."""
        length = self._upto - self._start
        if length < 2:
            return False
        self._span = length // 2
        return True

    def advance(self) -> None:
        """To the next window, twice as long."""
        self.is_done = self._is_last
        self._start, self._has_begin = self._upto, True
        self._span *= 2

    @property
    def _upto(self) -> int:
        return min(self._start + self._span, self._end)

    @property
    def _is_last(self) -> bool:
        return self._upto == self._end
