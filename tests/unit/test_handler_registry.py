from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import lorchestra.handlers
from lorchestra.errors import ConfigurationError
from lorchestra.handlers import HandlerRegistry, StepAnswer, StepRequest
from lorchestra.schemas import Backend, JobStepInstance, Op


class Spy:
    def check(self, step: JobStepInstance, lineage: tuple[str, ...] = ()) -> None:
        raise AssertionError("routing asks nothing of a handler")

    def execute(self, request: StepRequest) -> StepAnswer:
        raise AssertionError("routing asks nothing of a handler")


@pytest.mark.parametrize(
    ("op", "backend"), [(Op.COMPUTE_LLM, Backend.INFEROMETER), (Op.JOB_RUN, Backend.ORCHESTRATION)]
)
def test_an_op_is_routed_to_the_handler_of_its_backend(op: Op, backend: Backend) -> None:
    handlers = {Backend.INFEROMETER: Spy(), Backend.ORCHESTRATION: Spy()}

    assert HandlerRegistry(handlers).handler_for(op) is handlers[backend]


@pytest.mark.parametrize(("op", "advice"), [(Op.COMPUTE_LLM, "`llm:` section"), (Op.JOB_RUN, "OrchestrationHandler")])
def test_a_missing_handler_is_an_error_that_says_what_to_configure(op: Op, advice: str) -> None:
    with pytest.raises(ConfigurationError, match=advice):
        HandlerRegistry().handler_for(op)


@pytest.mark.parametrize("op", [Op.CALL, Op.PLAN_BUILD, Op.STORACLE_SUBMIT])
def test_ops_of_the_executor_have_no_handler(op: Op) -> None:
    with pytest.raises(ConfigurationError, match="the executor carries it out itself"):
        HandlerRegistry().handler_for(op)


@pytest.mark.parametrize("backend", [Backend.CALLABLE, Backend.NATIVE])
def test_a_handler_for_what_the_executor_does_itself_is_refused(backend: Backend) -> None:
    with pytest.raises(ConfigurationError, match="takes no handler"):
        HandlerRegistry({backend: Spy()})


def test_a_registry_does_not_follow_changes_of_the_mapping_it_was_made_from() -> None:
    handlers = {Backend.INFEROMETER: Spy()}
    registry = HandlerRegistry(handlers)

    del handlers[Backend.INFEROMETER]

    assert registry.handler_for(Op.COMPUTE_LLM)


def test_every_public_name_of_the_package_can_be_imported() -> None:
    missing = [name for name in lorchestra.handlers.__all__ if getattr(lorchestra.handlers, name, None) is None]

    assert not missing


def test_there_is_no_handler_for_callables() -> None:
    with pytest.raises(AttributeError):
        _ = lorchestra.handlers.CallableHandler
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("lorchestra.handlers.callable_handler")


def test_handlers_are_imported_without_an_http_client() -> None:
    code = "import sys, lorchestra.handlers.compute; sys.exit('httpx' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
