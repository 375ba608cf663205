"""A measured figure, its baseline, and what was promised of their ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    name: str
    measured: float
    baseline: float
    unit: str
    bound: float
    at_least: bool = False
    """The ratio must reach the bound; otherwise it must not pass it."""

    @property
    def ratio(self) -> float:
        return self.measured / self.baseline

    @property
    def holds(self) -> bool:
        return self.ratio >= self.bound if self.at_least else self.ratio <= self.bound

    def to_dict(self) -> dict[str, object]:
        return {
            "name": self.name,
            "measured": self.measured,
            "baseline": self.baseline,
            "unit": self.unit,
            "ratio": round(self.ratio, 3),
            "bound": f"{'>=' if self.at_least else '<='} {self.bound:g}",
            "holds": self.holds,
        }

    def told(self) -> str:
        sign = ">=" if self.at_least else "<="
        return (
            f"{self.measured:>12,.3f} {self.unit} over {self.baseline:,.3f}"
            f"  ratio {self.ratio:6.2f} {sign} {self.bound:g}  {'holds' if self.holds else 'BROKEN'}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMeasured:
    """A figure that cannot be had here: it may be broken, so it does not hold."""

    name: str
    reason: str
    holds: Literal[False] = False

    def to_dict(self) -> dict[str, object]:
        return {"name": self.name, "not_measured": self.reason, "holds": self.holds}

    def told(self) -> str:
        return f"NOT MEASURED: {self.reason}"


def median_seconds(work: Callable[[], object], *, times: int) -> float:
    return statistics.median(_seconds(work) for _ in range(times))


def median_pair(one: Callable[[], object], other: Callable[[], object], *, times: int) -> tuple[float, float]:
    """The medians of two pieces of work, taken in turns so that a noisy moment strikes both."""
    taken = [(_seconds(one), _seconds(other)) for _ in range(times)]
    return statistics.median(a for a, _ in taken), statistics.median(b for _, b in taken)


def print_table(figures: Sequence[Figure | NotMeasured]) -> None:
    width = max(len(figure.name) for figure in figures)
    for figure in figures:
        print(f"{figure.name:<{width}}  {figure.told()}")


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin
