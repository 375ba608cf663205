"""`assert.rows`, `assert.exists`, `assert.unique`: what the data must fulfil for the ops of a group to be applied.

Result: `matched`, how many rows were looked at. Errors: `assertion_failed`. They change nothing, so repeating one is
harmless; with the ledger, a resend is not asked again.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from lorchestra.errors import Path
from lorchestra.storacle.params import Columns, Identifier, Params, parse
from lorchestra.storacle.read_spec import Where, parse_where

Count = Annotated[int, Field(ge=0, strict=True)]


def _where(value: Any) -> Where:
    return parse_where(value, ("where",))


Conditions = Annotated[Any, BeforeValidator(_where)]


class AssertRows(Params):
    """The number of rows that match is `count`, or is from `min` to `max`."""

    dataset: Identifier
    table: Identifier
    where: Conditions = ()
    count: Count | None = None
    min: Count | None = None
    max: Count | None = None

    @model_validator(mode="after")
    def _is_bounded(self) -> AssertRows:
        if (self.count is None) == (self.min is None and self.max is None):
            raise ValueError("either 'count', or 'min' or 'max' or both, is expected")
        return self

    def holds_for(self, found: int) -> bool:
        if self.count is not None:
            return found == self.count
        return (self.min or 0) <= found and (self.max is None or found <= self.max)


class AssertExists(Params):
    """At least one row matches."""

    dataset: Identifier
    table: Identifier
    where: Conditions


class AssertUnique(Params):
    """No two of the rows that match have the same values in `columns`. Rows with a null there are left out."""

    dataset: Identifier
    table: Identifier
    columns: Columns
    where: Conditions = ()


def read_rows(value: Any, at: Path) -> AssertRows:
    return parse(AssertRows, value, at)


def read_exists(value: Any, at: Path) -> AssertExists:
    return parse(AssertExists, value, at)


def read_unique(value: Any, at: Path) -> AssertUnique:
    return parse(AssertUnique, value, at)
