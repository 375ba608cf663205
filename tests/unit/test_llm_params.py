from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.digest import Digester
from lorchestra.handlers.llm_params import build_request, find_problems, prompt_hash
from lorchestra.json_value import freeze

CAP = 100
CANARY = "canary-value"

OK: list[dict[str, Any]] = [
    {"prompt": "hello"},
    {"prompt": "hello", "system": "be brief", "model": "m", "max_tokens": CAP, "temperature": 0},
    {"prompt": "@run.ask"},
    {"messages": [{"role": "user", "content": "hello"}], "temperature": 2},
    {"messages": [{"role": role, "content": "x"} for role in ("system", "developer", "user", "assistant")]},
]

WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({}, "", "neither"),
    ({"prompt": "x", "messages": [{"role": "user", "content": "x"}]}, "", "together"),
    ({"prompt": "x", "max_token": 3}, "/max_token", "did you mean 'max_tokens'?"),
    ({"prompt": ""}, "/prompt", "no text"),
    ({"prompt": [CANARY]}, "/prompt", "no text"),
    ({"prompt": "x", "system": 1}, "/system", "no text"),
    ({"prompt": "x", "model": None}, "/model", "no text"),
    ({"prompt": "x", "max_tokens": CAP + 1}, "/max_tokens", "at most 100"),
    ({"prompt": "x", "max_tokens": 0}, "/max_tokens", "whole number"),
    ({"prompt": "x", "max_tokens": True}, "/max_tokens", "whole number"),
    ({"prompt": "x", "max_tokens": CANARY}, "/max_tokens", "whole number"),
    ({"prompt": "x", "temperature": 2.1}, "/temperature", "from 0 to 2"),
    ({"prompt": "x", "temperature": False}, "/temperature", "from 0 to 2"),
    ({"prompt": "x", "temperature": float("nan")}, "/temperature", "from 0 to 2"),
    ({"messages": []}, "/messages", "no messages"),
    ({"messages": CANARY}, "/messages", "no messages"),
    ({"messages": [CANARY]}, "/messages/0", "another thing"),
    ({"messages": [{"role": "user"}]}, "/messages/0", "another thing"),
    ({"messages": [{"role": CANARY, "content": "x"}]}, "/messages/0/role", "unknown role"),
    ({"messages": [{"role": ["user"], "content": "x"}]}, "/messages/0/role", "unknown role"),
    ({"messages": [{"role": "user", "content": {"a": CANARY}}]}, "/messages/0/content", "no text"),
]

OPEN: list[dict[str, Any]] = [
    {"prompt": "@run.a.text", "system": "@run.a.text", "model": "@run.a.m", "max_tokens": "@run.a.n"},
    {"messages": "@run.a.m", "temperature": "@run.a.t"},
    {"messages": ["@run.a.m", {"role": "@run.a.r", "content": "@run.a.c"}]},
]


@pytest.mark.parametrize("params", OK)
def test_good_params_have_no_problems(params: dict[str, Any]) -> None:
    assert find_problems(freeze(params), default_model="m", cap=CAP) == ()


@pytest.mark.parametrize(("params", "where", "what"), WRONG)
def test_a_mistake_is_named_by_its_place_and_never_by_its_value(params: dict[str, Any], where: str, what: str) -> None:
    (problem,) = find_problems(freeze(params), default_model="m", cap=CAP)

    assert str(problem).startswith(where)
    assert what in str(problem)
    assert CANARY not in str(problem)


def test_all_mistakes_are_found_at_once() -> None:
    assert len(find_problems({"system": 1, "max_tokens": 0, "nonsense": 1}, default_model=None, cap=CAP)) == 5


def test_without_a_model_anywhere_there_is_nothing_to_ask() -> None:
    (problem,) = find_problems({"prompt": "x"}, default_model=None, cap=CAP)

    assert "llm.model" in str(problem)


@pytest.mark.parametrize("params", OPEN)
def test_references_pass_until_they_are_resolved(params: dict[str, Any]) -> None:
    assert find_problems(freeze(params), default_model="m", cap=CAP, resolved=False) == ()


def test_a_value_that_looks_like_a_reference_is_no_token_count() -> None:
    (problem,) = find_problems({"prompt": "x", "max_tokens": "@run.a.n"}, default_model="m", cap=CAP)

    assert "whole number" in str(problem)


def test_a_prompt_and_a_system_text_become_messages() -> None:
    request = build_request({"prompt": "hello", "system": "be brief"}, default_model="m", cap=CAP)

    assert request.to_dict() == {
        "model": "m",
        "max_tokens": CAP,
        "messages": ({"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}),
    }


def test_what_a_step_says_wins_over_the_defaults() -> None:
    params = {"messages": [{"role": "user", "content": "hello"}], "model": "own", "max_tokens": 5, "temperature": 0}

    assert build_request(freeze(params), default_model="m", cap=CAP).to_dict() == {
        **params,
        "messages": freeze(params)["messages"],
    }


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
any_params = st.dictionaries(
    st.sampled_from(["prompt", "messages", "system", "model", "max_tokens", "temperature", "else"]), json_values
)


@given(any_params)
def test_whatever_the_params_they_have_problems_or_make_a_request(params: dict[str, Any]) -> None:
    if not find_problems(params, default_model="m", cap=CAP):
        request = build_request(params, default_model="m", cap=CAP)
        assert request.messages
        assert 1 <= request.max_tokens <= CAP


def test_the_prompt_hash_depends_on_what_is_read_and_on_the_key_and_on_nothing_else() -> None:
    digester, other = Digester(b"one"), Digester(b"other")
    params = {"prompt": "hello", "system": "be brief", "model": "m"}
    digest = prompt_hash(params, digester)

    assert digest == prompt_hash(MappingProxyType({**params, "model": "n", "temperature": 1}), digester)
    assert digest != prompt_hash({**params, "prompt": "hello!"}, digester)
    assert digest != prompt_hash(params, other)
    assert "hello" not in digest
