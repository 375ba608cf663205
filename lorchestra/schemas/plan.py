"""What storacle is asked to do, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lorchestra.json_value import JSONObject

PLAN_VERSION = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoracleOp:
    """One operation. Neighbours with the same `group` are applied together or not at all."""

    op_id: str
    method: str
    params: Mapping[str, Any]
    idempotency_key: str
    group: str | None = None
    content_sha256: str = ""
    """Of method and params alone, so that equal work shows as equal in whatever run; the ledger keeps it."""

    def to_dict(self) -> dict[str, Any]:
        plain: dict[str, Any] = {
            "op_id": self.op_id,
            "method": self.method,
            "params": self.params,
            "idempotency_key": self.idempotency_key,
        }
        if self.content_sha256:
            plain["content_sha256"] = self.content_sha256
        return plain if self.group is None else {**plain, "group": self.group}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoraclePlan:
    correlation_id: str
    ops: tuple[StoracleOp, ...]
    kind: Literal["storacle.plan"] = "storacle.plan"
    version: str = PLAN_VERSION

    def to_dict(self) -> JSONObject:
        return {
            "kind": self.kind,
            "version": self.version,
            "correlation_id": self.correlation_id,
            "ops": [op.to_dict() for op in self.ops],
        }
