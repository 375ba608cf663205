"""One request to an OpenAI-compatible service, and what its answer means.

What the peer sends may echo the prompt or the key, and messages of httpx may quote what the peer sent. So errors are
raised with sentences of our own, nothing is chained to them, and the body of a refusal is not even read. Nor does the
HTTP library log what is said here: at level DEBUG it would write down the headers of an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import orjson

from lorchestra.clock import Clock
from lorchestra.errors import LorchestraError, PermanentError, TransientError
from lorchestra.handlers.llm_config import LlmConfig
from lorchestra.reporting.unlogged import unlogged
from lorchestra.retry_after import parse_retry_after

_FINISH_REASONS = frozenset({"stop", "length", "content_filter", "tool_calls", "function_call"})
_USAGE = ("prompt_tokens", "completion_tokens", "total_tokens")

# Most specific first.
_FAILURES: tuple[tuple[type[Exception], type[LorchestraError], str], ...] = (
    (httpx.ConnectTimeout, TransientError, "the LLM service could not be reached in time"),
    (httpx.TimeoutException, TransientError, "the LLM service did not answer in time"),
    (httpx.ConnectError, TransientError, "the LLM service cannot be reached; check llm.base_url"),
    (httpx.NetworkError, TransientError, "the connection to the LLM service broke"),
    (httpx.ProxyError, TransientError, "the proxy before the LLM service refused the connection"),
    (httpx.RemoteProtocolError, TransientError, "the LLM service broke off, or does not speak HTTP"),
    (httpx.LocalProtocolError, PermanentError, "the request to the LLM service is not valid HTTP"),
    (httpx.UnsupportedProtocol, PermanentError, "llm.base_url is not usable"),
    (httpx.HTTPError, PermanentError, "the exchange with the LLM service failed"),
    (httpx.InvalidURL, PermanentError, "llm.base_url is not usable"),
)

_TRANSIENT_STATUS = frozenset({408, 409, 425, 429})
_ADVICE: Mapping[int, str] = {
    400: "the model or the service does not take these params",
    402: "the account is out of credit",
    404: "check llm.base_url and the model",
    413: "the prompt is too long for the service",
    422: "the model or the service does not take these params",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """`finish_reason` is one of the known words or None: another would be the peer's own text."""

    text: str
    model: str | None
    finish_reason: str | None
    usage: Mapping[str, int]


def failure_of(error: Exception) -> LorchestraError:
    """An error of httpx as ours. Its message stays behind; its type says enough."""
    for foreign, ours, sentence in _FAILURES:
        if isinstance(error, foreign):
            return ours(f"{sentence} ({type(error).__name__})")
    raise TypeError(f"a {type(error).__name__} is no error of httpx") from error


class LlmClient:
    def __init__(self, config: LlmConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock

    def complete(self, body: bytes, *, check: Callable[[], None]) -> Completion:
        """Send the request once. `check` is called as the answer comes in, and may raise to give up."""
        try:
            answer = self._post(body, check)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failure = failure_of(error)
        else:
            return _completion(answer)
        # Outside the `except`, so that the foreign error is not the context of ours.
        raise failure

    def _post(self, body: bytes, check: Callable[[], None]) -> bytes:
        config = self._config
        # Identity: a small compressed answer could unfold to any size.
        headers = {"Content-Type": "application/json", "Accept": "application/json", "Accept-Encoding": "identity"}
        if config.api_key is not None:
            headers["Authorization"] = f"Bearer {config.api_key.checked()}"
        timeout = httpx.Timeout(config.timeout_read_s, connect=config.timeout_connect_s)
        # A redirect would take the prompt to a host the operator did not name.
        with (
            unlogged(),
            httpx.Client(timeout=timeout, follow_redirects=False) as client,
            client.stream("POST", config.completions_url, content=body, headers=headers) as response,
        ):
            self._check_status(response)
            _check_encoding(response)
            return self._read(response, check)

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200:
            return
        if status in (401, 403):
            key = self._config.api_key
            which = f"the key {key.reference}" if key else "a request without a key (llm.api_key is not set)"
            raise PermanentError(f"the LLM service refused {which} (status {status})")
        if status in _TRANSIENT_STATUS or status >= 500:
            wait = parse_retry_after(response.headers.get("Retry-After"), now=self._clock.now())
            raise TransientError(f"the LLM service is not able to answer now (status {status})", retry_after=wait)
        if 300 <= status < 400:
            raise PermanentError(f"the LLM service redirects (status {status}); set llm.base_url to the final address")
        advice = _ADVICE.get(status)
        raise PermanentError(
            f"the LLM service refused the request (status {status})" + (f"; {advice}" if advice else "")
        )

    def _read(self, response: httpx.Response, check: Callable[[], None]) -> bytes:
        answer = bytearray()
        for chunk in response.iter_raw():
            check()
            answer += chunk
            if len(answer) > self._config.response_max_bytes:
                raise PermanentError(f"the LLM service's answer is larger than {self._config.response_max_bytes} bytes")
        return bytes(answer)


def _check_encoding(response: httpx.Response) -> None:
    content_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if content_type != "application/json":
        raise PermanentError("the LLM service answered with something else than application/json; check llm.base_url")
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise PermanentError("the LLM service compressed its answer though it was asked not to")


def _completion(body: bytes) -> Completion:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    choice = _first(_field(answer, "choices"))
    text = _field(_field(choice, "message"), "content")
    reason = _field(choice, "finish_reason")
    known_reason = reason if isinstance(reason, str) and reason in _FINISH_REASONS else None
    if not isinstance(text, str):
        why = f" (finish_reason {known_reason})" if known_reason else ""
        raise PermanentError(f"the LLM service's answer is not JSON with the text of a first choice{why}")
    model = _field(answer, "model")
    return Completion(
        text=text,
        model=model if isinstance(model, str) else None,
        finish_reason=known_reason,
        usage=_usage(_field(answer, "usage")),
    )


def _usage(usage: Any) -> Mapping[str, int]:
    """The token counts that the service gave; a service may give none."""
    counts = {key: _field(usage, key) for key in _USAGE}
    return {key: count for key, count in counts.items() if type(count) is int and count >= 0}


def _field(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else None
