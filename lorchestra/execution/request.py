"""How an attempt was asked for, and whether a run that is to be resumed is still what it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lorchestra.callable.context import CancelToken
from lorchestra.clock import child_run_id
from lorchestra.digest import Digester
from lorchestra.errors import ChangedSince, DefinitionError, Problem
from lorchestra.json_value import JSONValue
from lorchestra.run_identity import RunIdentity
from lorchestra.schemas import Basis, Envelope, EnvelopeRecord, JobInstance, RunRecord
from lorchestra.schemas.pipeline import is_pipeline
from lorchestra.supervision.cancellation import Cancellation


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Asked for by a caller, or by the step of a parent run."""

    envelope: Envelope
    cancellation: Cancellation
    accept_changes: bool = False
    parent: RunIdentity | None = None
    parent_step_id: str | None = None
    token: CancelToken | None = None
    """That of the parent's step: it hears of progress, and says when nobody waits any more."""

    @property
    def lineage(self) -> tuple[str, ...]:
        """The ids of the jobs that the run stands under."""
        return self.parent.lineage if self.parent else ()

    @property
    def keeps_outputs(self) -> bool:
        """Whether a parent may ask for what the steps put out. A pipeline does not."""
        return self.parent is not None and not is_pipeline(self.parent.job_id)

    @property
    def child_run_id(self) -> str | None:
        """The id of the run, when a step asks for it."""
        if self.parent is None or self.parent_step_id is None:
            return None
        return child_run_id(self.parent.run_id, self.parent_step_id)

    @property
    def private_values(self) -> dict[str, JSONValue]:
        """What a resume has to know of the request, and the record may not show."""
        if not (self.envelope.ctx or self.envelope.payload):
            return {}
        return {"envelope": self.envelope_values}

    @property
    def envelope_values(self) -> JSONValue:
        return {"ctx": self.envelope.ctx, "payload": self.envelope.payload}

    def record(self, identity: RunIdentity, instance: JobInstance, digester: Digester) -> RunRecord:
        """The record of a run that begins with this request."""
        envelope = self.envelope
        return RunRecord(
            run_id=identity.run_id,
            job_id=instance.job_id,
            job_version=instance.job_version,
            job_def_sha256=instance.job_def_sha256,
            envelope=EnvelopeRecord(
                job_id=envelope.job_id,
                version=envelope.version,
                smoke_namespace=envelope.smoke_namespace,
                read_from=envelope.read_from,
                leave_out=envelope.leave_out,
                ctx_digest=digester.value(envelope.ctx),
                payload_digest=digester.value(envelope.payload),
                has_values=bool(envelope.ctx or envelope.payload),
            ),
            started_at=identity.started_at,
            namespace=identity.namespace,
            parent_run_id=self.parent.run_id if self.parent else None,
            parent_step_id=self.parent_step_id,
            step_ids=tuple(step.step_id for step in instance.steps),
            code=identity.code,
        )

    def basis(
        self, record: RunRecord, instance: JobInstance, *, code: Mapping[str, str], digester: Digester
    ) -> Basis | None:
        """What the run is resumed with, where that is not what it did its work with so far. Raises DefinitionError
        unless changes are accepted.

        Whatever is accepted, a run stays what it is, and where it is.
        """
        if (record.job_id, record.namespace) != (instance.job_id, self.envelope.namespace):
            raise DefinitionError(
                Problem(
                    found=f"'{instance.job_id}' in namespace '{self.envelope.namespace}' is to go on with "
                    f"run {record.run_id}",
                    expected=f"that is a run of '{record.job_id}' in namespace '{record.namespace}'",
                )
            )
        asked = Basis(
            attempt_n=record.basis.attempt_n,
            job_version=instance.job_version,
            job_def_sha256=instance.job_def_sha256,
            code=code,
            ctx_digest=digester.value(self.envelope.ctx),
            payload_digest=digester.value(self.envelope.payload),
        )
        changed = next(_changes(record, asked), None)
        if changed is not None and not self.accept_changes:
            raise ChangedSince(run_id=record.run_id, changed=changed)
        return asked if changed is not None else None


def _changes(record: RunRecord, asked: Basis) -> Iterator[str]:
    """What differs, in the words of a message."""
    kept = record.basis
    if asked.ctx_digest != kept.ctx_digest:
        yield "the ctx"
    if asked.payload_digest != kept.payload_digest:
        yield "the payload"
    if asked.job_def_sha256 != kept.job_def_sha256:
        yield f"the definition of '{record.job_id}'"
    for name, content_hash in kept.code.items():
        if asked.code.get(name) != content_hash:
            yield f"the callable '{name}'"
