"""The ops, as one table: how each is carried out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from lorchestra.handlers.base import StepAnswer
from lorchestra.ops.base import Flow, RunChildOf, Services, StepContext
from lorchestra.ops.call import Call
from lorchestra.ops.claim import RunClaim
from lorchestra.ops.handled import hand_over
from lorchestra.ops.plan_build import PlanBuild
from lorchestra.ops.storacle_submit import submit
from lorchestra.schemas import Op

OpRunner: TypeAlias = Callable[[StepContext], Flow | StepAnswer]

OPS: Mapping[Op, OpRunner] = {
    Op.CALL: Call,
    Op.PLAN_BUILD: PlanBuild,
    Op.STORACLE_SUBMIT: submit,
    Op.COMPUTE_LLM: hand_over,
    Op.JOB_RUN: hand_over,
}

__all__ = ["OPS", "Flow", "OpRunner", "RunChildOf", "RunClaim", "Services", "StepContext"]
