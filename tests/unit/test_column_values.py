"""What columns take: one form for each value, or a refusal that both backends understand."""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

import pytest

from lorchestra.storacle.backends.values import INWARD
from lorchestra.storacle.tables import Type


class Colour(StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    ("type_", "value", "kept"),
    [
        (Type.STRING, Colour.RED, "red"),
        (Type.STRING, datetime(2026, 3, 1, tzinfo=UTC), "2026-03-01T00:00:00.000000Z"),
        (Type.TIMESTAMP, "2026-03-01T01:00:00+02:00", "2026-02-28T23:00:00.000000Z"),
        (Type.DATE, date(2026, 3, 1), "2026-03-01"),
        (Type.FLOAT64, 2, 2.0),
        (Type.BOOL, True, True),
        (Type.JSON, {"b": 1, "a": None}, '{"a":null,"b":1}'),
    ],
)
def test_value_is_kept_in_one_form(type_: Type, value: Any, kept: Any) -> None:
    found = INWARD[type_](value)
    assert (found, type(found)) == (kept, type(kept))


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (Type.STRING, 5),
        (Type.INT64, 2**63),
        (Type.INT64, True),
        (Type.FLOAT64, float("nan")),
        (Type.FLOAT64, 10**400),
        (Type.BOOL, 1),
        (Type.TIMESTAMP, "yesterday"),
        (Type.DATE, datetime(2026, 3, 1, tzinfo=UTC)),
        (Type.JSON, object()),
    ],
)
def test_what_a_column_cannot_hold_is_refused(type_: Type, value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        INWARD[type_](value)
