"""What a `compute.llm` step may say, and the request it makes.

Params hold what was in a payload or an earlier step's output, so no message quotes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from lorchestra.digest import Digester
from lorchestra.errors import Path, Problem, did_you_mean

_KEYS = ("prompt", "messages", "system", "model", "max_tokens", "temperature")
_PROMPT_KEYS = ("prompt", "messages", "system")
_ROLES = ("system", "developer", "user", "assistant")

# Says of a value that it is still a reference, and so can be anything.
IsOpen: TypeAlias = Callable[[Any], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class LlmRequest:
    messages: tuple[Mapping[str, str], ...]
    model: str
    max_tokens: int
    temperature: float | None = None

    def to_dict(self) -> dict[str, Any]:
        plain = {"model": self.model, "messages": self.messages, "max_tokens": self.max_tokens}
        return plain if self.temperature is None else {**plain, "temperature": self.temperature}


def prompt_hash(params: Mapping[str, Any], digester: Digester) -> str:
    """A keyed digest of all that the service is to read. It needs no valid params, so a manifest can hold it."""
    return digester.value({key: params[key] for key in _PROMPT_KEYS if key in params})


def find_problems(
    params: Mapping[str, Any], *, default_model: str | None, cap: int, resolved: bool = True
) -> tuple[Problem, ...]:
    """Every mistake in the params. Before they are resolved, a reference passes: its value is checked when it comes."""
    return tuple(_problems(params, default_model, cap, _is_nothing if resolved else _is_reference))


def build_request(params: Mapping[str, Any], *, default_model: str | None, cap: int) -> LlmRequest:
    """The request that params without problems and without references make."""
    messages = [{"role": "system", "content": params["system"]}] if "system" in params else []
    if "prompt" in params:
        messages.append({"role": "user", "content": params["prompt"]})
    messages += [{"role": message["role"], "content": message["content"]} for message in params.get("messages", ())]
    return LlmRequest(
        messages=tuple(messages),
        model=params.get("model", default_model),
        max_tokens=params.get("max_tokens", cap),
        temperature=params.get("temperature"),
    )


def _problems(params: Mapping[str, Any], default_model: str | None, cap: int, is_open: IsOpen) -> Iterator[Problem]:
    for key in params:
        if key not in _KEYS:
            yield Problem(
                found=f"unknown param '{key}'",
                expected=f"expected {', '.join(_KEYS)}",
                hint=did_you_mean(key, _KEYS),
                path=(key,),
            )
    if ("prompt" in params) == ("messages" in params):
        found = "'prompt' and 'messages' together" if "prompt" in params else "neither 'prompt' nor 'messages'"
        yield Problem(found=found, expected="expected exactly one of the two")
    if "model" not in params and not default_model:
        yield Problem(found="no model", expected="expected 'model' here, or llm.model in lorchestra.yaml")
    for key in ("prompt", "system", "model"):
        if key in params:
            yield from _text(params[key], (key,))
    if "messages" in params:
        yield from _messages(params["messages"], is_open)
    yield from _numbers(params, cap, is_open)


def _messages(messages: Any, is_open: IsOpen) -> Iterator[Problem]:
    if is_open(messages):
        return
    if not isinstance(messages, Sequence) or isinstance(messages, str) or not messages:
        yield Problem(found="no messages", expected="expected a list of {role, content}", path=("messages",))
        return
    for index, message in enumerate(messages):
        path: Path = ("messages", index)
        if is_open(message):
            continue
        if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
            yield Problem(found="another thing than {role, content}", expected="expected these two keys", path=path)
            continue
        if not is_open(message["role"]) and message["role"] not in _ROLES:
            yield Problem(found="an unknown role", expected=f"expected {', '.join(_ROLES)}", path=(*path, "role"))
        yield from _text(message["content"], (*path, "content"))


def _text(value: Any, path: Path) -> Iterator[Problem]:
    if not isinstance(value, str) or not value:
        yield Problem(found="no text", expected="expected a string that is not empty", path=path)


def _numbers(params: Mapping[str, Any], cap: int, is_open: IsOpen) -> Iterator[Problem]:
    tokens = params.get("max_tokens", cap)
    if not is_open(tokens):
        if isinstance(tokens, bool) or not isinstance(tokens, int) or tokens < 1:
            yield Problem(found="no token count", expected="expected a whole number from 1", path=("max_tokens",))
        elif tokens > cap:
            yield Problem(
                found="more tokens than the operator allows",
                expected=f"expected at most {cap} (llm.max_tokens)",
                path=("max_tokens",),
            )
    heat = params.get("temperature", 0)
    if not is_open(heat) and (isinstance(heat, bool) or not isinstance(heat, (int, float)) or not 0 <= heat <= 2):
        yield Problem(found="no temperature", expected="expected a number from 0 to 2", path=("temperature",))


def _is_reference(value: Any) -> bool:
    # Compiling leaves no other references than these, and writes a literal '@' as '@@'.
    return isinstance(value, str) and value.startswith("@run.")


def _is_nothing(value: Any) -> bool:
    return False
