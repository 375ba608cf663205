"""Carries out `compute.llm` through an LLM service. Prompt and answer are private: nothing of them is recorded."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from lorchestra import json_value, retry
from lorchestra.callable.context import CancelToken
from lorchestra.clock import Clock, SystemClock
from lorchestra.digest import Digester
from lorchestra.errors import ConfigurationError, DefinitionError, PermanentError, TransientError
from lorchestra.handlers.base import StepAnswer, StepRequest
from lorchestra.handlers.llm_config import NO_LLM_SERVICE, ApiKey, LlmConfig
from lorchestra.handlers.llm_params import build_request, find_problems, prompt_hash
from lorchestra.schemas import JobStepInstance, RetryPolicy

__all__ = ["ApiKey", "ComputeHandler", "LlmConfig", "prompt_hash"]

T = TypeVar("T")

# How long a pause may go on after the step was told to stop.
_TICK_S = 0.1


class ComputeHandler:
    """`None` for the service is a handler that refuses, before anything runs, every job that needs one."""

    def __init__(
        self,
        config: LlmConfig | None,
        digester: Digester,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], None] = time.sleep,
        random: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._digester = digester
        self._clock = clock or SystemClock()
        self._sleep = sleep
        self._random = random

    def check(self, step: JobStepInstance, lineage: tuple[str, ...] = ()) -> None:
        config = self._required_config()
        problems = find_problems(step.params, default_model=config.model, cap=config.max_tokens, resolved=False)
        if problems:
            raise DefinitionError(
                *(
                    replace(problem, found=f"step '{step.step_id}': {problem.found}", path=("params", *problem.path))
                    for problem in problems
                )
            )
        if config.api_key is not None:
            config.api_key.checked()

    def execute(self, request: StepRequest) -> StepAnswer:
        # Imported here because httpx takes longer to import than `lorchestra --help` may take in all.
        from lorchestra.handlers.llm_client import LlmClient

        config = self._required_config()
        if problems := find_problems(request.params, default_model=config.model, cap=config.max_tokens):
            raise PermanentError("\n".join(str(problem) for problem in problems))
        asked = build_request(request.params, default_model=config.model, cap=config.max_tokens)
        body = _encoded(asked.to_dict())
        client = LlmClient(config, self._clock)
        # A pause must not look like a step without progress.
        longest_pause_s = min(config.wait_max_s, request.step.timeout_s / 2)
        completion = self._tried(
            lambda: client.complete(body, check=request.token.check), config.retry, longest_pause_s, request.token
        )

        digest = prompt_hash(request.params, self._digester)
        detail = {"model": self._recordable_model(request.step, asked.model), "prompt_hash": digest}
        if completion.finish_reason is not None:
            detail["finish_reason"] = completion.finish_reason
        return StepAnswer(
            output={
                "text": completion.text,
                "model": completion.model or asked.model,
                "usage": dict(completion.usage),
                "finish_reason": completion.finish_reason,
                "prompt_hash": digest,
            },
            counts=completion.usage,
            detail=detail,
        )

    def _required_config(self) -> LlmConfig:
        if self._config is None:
            raise ConfigurationError(NO_LLM_SERVICE)
        return self._config

    def _tried(self, send: Callable[[], T], policy: RetryPolicy, longest_pause_s: float, token: CancelToken) -> T:
        """Send until it works, the policy gives up, or the service asks for a longer pause than may be taken here."""
        failures = 0
        while True:
            token.progress()
            try:
                return send()
            except TransientError as error:
                failures += 1
                decision = retry.decide(policy, error, failures=failures, random=self._random)
                if isinstance(decision, retry.GiveUp) or decision.delay_s > longest_pause_s:
                    # The step's own retry takes over, and obeys the same retry_after.
                    raise
            self._pause(decision.delay_s, token)

    def _pause(self, seconds: float, token: CancelToken) -> None:
        end = self._clock.monotonic() + seconds
        while (left := end - self._clock.monotonic()) > 0:
            token.check()
            self._sleep(min(left, _TICK_S))

    def _recordable_model(self, step: JobStepInstance, model: str) -> str:
        """A model that came through a reference is a value like any other: a keyed digest stands for it."""
        authored = step.template.get("model")
        is_value = isinstance(authored, str) and authored.startswith("@")
        return self._digester.value(model) if is_value else model


def _encoded(body: Mapping[str, Any]) -> bytes:
    try:
        return json_value.canonical_bytes(body)
    except TypeError:
        failure = PermanentError("the prompt holds text that is not valid Unicode")
    # Outside the `except`: the foreign message may quote what it could not encode.
    raise failure
