"""The params of storacle's methods, as types: whatever arrives is parsed into these, or refused with its place."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeGuard, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from lorchestra.errors import Path
from lorchestra.json_value import JSONValue
from lorchestra.schemas.envelope import PRODUCTION, SMOKE_NAME
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.service import RpcError

_IDENTIFIER = re.compile(r"^[A-Za-z_][A-Za-z0-9_]{0,127}$", re.ASCII)

Identifier = Annotated[str, StringConstraints(pattern=_IDENTIFIER.pattern)]
Namespace = Annotated[str, StringConstraints(pattern=f"^({PRODUCTION}|smoke_{SMOKE_NAME})$")]
SmokeNamespace = Annotated[str, StringConstraints(pattern=f"^smoke_{SMOKE_NAME}$")]
Key = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Count = Annotated[int, Field(ge=0, strict=True)]


def _sequence(value: object) -> object:
    if not isinstance(value, (list, tuple)):
        raise ValueError("a list is expected")
    return value


def _distinct(columns: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(columns)) < len(columns):
        raise ValueError("distinct names are expected")
    return columns


# Rows are looked at one by one when they are written; validating them here would copy each of them.
RawList = Annotated[Any, AfterValidator(_sequence)]
Columns = Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=32), AfterValidator(_distinct)]


class Params(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Meta(Params):
    """Later versions may say more about the caller, so unknown keys are let pass."""

    model_config = ConfigDict(extra="ignore")

    run_id: Key
    namespace: Namespace
    read_namespace: Namespace | None = None
    token: Annotated[int, Field(strict=True)] | None = None
    attempt_n: Annotated[int, Field(ge=1, lt=2**63, strict=True)] = 1
    job_id: Key | None = None
    job_version: Key | None = None
    step_id: Key | None = None
    code_sha256: Key | None = None


class OpenRun(Params):
    meta: Meta


class OfNamespace(Params):
    """Production is none of those that can be listed or removed as a whole."""

    namespace: SmokeNamespace


class Op(Params):
    op_id: Key
    method: Key
    params: Any
    idempotency_key: Key
    group: Key | None = None
    content_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None


class Plan(Params):
    kind: Literal["storacle.plan"]
    version: Literal["1.0"]
    correlation_id: Key
    ops: RawList


class ExecutePlan(Params):
    plan: Plan
    meta: Meta


class Query(Params):
    read: Any
    after: RawList | None = None
    limit: Annotated[int, Field(ge=0, strict=True)]
    meta: Meta


def is_identifier(name: object) -> TypeGuard[str]:
    return isinstance(name, str) and _IDENTIFIER.fullmatch(name) is not None


P = TypeVar("P", bound=Params)


def parse(model: type[P], value: object, at: Path = ()) -> P:
    """Raises RpcError (invalid params) with the path of the first mistake."""
    try:
        # Frozen mappings come in from callers of this process.
        return model.model_validate(dict(value) if isinstance(value, Mapping) else value)
    except RpcError as error:
        # Of a value that has a grammar of its own, with its place there.
        raise RpcError(error.code, at=(*at, *error.at)) from None
    except ValidationError as error:
        # Only places: the messages of the validator quote what it found.
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise RpcError(ErrorCode.INVALID_PARAMS, at=(*at, *first["loc"])) from None


def parse_ops(ops: Sequence[JSONValue], at: Path) -> tuple[Op, ...]:
    return tuple(parse(Op, op, (*at, index)) for index, op in enumerate(ops))
