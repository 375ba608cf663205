"""A run's right to read and write data in its namespace."""

from __future__ import annotations

from collections.abc import Callable

from lorchestra.clock import Clock
from lorchestra.json_value import sha256
from lorchestra.run_identity import RunIdentity
from lorchestra.storacle.protocol import RpcMeta, StoracleClient


class RunClaim:
    """Claims the run at storacle when it is first needed.

    Work that was abandoned keeps its old claim; the next try makes a new one, whose token makes the old one worthless.
    """

    def __init__(
        self, identity: RunIdentity, *, clock: Clock, confirm: Callable[[], None], supersedes: bool = False
    ) -> None:
        """`confirm` raises StaleAttempt when the run belongs to another attempt by now."""
        self._identity = identity
        self._code_sha256 = sha256(identity.code)
        self._clock = clock
        self._confirm = confirm
        self._token: int | None = None
        self._is_used = False
        self.supersedes = supersedes
        """Whether an older claim was made, or is just being made."""

    def meta(self, client: StoracleClient, step_id: str) -> RpcMeta:
        if self._token is None:
            self._is_used = True
            token = client.open_run(self._meta(step_id, None))
            # After the claim: a process that was paused just before it may have the newest token of all, although the
            # run was resumed elsewhere meanwhile.
            self._confirm()
            self._token = token
        return self._meta(step_id, self._token)

    def anew(self) -> RunClaim:
        return RunClaim(
            self._identity,
            clock=self._clock,
            confirm=self._confirm,
            supersedes=self.supersedes or self._is_used,
        )

    def _meta(self, step_id: str, token: int | None) -> RpcMeta:
        identity = self._identity
        return RpcMeta(
            job_id=identity.job_id,
            job_version=identity.job_version,
            code_sha256=self._code_sha256,
            run_id=identity.run_id,
            step_id=step_id,
            correlation_id=identity.run_id,
            ts=self._clock.now().isoformat(),
            namespace=identity.namespace,
            read_namespace=identity.read_from,
            attempt_n=identity.attempt_n,
            token=token,
        )
