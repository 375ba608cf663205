"""The data plane: lorchestra reads and writes data through this door only."""

from lorchestra.schemas import StoraclePlan
from lorchestra.storacle.client import RpcClient
from lorchestra.storacle.protocol import OpResult, OpStatus, PlanRefused, RpcMeta, StoracleClient

__all__ = ["OpResult", "OpStatus", "PlanRefused", "RpcClient", "RpcMeta", "StoracleClient", "submit_plan"]


def submit_plan(plan: StoraclePlan, meta: RpcMeta, *, client: StoracleClient) -> tuple[OpResult, ...]:
    """Apply a plan. The same plan again has no second effect. Raises what the client raises."""
    return client.execute_plan(plan, meta)
