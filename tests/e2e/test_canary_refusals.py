"""What keeps a job from running shows nothing of a payload or a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.standins import llm
from tests.standins.llm import StandInLlm

from .canaries import canary, jobs
from .canaries.finding import assert_nothing_shows
from .canaries.project import Project
from .canaries.refused import REFUSED, SPACED, WORD

# Requests that are refused


@pytest.mark.parametrize(("step", "payload"), REFUSED.values(), ids=REFUSED)
def test_a_payload_that_is_refused_shows_nothing_of_itself(tmp_path: Path, step: jobs.Step, payload: str) -> None:
    project = Project(tmp_path)
    project.job("refused", step)
    path = project.elsewhere / "payload.json"
    path.write_text(payload)
    ended = project.run_here("exec", "job", "refused", "--payload", f"@{path}", "-v", "--debug")

    assert ended.code == 65, str(ended)
    assert ended.err.startswith(b"error: ")
    assert_nothing_shows({**ended.printed, **project.left()})
    assert not project.private.exists() or not any(project.private.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [("--payload", WORD), ("--payload", f'{{"{WORD}": {WORD}}}'), ("--payload", f'{{"{WORD}'), ("--ctx", f"={SPACED}")],
    ids=["no pair", "no value", "no end", "no key"],
)
def test_values_on_the_command_line_that_are_refused_show_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    project = Project(tmp_path)
    project.job("refused", jobs.call("a", "passed"))
    ended = project.run_here("exec", "job", "refused", *arguments, "-v", "--debug")

    assert ended.code == 65
    assert_nothing_shows({**ended.printed, **project.left()})


# Secrets


@pytest.mark.parametrize(
    ("profile", "environ", "key"),
    [
        ("file", {}, None),
        ("file", {}, "spaced"),
        (None, {"LLM_KEY": SPACED}, None),
        (None, {"LORCHESTRA_LLM__API_KEY": WORD}, None),
        (None, {"LORCHESTRA_LLM__BASE_URL": f"https://me:{WORD}@localhost/v1"}, None),
        (None, {"LORCHESTRA_LLM__MAX_TOKENS": WORD}, None),
        (None, {"LORCHESTRA_LLM__TIMEOUT_S": SPACED}, None),
    ],
)
def test_a_secret_shows_nowhere_also_where_it_does_not_belong(
    tmp_path: Path, profile: str | None, environ: dict[str, str], key: str | None
) -> None:
    with StandInLlm(llm.refuse(403)) as service:
        project = Project(tmp_path, llm=service.base_url)
        if key:
            (project.elsewhere / "key").write_text(str(canary.of("secret-file")[key]))
        project.job("asks", jobs.ask("a", prompt="@payload.words[0]"))
        payload = project.keep("payload.json", jobs.trouble_payload())
        options = ("--profile", profile) if profile else ()
        ended = project.run_here(
            "exec", "job", "asks", "--payload", payload, *options, "-v", "--debug", environ=environ
        )

    assert ended.code in (2, 78), str(ended)
    assert_nothing_shows({**ended.printed, **project.left(but=[project.private])})
    if service.asked:
        assert service.asked[0].headers["authorization"] == f"Bearer {canary.of('secret-file')['word']}"
    secrets = canary.channels("secret-file", "secret-env")
    assert not canary.search(project.left(), secrets)


def test_a_secret_written_into_the_settings_shows_nowhere(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.job("asks", jobs.ask("a", prompt="x"))
    settings = project.root / "lorchestra.yaml"
    for text in (
        json.dumps({"llm": {"base_url": "http://localhost", "api_key": WORD}}),
        json.dumps({"llm": {"base_url": f"http://{WORD}@localhost", "api_key": "env:LLM_KEY"}}),
        json.dumps({"llm": {"base_url": "http://localhost", "api_key": {WORD: SPACED}}}),
        f"llm: {{api_key: {WORD}: {WORD}}}",
        f"llm:\n  api_key: '{WORD}\n",
    ):
        settings.write_text(text)
        ended = project.run_here("exec", "job", "asks", "-v", "--debug")
        assert ended.code == 78, str(ended)
        assert_nothing_shows({**ended.printed, **project.left()})
