"""A request to run a job, and the part of it that is recorded."""

from __future__ import annotations

from pydantic import Field

from lorchestra.json_value import FrozenObject, empty
from lorchestra.schemas.value import Value

PRODUCTION = "prod"


def namespace_of(smoke_namespace: str | None) -> str:
    return f"smoke_{smoke_namespace}" if smoke_namespace else PRODUCTION


class Envelope(Value):
    job_id: str = Field(min_length=1)
    ctx: FrozenObject = Field(default_factory=empty)
    payload: FrozenObject = Field(default_factory=empty)
    version: str | None = None
    definitions_dir: str | None = None
    smoke_namespace: str | None = Field(default=None, pattern=r"^[a-z0-9]{1,20}$")
    dry_run: bool = False

    @property
    def namespace(self) -> str:
        return namespace_of(self.smoke_namespace)


class EnvelopeRecord(Value):
    """An envelope without its values: keyed digests stand for ctx and payload."""

    job_id: str
    version: str | None = None
    smoke_namespace: str | None = None
    ctx_digest: str
    payload_digest: str
    has_values: bool = False
    """Whether ctx or payload held anything: then a resume needs the private values."""
