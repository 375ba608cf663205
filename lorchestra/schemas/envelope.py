"""A request to run a job, and the part of it that is recorded."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from lorchestra.json_value import FrozenObject, empty
from lorchestra.schemas.value import Value

PRODUCTION = "prod"
SMOKE_NAME = r"[a-z0-9]{1,20}"
"""The pattern of what a smoke namespace is called, as the operator gives it."""


def namespace_of(smoke_namespace: str | None) -> str:
    return f"smoke_{smoke_namespace}" if smoke_namespace else PRODUCTION


class Envelope(Value):
    job_id: str = Field(min_length=1)
    ctx: FrozenObject = Field(default_factory=empty)
    payload: FrozenObject = Field(default_factory=empty)
    version: str | None = None
    definitions_dir: str | None = None
    smoke_namespace: str | None = Field(default=None, pattern=f"^{SMOKE_NAME}$")
    read_from: Literal["prod"] | None = None
    """Of a smoke run: it reads production's rows, and writes its own."""
    leave_out: tuple[str, ...] = ()
    """Steps that are not to run, by their ids; of a step that runs another job, `<step>.<step of that>`."""
    dry_run: bool = False

    @field_validator("smoke_namespace")
    @classmethod
    def _is_not_production(cls, name: str | None) -> str | None:
        if name == PRODUCTION:
            raise ValueError("expected another name than that of production")
        return name

    @field_validator("read_from")
    @classmethod
    def _is_of_a_smoke_run(cls, read_from: str | None, info: ValidationInfo) -> str | None:
        if read_from is not None and info.data.get("smoke_namespace") is None:
            raise ValueError("expected a smoke_namespace beside it; any other run reads production anyway")
        return read_from

    @property
    def namespace(self) -> str:
        return namespace_of(self.smoke_namespace)


class EnvelopeRecord(Value):
    """An envelope without its values: keyed digests stand for ctx and payload."""

    job_id: str
    version: str | None = None
    smoke_namespace: str | None = None
    read_from: Literal["prod"] | None = None
    leave_out: tuple[str, ...] = ()
    ctx_digest: str
    payload_digest: str
    has_values: bool = False
    """Whether ctx or payload held anything: then a resume needs the private values."""
