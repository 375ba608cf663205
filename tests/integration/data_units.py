"""Small units of ops for a data file, and what is there when so many of them have landed."""

from __future__ import annotations

from typing import Any

from lorchestra.schemas import StoracleOp, StoraclePlan
from lorchestra.storacle import OpStatus, RpcClient, RpcMeta
from lorchestra.storacle.transports import InProcessTransport
from tests.data_plane import DataPlane
from tests.integration.plan_process import META


def client_of(data: DataPlane) -> RpcClient:
    return RpcClient(InProcessTransport(data))


def unit(number: int) -> tuple[StoracleOp, ...]:
    """Rows, and the cursor that speaks of them, in one group."""
    rows = [{"k": f"{number}-{row:02d}", "v": "x" * 2000} for row in range(20)]
    ops: dict[str, dict[str, Any]] = {
        "wal.append": {"dataset": "raw", "table": "objects", "key_columns": ["k"], "rows": rows},
        "state.put": {"key": f"cursor{number:02d}", "value": number, "expected": None},
    }
    return tuple(
        StoracleOp(op_id=name, method=name, params=params, idempotency_key=f"{name}-{number}", group=f"g{number}")
        for name, params in ops.items()
    )


def submit(data: DataPlane, *ops: StoracleOp, meta: RpcMeta = META) -> set[OpStatus]:
    plan = StoraclePlan(correlation_id=META.run_id, ops=ops)
    return {one.status for one in client_of(data).execute_plan(plan, meta)}


def expect_units(data: DataPlane, number: int) -> None:
    """The first so many units are there, each whole, and nothing else."""
    assert data.effects == 2 * number
    assert len(data.rows("raw", "objects")) == 20 * number
    assert [row["value"] for row in data.rows("storacle", "_state")] == list(range(number))
