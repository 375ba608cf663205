"""`bq_reader`: the rows of a table or view, packaged for `sqlite.sync`, which reads them where the data lies.

So ten rows or ten million are one item. Params: `source`, a read; `root`, `path`, `table` and `key_columns`, where the
copy lies; `columns`, with their types, for a source that does not know them; `projected_at`, a time (now), or false.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from lorchestra.callable import step_params
from lorchestra.callable.context import CallableContext
from lorchestra.json_value import FrozenObject
from lorchestra.schemas.value import Value

_Names = Annotated[tuple[str, ...], Field(min_length=1)]


class _Column(Value):
    name: str
    type: Literal["STRING", "INT64", "FLOAT64", "BOOL", "TIMESTAMP", "DATE", "JSON"]


class _Source(Value):
    dataset: str
    table: str
    columns: _Names | None = None
    where: FrozenObject | None = None
    order_by: _Names | None = None
    limit: Annotated[int, Field(ge=0)] | None = None


class _Params(Value):
    source: _Source
    root: str = "files"
    path: str
    table: str
    key_columns: _Names
    columns: Annotated[tuple[_Column, ...], Field(min_length=1)] | None = None
    projected_at: AwareDatetime | Literal[False] | None = None


def execute(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
    given = step_params.parse(_Params, params)
    item = given.model_dump(mode="json", exclude_none=True, exclude={"projected_at"})
    if given.projected_at is not False:
        at = given.projected_at or context.clock.now()
        item["projected_at"] = at.astimezone(UTC).isoformat()
    return {"items": [item]}
