"""compute.llm against a service over real HTTP. Key, prompt and answer are canaries: no error may show one."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

import pytest

from lorchestra.clock import FixedClock
from lorchestra.digest import Digester
from lorchestra.errors import (
    ConfigurationError,
    DefinitionError,
    PermanentError,
    RunCancelled,
    TransientError,
)
from lorchestra.handlers import ComputeHandler, StepRequest
from lorchestra.handlers.base import ChildRun
from lorchestra.handlers.compute import ApiKey, LlmConfig, prompt_hash
from lorchestra.schemas import Envelope, JobInstance, JobStepInstance, Op, RetryPolicy
from tests.standins import llm
from tests.standins.llm import StandInLlm

KEY = "canary-key-3f9a"
PROMPT = "canary-prompt-77c1"
ANSWER = "canary-answer-d02e"
CANARIES = (KEY, PROMPT, ANSWER)

DIGESTER = Digester(b"k" * 16)
PARAMS: Mapping[str, Any] = {"prompt": PROMPT}
ONCE = RetryPolicy()
THRICE = RetryPolicy(max_retries=2, initial_delay_seconds=1, backoff_multiplier=2, jitter=False)


class Token:
    """Counts what it is told, and stops the step after a number of checks."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.checks = 0
        self.progressed = 0
        self._stop_after = stop_after

    def check(self) -> None:
        self.checks += 1
        if self._stop_after is not None and self.checks > self._stop_after:
            raise RunCancelled("test")

    def progress(self) -> None:
        self.progressed += 1


class Pauses:
    """A clock that moves when the handler sleeps, and by nothing else."""

    def __init__(self) -> None:
        self.clock = FixedClock(datetime(2026, 3, 1, 12, 0, tzinfo=UTC))

    def sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @property
    def total_s(self) -> float:
        return round(self.clock.monotonic(), 6)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def serve() -> Iterator[Callable[..., StandInLlm]]:
    services: list[StandInLlm] = []

    def start(*behaviours: llm.Behaviour) -> StandInLlm:
        service = StandInLlm(*behaviours)
        services.append(service)
        return service.__enter__()

    yield start
    for service in services:
        service.__exit__(None, None, None)


def config_for(base_url: str, **changes: Any) -> LlmConfig:
    defaults: dict[str, Any] = {
        "api_key": ApiKey(reference="env:LLM_KEY", reveal=lambda: KEY),
        "model": "default-model",
        "max_tokens": 100,
        "retry": ONCE,
    }
    return LlmConfig(base_url=base_url, **{**defaults, **changes})


def handler_for(config: LlmConfig | None, pauses: Pauses | None = None) -> ComputeHandler:
    pauses = pauses or Pauses()
    return ComputeHandler(config, DIGESTER, clock=pauses.clock, sleep=pauses.sleep, random=lambda: 0.0)


def step_of(params: Mapping[str, Any] = PARAMS, *, template: Mapping[str, Any] | None = None) -> JobStepInstance:
    return JobStepInstance(
        step_id="ask",
        op=Op.COMPUTE_LLM,
        params=params,
        template=params if template is None else template,
        timeout_s=300,
    )


def no_child(instance: JobInstance, envelope: Envelope) -> ChildRun:
    raise AssertionError("compute.llm starts no run")


def request_of(step: JobStepInstance, token: Token | None = None) -> StepRequest:
    return StepRequest(
        run_id="01J", smoke_namespace=None, step=step, params=step.params, token=token or Token(), run_child=no_child
    )


def assert_silent(error: BaseException, *, canaries: tuple[str, ...] = CANARIES) -> None:
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))
    assert not [canary for canary in canaries if canary in shown]


def test_the_answer_goes_to_later_steps_and_only_counts_and_digests_to_the_record(
    serve: Callable[..., StandInLlm],
) -> None:
    service = serve(llm.answer(ANSWER))

    given = handler_for(config_for(service.base_url)).execute(request_of(step_of()))

    digest = prompt_hash(PARAMS, DIGESTER)
    counts = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    assert given.output == {
        "text": ANSWER,
        "model": llm.MODEL,
        "usage": counts,
        "finish_reason": "stop",
        "prompt_hash": digest,
    }
    assert given.counts == counts
    assert given.detail == {"model": "default-model", "prompt_hash": digest, "finish_reason": "stop"}


