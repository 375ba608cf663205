"""Who wrote a row: what the ledger says of an op, found by the op's key or by the key of a row that it wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lorchestra.json_value import JSONObject
from lorchestra.storacle.protocol import RpcMeta, StoracleClient
from lorchestra.storacle.tables import CONTENT_HASH, OP, by_name

_OPERATIONS: JSONObject = {"dataset": "storacle", "table": "_ledger"}
_TABLES: JSONObject = {"dataset": "storacle", "table": "_tables", "where": {"kind": "table"}}
_KEY = "idem_key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A row, or an op alone; `op` is None for a row whose op the ledger has forgotten by now."""

    table: str | None
    content_hash: str | None
    op: Mapping[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        return {"table": self.table, "content_hash": self.content_hash, "op": self.op and dict(self.op)}


def find(client: StoracleClient, meta: RpcMeta, key: str) -> Iterator[Written]:
    """The op with this key; and each row with this idem_key, with the op that wrote it last."""
    for op in client.query({**_OPERATIONS, "where": {"key": key}}, meta):
        yield Written(table=None, content_hash=None, op=op)
    declared = by_name()
    for table in list(client.query(_TABLES, meta)):
        name = (table["dataset"], table["name"])
        if _KEY not in table["about"]["key_columns"]:
            continue
        columns = [OP, CONTENT_HASH] if name in declared else [OP]
        read: JSONObject = {"dataset": name[0], "table": name[1], "columns": columns, "where": {_KEY: key}}
        for row in client.query(read, meta):
            by_tag = client.query({**_OPERATIONS, "where": {"tag": row[OP]}}, meta)
            yield Written(table=".".join(name), content_hash=row.get(CONTENT_HASH), op=next(by_tag, None))
