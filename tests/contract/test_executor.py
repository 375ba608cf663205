"""What a run leaves behind: manifests before, outcomes after, and nothing of what could not start."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from lorchestra.callable import CallableResult
from lorchestra.callable.context import CallableContext
from lorchestra.errors import ConfigurationError, DefinitionError, EnvelopeError, UnknownCallable
from lorchestra.handlers import HandlerRegistry, StepAnswer, StepRequest
from lorchestra.items import Rejected
from lorchestra.run_store import InMemoryRunStore, RunFilter
from lorchestra.schemas import Backend, JobStepInstance, RunStatus, StepManifest
from lorchestra.storacle import RpcClient
from lorchestra.storacle.transports import InProcessTransport, RecordingTransport
from tests.jobs import (
    Lab,
    build,
    call,
    instance_of,
    job,
    keeping,
    keys,
    manifests,
    outcomes,
    run_id_of,
    run_job,
    statuses,
    submit,
    visits,
    write,
)

USUAL = job(call("fetch"), *write("fetch"))


class Spy:
    """A handler that answers at once, and keeps what it was asked."""

    def __init__(self, answer: StepAnswer | None = None) -> None:
        self.checked: list[str] = []
        self.requests: list[StepRequest] = []
        self._answer = answer or StepAnswer(output={})

    def check(self, step: JobStepInstance, lineage: tuple[str, ...] = ()) -> None:
        self.checked.append(step.step_id)

    def execute(self, request: StepRequest) -> StepAnswer:
        self.requests.append(request)
        return self._answer


# What is written when


def test_a_step_sees_its_own_manifest_and_its_run_as_running(lab: Lab) -> None:
    seen: list[tuple[RunStatus, list[str], int]] = []

    def look(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
        record = lab.store.get(context.run_id)
        written = [manifest.step_id for manifest in lab.store.manifests(context.run_id)]
        seen.append((record.status, written, len(record.step_outcomes)))
        return {"items": []}

    lab.register(look=look)
    result = lab.run(job(call("first", name="look"), call("second", name="look")))

    assert seen == [(RunStatus.RUNNING, ["first"], 0), (RunStatus.RUNNING, ["first", "second"], 1)]
    assert result.success


def test_the_manifests_of_a_segment_are_written_before_its_first_step_begins(lab: Lab) -> None:
    seen: list[str] = []

    def fetch(params: Mapping[str, Any], context: CallableContext) -> dict[str, Any]:
        seen.extend(manifest.step_id for manifest in lab.store.manifests(context.run_id))
        return {"items": visits(1)}

    lab.register(fetch=fetch)
    lab.run(USUAL)

    assert seen == ["fetch", "fetch_plan", "fetch_write"]


def test_each_executed_step_has_one_manifest_and_one_outcome(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": visits(3)})

    result = lab.run(USUAL)

    assert result.status == RunStatus.COMPLETED
    assert [manifest.step_id for manifest in manifests(lab, result)] == ["fetch", "fetch_plan", "fetch_write"]
    assert statuses(result) == {"fetch": "completed", "fetch_plan": "completed", "fetch_write": "completed"}
    assert lab.rows() == keys(visits(3))


def test_the_result_holds_the_run_as_the_store_has_it(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": visits(3), "stats": {"asked_for": 3}})

    result = lab.run(USUAL)

    assert result.run_record == lab.store.get(run_id_of(result))
    assert result.attempt == lab.store.get(run_id_of(result)).attempts[0]


def test_a_skipped_step_is_recorded_and_not_asked_for(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": []})

    result = lab.run(
        job(call("left_out", name="fetch", when="@payload.full == true"), call("fetch")), payload={"full": False}
    )

    assert statuses(result) == {"left_out": "skipped", "fetch": "completed"}
    assert [manifest.step_id for manifest in manifests(lab, result)] == ["fetch"]
    assert result.status == RunStatus.COMPLETED


def test_a_job_of_skipped_steps_only_completes(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": []})
    result = lab.run(job(call("fetch", when=False)))
    assert (result.status, statuses(result)) == (RunStatus.COMPLETED, {"fetch": "skipped"})


def test_a_manifest_says_what_was_asked_with_references_and_a_digest_in_place_of_values(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": []})
    definition = job(call("fetch", params={"day": "@payload.day", "limit": 5}))

    first, second, other = (
        manifests(lab, lab.run(definition, payload={"day": day}))[0] for day in ("monday", "monday", "tuesday")
    )

    assert first.resolved_params == {"callable": "fetch", "day": "@payload.day", "limit": 5}
    assert (first.backend, first.attempt_n) == (Backend.CALLABLE, 1)
    assert first.code_sha256 == lab.callables.get("fetch").content_hash
    assert first.inputs_digest == second.inputs_digest != other.inputs_digest
    assert first.idempotency_key != second.idempotency_key


def test_a_run_keeps_the_definition_it_ran_and_no_payload_in_its_record(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": []})
    definition = job(call("fetch", params={"day": "@payload.day"}))

    record = lab.store.get(run_id_of(lab.run(definition, payload={"day": "monday"})))

    assert lab.store.definition(record.job_def_sha256) == definition.canonical()
    assert "monday" not in record.model_dump_json()
    assert record.code == {"fetch": lab.callables.get("fetch").content_hash}


# Counts and digests


def test_outcomes_hold_counts(lab: Lab) -> None:
    rejected = Rejected(idem_key="visit:900", schema="visit", pointer="/minutes", rule="minimum")
    lab.register(fetch=lambda params: {"items": [*visits(3), rejected]})

    found = outcomes(lab.run(USUAL))

    assert found["fetch"].counts == {"record": 3, "rejected": 1}
    assert found["fetch_plan"].counts == {"ops": 3, "sends": 2}
    assert found["fetch_write"].counts == {"applied": 3, "already_applied": 0}
    assert found["fetch_write"].detail["methods"]["table.upsert"]["inserted"] == 4


def test_equal_data_gives_equal_digests_and_other_data_others(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": visits(params["count"])})
    definition = job(call("fetch", params={"count": "@payload.count"}), *write("fetch"))

    first, again, other = (outcomes(lab.run(definition, payload={"count": count})) for count in (3, 3, 4))

    for step_id in ("fetch", "fetch_plan"):
        assert first[step_id].digest == again[step_id].digest != other[step_id].digest
        assert first[step_id].digest


def test_digests_of_two_stores_do_not_compare(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": visits(3)})
    elsewhere = Lab(store=InMemoryRunStore(), callables=lab.callables)

    here, there = outcomes(lab.run(USUAL)), outcomes(elsewhere.run(USUAL))

    assert here["fetch"].digest != there["fetch"].digest
    assert here["fetch_plan"].digest != there["fetch_plan"].digest


def test_values_of_a_step_reach_the_steps_that_name_them(lab: Lab) -> None:
    given: list[object] = []
    fetched = CallableResult(items=visits(2), stats={"pages": [1, 2]})
    lab.register(fetch=lambda params: fetched, receive=keeping(given, "so_far"))
    result = lab.run(job(call("fetch"), call("receive", params={"so_far": "@run.fetch.stats.pages[1]"})))

    assert result.success
    assert given == [2]


# Who carries out what


def test_each_op_goes_to_its_backend(lab: Lab) -> None:
    called: list[str] = []

    def fetch(params: Mapping[str, Any]) -> dict[str, Any]:
        called.append("fetch")
        return {"items": visits(1)}

    lab.register(fetch=fetch)
    inferometer, orchestration = Spy(), Spy()
    transport = RecordingTransport(InProcessTransport(lab.service))
    executor = lab.executor(
        client=RpcClient(transport),
        handlers=HandlerRegistry({Backend.INFEROMETER: inferometer, Backend.ORCHESTRATION: orchestration}),
    )
    ask = {"step_id": "ask", "op": "compute.llm", "params": {"prompt": "How many?"}}

    result = lab.run(job(call("fetch"), *write("fetch"), ask, run_job("sub", "other")), executor=executor)

    assert result.success
    assert called == ["fetch"]
    assert [exchange.request["method"] for exchange in transport.exchanges if isinstance(exchange.request, dict)] == [
        "run.open",
        "storacle.execute_plan",
    ]
    assert (inferometer.checked, [request.step.step_id for request in inferometer.requests]) == (["ask"], ["ask"])
    assert (orchestration.checked, [request.step.step_id for request in orchestration.requests]) == (["sub"], ["sub"])
    assert [manifest.backend for manifest in manifests(lab, result)] == [
        Backend.CALLABLE,
        Backend.NATIVE,
        Backend.NATIVE,
        Backend.INFEROMETER,
        Backend.ORCHESTRATION,
    ]


def test_backends_are_deprecated_and_adapted(lab: Lab) -> None:
    spy = Spy()
    with pytest.warns(DeprecationWarning, match="handlers=HandlerRegistry"):
        executor = lab.executor(handlers=None, backends={"orchestration": spy})

    assert lab.run(job(run_job("sub", "other")), executor=executor).success
    assert len(spy.requests) == 1


def test_the_counts_of_a_handler_are_recorded_and_its_output_is_not(lab: Lab) -> None:
    spy = Spy(StepAnswer(output={"text": "forty-two"}, counts={"tokens": 3}, detail={"model": "small"}))
    ask = {"step_id": "ask", "op": "compute.llm", "params": {"prompt": "How many?"}}
    receive = call("receive", params={"answer": "@run.ask.text"})
    given: list[object] = []
    lab.register(receive=keeping(given, "answer"))

    executor = lab.executor(handlers=HandlerRegistry({Backend.INFEROMETER: spy}))
    result = lab.run(job(ask, receive), executor=executor)

    assert (outcomes(result)["ask"].counts, outcomes(result)["ask"].detail) == ({"tokens": 3}, {"model": "small"})
    assert given == ["forty-two"]
    assert "forty-two" not in str([result.run_record, *manifests(lab, result)])


# What keeps a run from starting leaves no trace


def test_an_unknown_callable_is_refused_before_anything_is_recorded(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": []})

    with pytest.raises(UnknownCallable, match="known: fetch; did you mean 'fetch'"):
        lab.run(job(call("fetch"), call("fetchh")))

    assert lab.runs() == ()
    assert lab.service.effects == 0


@pytest.mark.parametrize(
    "steps", [(call("fetch"), *write("fetch")), (call("fetch", params={"read": {"dataset": "raw", "table": "t"}}),)]
)
def test_without_a_client_a_job_that_needs_one_is_refused_before_anything_is_recorded(
    lab: Lab, steps: tuple[dict[str, Any], ...]
) -> None:
    lab.register(fetch=lambda params: {"items": []})

    with pytest.raises(ConfigurationError, match="no storacle is configured"):
        lab.run(job(*steps), executor=lab.executor(client=None))

    assert lab.runs() == ()


def test_without_a_handler_a_job_that_needs_one_is_refused_before_anything_is_recorded(lab: Lab) -> None:
    ask = {"step_id": "ask", "op": "compute.llm", "params": {"prompt": "How many?"}}
    with pytest.raises(ConfigurationError, match="`llm:` section"):
        lab.run(job(ask), executor=lab.executor(handlers=None))
    assert lab.runs() == ()


def test_an_instance_without_its_definition_is_refused(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": []})
    instance = instance_of(job(call("fetch"))).model_copy(update={"definition": None})
    with pytest.raises(DefinitionError, match="without its definition"):
        lab.executor().execute(instance)
    assert lab.runs() == ()


def test_a_malformed_envelope_is_refused_without_its_values(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": []})
    with pytest.raises(EnvelopeError) as refused:
        lab.executor().execute(instance_of(job(call("fetch"))), {"payload": "canary-7", "smoke_namespac": "x"})
    assert "did you mean 'smoke_namespace'?" in str(refused.value)
    assert "'payload' is not valid" in str(refused.value)
    assert "canary-7" not in str(refused.value)
    assert lab.runs() == ()


# Registries are copied, namespaces kept apart, private values removed


def test_an_executor_copies_the_registry_when_it_is_made(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": visits(1)})
    executor = lab.executor()
    lab.register(fetch=lambda params: {"items": visits(9)})

    result = lab.run(USUAL, executor=executor)

    assert outcomes(result)["fetch"].counts == {"record": 1}


def test_runs_of_two_namespaces_write_apart(lab: Lab) -> None:
    lab.register(
        fetch=lambda params, context: {"items": [{"idem_key": context.namespace}]},
    )

    result = lab.run(USUAL, smoke_namespace="trial")

    assert result.run_record is not None
    assert result.run_record.namespace == "smoke_trial"
    assert (lab.rows(namespace="smoke_trial"), lab.rows()) == (["smoke_trial"], [])
    assert lab.store.list_runs(RunFilter(namespace="prod")) == ()


def test_a_later_run_is_never_suppressed(lab: Lab) -> None:
    day = {"minutes": 50}
    lab.register(fetch=lambda params: {"items": [{"idem_key": "visit:001", **day}]})

    for minutes in (50, 25, 50):
        day["minutes"] = minutes
        lab.run(USUAL)
        assert lab.service.rows("clinic", "visits")[0]["minutes"] == minutes
    assert lab.service.effects == 3


def test_what_a_callable_reads_comes_through_storacle(lab: Lab) -> None:
    def copy(params: Mapping[str, Any], context: CallableContext) -> Iterator[Any]:
        return ({**item.data, "copied": True} for item in context.items)  # type: ignore[union-attr]  # records only

    lab.register(
        fetch=lambda params: {"items": visits(3)},
        copy=lambda params, context: {"items": copy(params, context)},
    )
    lab.run(USUAL)
    read = call("copy", params={"read": {"dataset": "clinic", "table": "visits", "where": {"minutes": 50}}})

    result = lab.run(
        job(read, build("plan", "copy", params={"table": "copies"}), submit("send", "plan"), job_id="copying")
    )

    assert result.success
    assert lab.rows("copies") == keys(visits(3))


def test_the_events_of_a_run_carry_ids_and_counts(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": visits(2)})
    lab.run(job(call("fetch")))
    assert lab.observer.events == [
        ("run.started", {"attempt_n": 1}),
        ("step.started", {"step_id": "fetch", "op": "call"}),
        ("step.completed", {"step_id": "fetch", "tries": 1, "record": 2}),
        ("run.ended", {"status": "completed"}),
    ]


def test_manifests_are_values_that_compare(lab: Lab) -> None:
    lab.register(fetch=lambda params: {"items": []})
    result = lab.run(job(call("fetch")))
    kept = manifests(lab, result)[0]
    assert StepManifest.model_validate_json(kept.model_dump_json()) == kept
