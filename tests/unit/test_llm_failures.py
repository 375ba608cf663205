from __future__ import annotations

import pytest

from lorchestra.errors import ConfigurationError
from lorchestra.handlers.llm_config import ApiKey, LlmConfig

CANARY = "canary-value"


@pytest.mark.parametrize("url", ["https://host/v1", "http://127.0.0.1:8080", "http://[::1]:11434/v1/"])
def test_a_plain_address_is_accepted(url: str) -> None:
    assert LlmConfig(base_url=url).completions_url == url.rstrip("/") + "/chat/completions"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "host/v1",
        "ftp://host/",
        "https://",
        f"https://user:{CANARY}@host/v1",
        f"https://host/v1?key={CANARY}",
        f"https://host/#{CANARY}",
        "https://host:99999/v1",
        "https://[::1/v1",
        "https://host/v1\n",
        "https://ho st/v1",
    ],
)
def test_another_address_is_refused_and_not_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"llm\.base_url") as caught:
        LlmConfig(base_url=url)

    assert CANARY not in str(caught.value)


def test_a_cap_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"llm\.max_tokens"):
        LlmConfig(base_url="https://host/v1", max_tokens=0)


@pytest.mark.parametrize("key", ["", f"{CANARY}\n", f"{CANARY} x", f"{CANARY}\x00", f"{CANARY}é"])
def test_a_key_that_no_header_can_carry_is_refused_by_its_reference(key: str) -> None:
    api_key = ApiKey(reference="env:LLM_KEY", reveal=lambda: key)

    with pytest.raises(ConfigurationError, match="env:LLM_KEY") as caught:
        api_key.checked()

    assert CANARY not in str(caught.value)


def test_a_config_shows_neither_its_key_nor_its_address() -> None:
    config = LlmConfig(base_url="https://host/v1", api_key=ApiKey(reference="env:LLM_KEY", reveal=lambda: CANARY))

    assert CANARY not in repr(config)
    assert "host" not in repr(config)
