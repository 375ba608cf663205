"""A function over many inputs, by several threads, with its results in the order of the inputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def mapped(function: Callable[[A], B], inputs: Iterable[A], *, threads: int) -> Generator[B, None, None]:
    """Twice as many results as there are threads are held at most. The first error is raised, and ends the others."""
    if threads == 1:
        yield from map(function, inputs)
        return
    pool = ThreadPoolExecutor(threads, thread_name_prefix="injest")
    waiting: deque[Future[B]] = deque()
    try:
        for one in inputs:
            waiting.append(pool.submit(function, one))
            if len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