def test_the_service_is_asked_in_its_own_words(serve: Callable[..., StandInLlm]) -> None:
    service = serve()
    params = {"system": "be brief", "prompt": PROMPT, "model": "other", "max_tokens": 9, "temperature": 0.5}

    handler_for(config_for(service.base_url + "/")).execute(request_of(step_of(params)))

    (asked,) = service.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == f"Bearer {KEY}"
    assert asked.body == {
        "model": "other",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": PROMPT}],
        "max_tokens": 9,
        "temperature": 0.5,
    }


def test_a_service_without_a_key_is_asked_without_one(serve: Callable[..., StandInLlm]) -> None:
    service = serve()
    handler = handler_for(config_for(service.base_url, api_key=None))

    handler.check(step_of())
    handler.execute(request_of(step_of()))

    assert "authorization" not in service.asked[0].headers


def test_the_key_is_fetched_anew_for_each_request(serve: Callable[..., StandInLlm]) -> None:
    service = serve()
    keys = iter(["first", "second"])
    handler = handler_for(config_for(service.base_url, api_key=ApiKey(reference="env:K", reveal=lambda: next(keys))))

    handler.execute(request_of(step_of()))
    handler.execute(request_of(step_of()))

    assert [asked.headers["authorization"] for asked in service.asked] == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 529])
def test_a_service_that_is_busy_is_asked_again(serve: Callable[..., StandInLlm], pauses: Pauses, status: int) -> None:
    service = serve(llm.refuse(status), llm.refuse(status), llm.answer(ANSWER))
    token = Token()

    given = handler_for(config_for(service.base_url, retry=THRICE), pauses).execute(request_of(step_of(), token))

    assert given.output["text"] == ANSWER
    assert len(service.asked) == token.progressed == 3
    assert pauses.total_s == 1 + 2


@pytest.mark.parametrize("header", ["7", "Sun, 01 Mar 2026 12:00:07 GMT"])
def test_a_pause_that_the_service_asks_for_is_kept(
    serve: Callable[..., StandInLlm], pauses: Pauses, header: str
) -> None:
    service = serve(llm.refuse(429, headers={"Retry-After": header}))

    handler_for(config_for(service.base_url, retry=THRICE), pauses).execute(request_of(step_of()))

    assert len(service.asked) == 2
    assert pauses.total_s == 7


def test_a_longer_pause_than_may_be_taken_is_left_to_the_step(serve: Callable[..., StandInLlm], pauses: Pauses) -> None:
    service = serve(llm.refuse(429, headers={"Retry-After": "61"}))

    with pytest.raises(TransientError) as caught:
        handler_for(config_for(service.base_url, retry=THRICE), pauses).execute(request_of(step_of()))

    assert caught.value.retry_after == 61
    assert (len(service.asked), pauses.total_s) == (1, 0)
    assert_silent(caught.value)


def test_a_pause_never_takes_the_time_that_a_step_has_without_progress(
    serve: Callable[..., StandInLlm], pauses: Pauses
) -> None:
    service = serve(llm.refuse(503, headers={"Retry-After": "20"}))
    impatient = step_of().model_copy(update={"timeout_s": 30})

    with pytest.raises(TransientError):
        handler_for(config_for(service.base_url, retry=THRICE), pauses).execute(request_of(impatient))

    assert pauses.total_s == 0


def test_tries_are_bounded(serve: Callable[..., StandInLlm], pauses: Pauses) -> None:
    service = serve(*[llm.refuse(503, headers={"Retry-After": "3"})] * 9)

    with pytest.raises(TransientError, match="status 503") as caught:
        handler_for(config_for(service.base_url, retry=THRICE), pauses).execute(request_of(step_of()))

    assert len(service.asked) == 3
    assert caught.value.retry_after == 3
    assert_silent(caught.value)


def test_a_step_that_is_stopped_ends_its_pause(serve: Callable[..., StandInLlm], pauses: Pauses) -> None:
    service = serve(llm.refuse(429, headers={"Retry-After": "50"}))

    with pytest.raises(RunCancelled):
        handler_for(config_for(service.base_url, retry=THRICE), pauses).execute(request_of(step_of(), Token(3)))

    assert pauses.total_s < 1
    assert len(service.asked) == 1


