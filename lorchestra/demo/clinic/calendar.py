"""The days of the clinic. Day 1 is the first that is shown; what is older lies there already."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random

DAY_ONE = datetime(2026, 6, 1, tzinfo=UTC)
HISTORY = 90
"""How many days before the first there is something from."""


def days_until(day: int) -> Iterator[int]:
    """The days whose doings are there on the evening of a day; those before day 1 have the numbers 0, -1, ..."""
    yield from range(1 - HISTORY, day + 1)


def moment(day: int, random: Random) -> datetime:
    """A moment in the opening hours of a day."""
    return DAY_ONE + timedelta(days=day - 1, hours=8, seconds=random.randrange(9 * 3600))


def random_of(*names: object) -> Random:
    """Chance, the same each time for the same names: what happens on one day does not depend on the days before."""
    return Random("clinic/" + "/".join(map(str, names)))
