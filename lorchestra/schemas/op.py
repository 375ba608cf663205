"""The closed set of operations, and who carries each out."""

from enum import StrEnum


class Backend(StrEnum):
    CALLABLE = "callable"
    NATIVE = "native"
    INFEROMETER = "inferometer"
    ORCHESTRATION = "orchestration"


class Op(StrEnum):
    CALL = "call"
    PLAN_BUILD = "plan.build"
    STORACLE_SUBMIT = "storacle.submit"
    COMPUTE_LLM = "compute.llm"
    JOB_RUN = "job.run"

    @property
    def backend(self) -> Backend:
        return _BACKENDS[self]


_BACKENDS = {
    Op.CALL: Backend.CALLABLE,
    Op.PLAN_BUILD: Backend.NATIVE,
    Op.STORACLE_SUBMIT: Backend.NATIVE,
    Op.COMPUTE_LLM: Backend.INFEROMETER,
    Op.JOB_RUN: Backend.ORCHESTRATION,
}