def test_a_step_that_is_stopped_reads_no_further(serve: Callable[..., StandInLlm]) -> None:
    service = serve(llm.answer(ANSWER))

    with pytest.raises(RunCancelled):
        handler_for(config_for(service.base_url)).execute(request_of(step_of(), Token(0)))


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (400, "does not take these params"),
        (401, "refused the key env:LLM_KEY"),
        (402, "out of credit"),
        (403, "refused the key env:LLM_KEY"),
        (404, "check llm.base_url and the model"),
        (413, "too long"),
        (418, "refused the request"),
        (422, "does not take these params"),
        (204, "refused the request"),
        (307, "redirects"),
    ],
)
def test_a_refusal_is_final_and_told_in_our_own_words(
    serve: Callable[..., StandInLlm], status: int, message: str
) -> None:
    elsewhere = serve()
    service = serve(llm.refuse(status, headers={"Location": elsewhere.base_url}))

    with pytest.raises(PermanentError, match=f"{message}.*status {status}|status {status}.*{message}") as caught:
        handler_for(config_for(service.base_url, retry=THRICE)).execute(request_of(step_of()))

    assert (len(service.asked), elsewhere.asked) == (1, [])
    assert_silent(caught.value)


def test_a_refusal_without_a_key_says_that_there_is_none(serve: Callable[..., StandInLlm]) -> None:
    service = serve(llm.refuse(401))

    with pytest.raises(PermanentError, match="without a key"):
        handler_for(config_for(service.base_url, api_key=None)).execute(request_of(step_of()))


@pytest.mark.parametrize("behaviour", [llm.cut, llm.babble, llm.hang])
def test_a_broken_exchange_is_worth_another_try(
    serve: Callable[..., StandInLlm], pauses: Pauses, behaviour: llm.Behaviour
) -> None:
    service = serve(behaviour, llm.answer(ANSWER))
    config = config_for(service.base_url, retry=THRICE, timeout_read_s=0.2)

    given = handler_for(config, pauses).execute(request_of(step_of()))

    assert given.output["text"] == ANSWER
    assert len(service.asked) == 2


@pytest.mark.parametrize("behaviour", [llm.cut, llm.babble, llm.hang])
def test_a_broken_exchange_shows_nothing_of_what_was_said(
    serve: Callable[..., StandInLlm], behaviour: llm.Behaviour
) -> None:
    service = serve(behaviour)

    with pytest.raises(TransientError) as caught:
        handler_for(config_for(service.base_url, timeout_read_s=0.2)).execute(request_of(step_of()))

    assert_silent(caught.value)


def test_a_service_that_is_not_there_is_worth_another_try() -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/v1"

        with pytest.raises(TransientError, match="cannot be reached") as caught:
            handler_for(config_for(url)).execute(request_of(step_of()))

    assert_silent(caught.value)


