"""The values of columns as JSON values, once they are read."""

from __future__ import annotations

import base64
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from lorchestra.storacle.backends.moments import timestamp


def outward(value: Any) -> Any:
    """A JSON value of what Google's client gives."""
    match value:
        case datetime():
            return timestamp(value)
        case date():
            return value.isoformat()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case bytes():
            return base64.b64encode(value).decode()
        case _:
            return value
