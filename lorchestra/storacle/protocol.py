"""What lorchestra asks of storacle, whoever answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from lorchestra.errors import PermanentError
from lorchestra.json_value import JSONObject
from lorchestra.schemas import StoraclePlan
from lorchestra.schemas.envelope import PRODUCTION
from lorchestra.storacle.error_codes import ErrorCode

if TYPE_CHECKING:
    from lorchestra.storacle.backends.base import NamespaceObject

META_VERSION = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class RpcMeta:
    """Who asks, for which run, in which namespace; `token` fences off whoever was replaced."""

    job_id: str
    run_id: str
    step_id: str
    correlation_id: str
    ts: str
    namespace: str = PRODUCTION
    read_namespace: str | None = None
    """Where rows are read, when not in the namespace itself. Markers and cursors are always the namespace's own."""
    job_version: str | None = None
    code_sha256: str | None = None
    """Of all the code of the run: the ledger says with it what wrote a row."""
    token: int | None = None
    attempt_n: int = 1
    """Of the run: whoever opens it for an earlier attempt than another did is refused."""
    caller: str = "lorchestra"
    schema_version: str = META_VERSION

    def to_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}


class OpStatus(StrEnum):
    APPLIED = "applied"
    ALREADY = "already"
    """Recognised as a resend: it was applied earlier, and had no effect now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpResult:
    """What became of one op. Counts as its method documents; those of an earlier time when it was `already` applied."""

    op_id: str
    method: str
    status: OpStatus
    counts: Mapping[str, int] = field(default_factory=dict)


class PlanRefused(PermanentError):
    """An op was refused; what came before it in the plan stays applied, nothing of it or after it is.

    When the op stands in an atomic group, nothing of its group is applied.
    """

    def __init__(
        self,
        *,
        op_id: str,
        method: str,
        reason: str,
        applied: tuple[OpResult, ...],
        code: int = ErrorCode.REFUSED,
    ) -> None:
        stays = f"; ops before it that stay applied: {len(applied)}" if applied else ""
        super().__init__(f"storacle refused op '{op_id}' ({method}): {reason}{stays}")
        self.op_id = op_id
        self.method = method
        self.reason = reason
        self.applied = applied
        self.code = code


class StoracleClient(Protocol):
    """Raises TransientError or PermanentError, by the table of JSON-RPC error codes; PlanRefused for a refused op."""

    def open_run(self, meta: RpcMeta) -> int:
        """Claim the run in its namespace. The token returned makes every earlier token of the run worthless.

        Refused once a later attempt has claimed it: a worker that was paused may wake as late as just before this.
        """

    def execute_plan(self, plan: StoraclePlan, meta: RpcMeta) -> tuple[OpResult, ...]:
        """Apply the ops in order, atomic groups as one; the same plan again has no second effect."""

    def query(self, read: JSONObject, meta: RpcMeta) -> Iterator[Mapping[str, Any]]:
        """The rows a declarative read asks for, a page at a time."""

    def objects(self, namespace: str) -> tuple[NamespaceObject, ...]:
        """All that a smoke namespace made: tables, views, files, copies and sheets."""

    def clean(self, namespace: str) -> int:
        """Remove exactly that, and say how many there were. What could not be removed is listed until it is."""