GARBAGE = f'{{"choices": [{{"message": {ANSWER}'.encode()
PACKED = {"Content-Type": "application/json", "Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (llm.body(GARBAGE), "not JSON"),
        (llm.body(b"\xff\xfe" + ANSWER.encode()), "not JSON"),
        (llm.body(b"[" * 4_000), "not JSON"),
        (llm.document([ANSWER]), "not JSON with the text"),
        (llm.document({"error": ANSWER}), "not JSON with the text"),
        (llm.document({"choices": []}), "not JSON with the text"),
        (llm.document({"choices": {"0": ANSWER}}), "not JSON with the text"),
        (llm.document({"choices": [{"message": {"content": [ANSWER]}}]}), "not JSON with the text"),
        (
            llm.document({"choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]}),
            "finish_reason content_filter",
        ),
        (llm.document({"choices": [{"message": {}, "finish_reason": ANSWER}]}), "not JSON with the text"),
        (llm.body(ANSWER.encode(), headers={"Content-Type": "text/html"}), "something else than application/json"),
        (llm.body(gzip.compress(b"{}"), headers=PACKED), "compressed"),
        (llm.answer(ANSWER * 1000), "larger than 4096 bytes"),
    ],
)
def test_an_answer_that_makes_no_sense_is_final(
    serve: Callable[..., StandInLlm], behaviour: llm.Behaviour, message: str
) -> None:
    service = serve(behaviour)

    with pytest.raises(PermanentError, match=message) as caught:
        handler_for(config_for(service.base_url, retry=THRICE, response_max_bytes=4096)).execute(request_of(step_of()))

    assert len(service.asked) == 1
    assert_silent(caught.value)


def test_an_endless_answer_is_cut_off(serve: Callable[..., StandInLlm]) -> None:
    sent = threading.Event()

    def flood(reply: llm.Reply) -> None:
        reply.send(200, b"", {"Content-Type": "application/json", "Content-Length": str(10**12)})
        while not reply.closing.is_set() and reply.write(b" " * 65_536):
            pass
        sent.set()

    service = serve(flood)

    with pytest.raises(PermanentError, match="larger than"):
        handler_for(config_for(service.base_url, response_max_bytes=200_000)).execute(request_of(step_of()))

    assert sent.wait(10), "the connection stays open"


def test_words_of_the_service_reach_later_steps_but_not_the_record(serve: Callable[..., StandInLlm]) -> None:
    service = serve(llm.answer(ANSWER, finish_reason=PROMPT, model=KEY))

    given = handler_for(config_for(service.base_url)).execute(request_of(step_of()))

    assert given.output["model"] == KEY
    assert not [canary for canary in CANARIES if canary in json.dumps([dict(given.detail), dict(given.counts)])]


@pytest.mark.parametrize(
    "usage", [None, "many", {}, {"prompt_tokens": "7"}, {"prompt_tokens": -1}, {"prompt_tokens": True}]
)
def test_token_counts_that_make_no_sense_are_left_out(serve: Callable[..., StandInLlm], usage: object) -> None:
    service = serve(llm.document({"choices": [{"message": {"content": ANSWER}}], "usage": usage}))

    given = handler_for(config_for(service.base_url)).execute(request_of(step_of()))

    assert (given.counts, given.output["usage"]) == ({}, {})
    assert given.output["model"] == "default-model"


def test_a_model_that_came_through_a_reference_is_recorded_as_a_digest(serve: Callable[..., StandInLlm]) -> None:
    service = serve()
    params = {"prompt": PROMPT, "model": "chosen-by-payload"}
    template = {"prompt": "@payload.note", "model": "@payload.model"}

    given = handler_for(config_for(service.base_url)).execute(request_of(step_of(params, template=template)))

    assert service.asked[0].body["model"] == "chosen-by-payload"
    assert given.detail["model"] == DIGESTER.value("chosen-by-payload")


def test_a_value_that_turns_out_wrong_is_named_by_its_place(serve: Callable[..., StandInLlm]) -> None:
    service = serve()
    params = {"prompt": [PROMPT], "max_tokens": 101}

    with pytest.raises(PermanentError, match=r"/prompt: no text(.|\n)*/max_tokens: more tokens") as caught:
        handler_for(config_for(service.base_url)).execute(request_of(step_of(params)))

    assert service.asked == []
    assert_silent(caught.value)


def test_text_that_no_encoding_can_carry_is_final(serve: Callable[..., StandInLlm]) -> None:
    service = serve()

    with pytest.raises(PermanentError, match="not valid Unicode") as caught:
        handler_for(config_for(service.base_url)).execute(request_of(step_of({"prompt": PROMPT + "\ud800"})))

    assert service.asked == []
    assert_silent(caught.value)


def test_without_a_service_a_job_is_refused_before_it_runs() -> None:
    handler = handler_for(None)

    for refused in (lambda: handler.check(step_of()), lambda: handler.execute(request_of(step_of()))):
        with pytest.raises(ConfigurationError, match="`llm:` section"):
            refused()


def test_a_key_that_cannot_be_had_refuses_a_job_before_it_runs(serve: Callable[..., StandInLlm]) -> None:
    def reveal() -> NoReturn:
        raise ConfigurationError("the variable LLM_KEY is not set")

    service = serve()
    handler = handler_for(config_for(service.base_url, api_key=ApiKey(reference="env:LLM_KEY", reveal=reveal)))

    with pytest.raises(ConfigurationError, match="LLM_KEY"):
        handler.check(step_of())

    assert service.asked == []


def test_all_mistakes_of_a_step_are_told_before_it_runs(serve: Callable[..., StandInLlm]) -> None:
    service = serve()
    params = {"promt": PROMPT, "max_tokens": 101}

    with pytest.raises(DefinitionError) as caught:
        handler_for(config_for(service.base_url)).check(step_of(params))

    assert str(caught.value).splitlines() == [
        "/params/promt: step 'ask': unknown param 'promt'; "
        "expected prompt, messages, system, model, max_tokens, temperature; did you mean 'prompt'?",
        "/params: step 'ask': neither 'prompt' nor 'messages'; expected exactly one of the two",
        "/params/max_tokens: step 'ask': more tokens than the operator allows; expected at most 100 (llm.max_tokens)",
    ]
    assert service.asked == []
    assert_silent(caught.value)


def test_a_step_is_checked_without_a_word_to_the_service(serve: Callable[..., StandInLlm]) -> None:
    service = serve()

    handler_for(config_for(service.base_url)).check(step_of({"prompt": "@run.fetch.text", "max_tokens": "@run.n.n"}))

    assert service.asked == []
