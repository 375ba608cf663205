"""Keeps the HTTP library from logging what is said: at level DEBUG it would write down the headers of an answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_LOGGERS = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.proxy")
_is_asking: ContextVar[bool] = ContextVar("lorchestra_is_asking", default=False)


class _NotOurs(logging.Filter):
    """Lets pass what the library logs for anyone else in the process."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not _is_asking.get()


@contextmanager
def unlogged() -> Iterator[None]:
    token = _is_asking.set(True)
    try:
        yield
    finally:
        _is_asking.reset(token)


_NOT_OURS = _NotOurs()
for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_NOT_OURS)
