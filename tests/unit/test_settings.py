from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra import settings
from lorchestra.errors import ConfigurationError
from lorchestra.settings import Settings
from lorchestra.settings.model import LogFormat, LogLevel, RunStoreKind, StoracleKind
from lorchestra.settings.secret_ref import SecretRef

CANARY = "CANARY-5b1f"


def load(
    folder: Path, text: str | None = None, *, profile: str | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    if text is not None:
        (folder / "lorchestra.yaml").write_text(dedent(text), encoding="utf-8")
    return settings.load(start=folder, profile=profile, environ=environ or {})


def refused(folder: Path, text: str | None = None, **options: object) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, **options)  # type: ignore[arg-type]  # passed on as they are
    return str(caught.value)


# Where they come from


def test_without_a_file_the_defaults_apply_below_the_working_directory(tmp_path: Path) -> None:
    found = load(tmp_path)

    assert found.root == tmp_path
    assert found.definitions_path == tmp_path / "jobs/definitions"
    assert found.pipelines_path == tmp_path / "pipelines"
    assert found.callables_path == tmp_path / "callables"
    assert found.content_path == tmp_path
    assert (found.run_store.kind, found.run_store.path) == (RunStoreKind.SQLITE, tmp_path / ".lorchestra")
    assert (found.storacle.kind, found.storacle.path) == (StoracleKind.SQLITE, tmp_path / ".lorchestra/data.db")
    assert (found.log.format, found.log.level) == (LogFormat.CONSOLE, LogLevel.INFO)
    assert found.llm is None
    assert found.profile is None


def test_the_file_is_found_from_a_folder_below_and_paths_are_taken_from_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "lorchestra.yaml").write_text("run_store: {path: runs}\ndefinitions_dir: /defs\n")

    found = load(tmp_path / "a/b")

    assert found.root == tmp_path
    assert found.run_store.path == tmp_path / "runs"
    assert found.definitions_path == Path("/defs")


def test_the_nearest_file_wins(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "lorchestra.yaml").write_text("log: {level: error}\n")

    assert load(tmp_path / "a", "log: {level: debug}\n").log.level is LogLevel.DEBUG


def test_a_file_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/other.yaml").write_text("log: {level: error}\n")

    found = settings.load(start=tmp_path, file=Path("a/other.yaml"), environ={})

    assert (found.log.level, found.root) == (LogLevel.ERROR, tmp_path / "a")


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"nope\.yaml:1:1: there is no such file"):
        settings.load(start=tmp_path, file=Path("nope.yaml"), environ={})


def test_a_file_that_is_a_folder_or_a_dangling_link_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "lorchestra.yaml").symlink_to(tmp_path / "nowhere")

    assert "no such file" in refused(tmp_path)


@pytest.mark.parametrize("name", ["lorchestra.yml", ".lorchestra.yaml"])
def test_a_file_under_a_near_name_is_not_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("log: {level: error}\n")

    assert refused(tmp_path) == f"{tmp_path / name}: settings are read from 'lorchestra.yaml'; rename the file"


# Profiles and the environment

LAYERED = """\
    profile: dev
    log: {level: info}
    run_store: {path: base, heartbeat_s: 2}
    llm: {model: small, api_key: env:LLM_KEY}
    profiles:
      dev:
        llm: {base_url: 'http://localhost:1/v1'}
      prod:
        log: {format: json}
        run_store: {path: prod}
        llm: {base_url: 'https://llm.example/v1', model: large, retries: {max_retries: 7}}
      plain:
        llm: null
"""


def test_a_profile_is_merged_over_the_base_section_by_section(tmp_path: Path) -> None:
    found = load(tmp_path, LAYERED, profile="prod")

    assert found.profile == "prod"
    assert (found.log.format, found.log.level) == (LogFormat.JSON, LogLevel.INFO)
    assert (found.run_store.path, found.run_store.heartbeat_s) == (tmp_path / "prod", 2)
    assert found.llm is not None
    assert (found.llm.model, found.llm.base_url, found.llm.retries.max_retries) == (
        "large",
        "https://llm.example/v1",
        7,
    )
    assert found.llm.api_key == SecretRef("env", "LLM_KEY")


def test_a_profile_can_take_a_section_away(tmp_path: Path) -> None:
    assert load(tmp_path, LAYERED, profile="plain").llm is None


@pytest.mark.parametrize(
    ("asked", "environ", "chosen"),
    [
        (None, {}, "dev"),
        (None, {"LORCHESTRA_PROFILE": ""}, "dev"),
        (None, {"LORCHESTRA_PROFILE": "prod"}, "prod"),
        ("plain", {"LORCHESTRA_PROFILE": "prod"}, "plain"),
    ],
)
def test_the_option_wins_over_the_environment_and_that_over_the_file(
    tmp_path: Path, asked: str | None, environ: dict[str, str], chosen: str
) -> None:
    assert load(tmp_path, LAYERED, profile=asked, environ=environ).profile == chosen


def test_an_unknown_profile_names_the_known_and_the_nearest(tmp_path: Path) -> None:
    assert refused(tmp_path, LAYERED, profile="prd") == (
        f"no profile 'prd' in {tmp_path / 'lorchestra.yaml'}; known: dev, plain, prod; did you mean 'prod'?"
    )


def test_a_profile_without_any_settings_file_is_an_error(tmp_path: Path) -> None:
    assert refused(tmp_path, profile="prod") == "no profile 'prod' in the defaults; it has no profiles"


def test_the_environment_wins_over_everything(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        LAYERED,
        profile="prod",
        environ={
            "LORCHESTRA_RUN_STORE__PATH": "2024",
            "LORCHESTRA_RUN_STORE__HEARTBEAT_S": "0.5",
            "LORCHESTRA_RUN_STORE__KEEP": "90d",
            "LORCHESTRA_LLM__MODEL": "4.1",
            "LORCHESTRA_LLM__RETRIES__MAX_RETRIES": "1",
            "LORCHESTRA_LLM__RETRIES__JITTER": "false",
            "LORCHESTRA_LLM__API_KEY": "file:key",
            "LORCHESTRA_DEFINITIONS_DIR": "defs",
            "PATH": "/bin",
        },
    )

    assert found.run_store.path == tmp_path / "2024"
    assert found.run_store.heartbeat_s == 0.5
    assert found.run_store.keep == timedelta(days=90)
    assert found.llm is not None
    assert found.llm.model == "4.1"
    assert (found.llm.retries.max_retries, found.llm.retries.jitter) == (1, False)
    assert found.llm.api_key == SecretRef("file", str(tmp_path / "key"))
    assert found.definitions_path == tmp_path / "defs"


def test_an_empty_variable_stands_for_null(tmp_path: Path) -> None:
    found = load(tmp_path, "run_store: {keep: 90d}\n", environ={"LORCHESTRA_RUN_STORE__KEEP": ""})

    assert found.run_store.keep is None


def test_a_variable_of_ours_that_names_no_setting_is_an_error_with_the_nearest_name(tmp_path: Path) -> None:
    message = refused(tmp_path, environ={"LORCHESTRA_LLM__API_KE": CANARY, "LORCHESTRA_PROFIL": CANARY})

    assert message.splitlines() == [
        "environment variable LORCHESTRA_LLM__API_KE: no setting has this name; "
        "did you mean 'LORCHESTRA_LLM__API_KEY'?",
        "environment variable LORCHESTRA_PROFIL: no setting has this name; did you mean 'LORCHESTRA_PROFILE'?",
    ]


def test_a_variable_that_a_secret_reference_names_is_no_override(tmp_path: Path) -> None:
    text = "llm: {base_url: 'https://x/v1', api_key: env:LORCHESTRA_LLM_TOKEN}\n"
    environ = {"LORCHESTRA_LLM_TOKEN": CANARY}

    found = load(tmp_path, text, environ=environ)

    assert found.llm is not None
    assert found.llm.api_key is not None
    assert found.llm.api_key.reveal(environ) == CANARY


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("LORCHESTRA_LLM__API_KEY", CANARY, "found a plain value; expected `env:NAME` or `file:/path`"),
        ("LORCHESTRA_LOG__LEVEL", CANARY, "found text; expected one of 'debug', 'info', 'warning', 'error'"),
        ("LORCHESTRA_RUN_STORE__HEARTBEAT_S", CANARY, "found text; expected a number"),
        ("LORCHESTRA_RUN_STORE__HEARTBEAT_S", ".nan", "found a number that cannot be used; expected a finite number"),
        ("LORCHESTRA_LLM__MODEL", "CANARY\udcff", "found what is not UTF-8; expected text"),
        (
            "LORCHESTRA_LLM__BASE_URL",
            f"https://me:{CANARY}@host",
            "found no plain URL; expected 'http://' or 'https://'",
        ),
    ],
)
def test_a_bad_override_is_named_by_its_variable_and_not_quoted(
    tmp_path: Path, variable: str, value: str, expected: str
) -> None:
    environ = {"LORCHESTRA_LLM__BASE_URL": "https://x/v1", variable: value}

    message = refused(tmp_path, environ=environ)

    assert message.startswith(f"environment variable {variable}: {expected}")
    assert "CANARY" not in message


# Mistakes


def test_every_mistake_is_reported_at_its_place_also_in_other_profiles_and_nothing_is_quoted(tmp_path: Path) -> None:
    message = refused(
        tmp_path,
        f"""\
        run_store: {{path: 3, keep: {CANARY}, knd: sqlite}}
        llm: {{api_key: {CANARY}, base_url: "https://me:{CANARY}@host"}}
        profiles:
          prod: {{log: {{level: {CANARY}}}}}
        """,
    )

    file = tmp_path / "lorchestra.yaml"
    assert message.splitlines() == [
        f"{file}:1:19: found a number; expected a quoted string",
        f"{file}:1:28: found no length of time; "
        "expected a whole number and one of s, m, h, d, w, such as '90d' or '12h'",
        f"{file}:1:41: unknown key 'knd'; expected one of kind, path, heartbeat_s, stale_after_s, keep; "
        "did you mean 'kind'?",
        f"{file}:2:16: found a plain value; expected `env:NAME` or `file:/path`",
        f"{file}:2:39: found no plain URL; expected 'http://' or 'https://' and a host, without user or password",
        f"{file}:4:23: found text; expected one of 'debug', 'info', 'warning', 'error'",
    ]


@pytest.mark.parametrize(
    "text",
    [
        f"llm: {{api_key: @{CANARY}}}",
        f"llm: {{api_key: !x {CANARY}}}",
        f'llm: {{api_key: !!int "{CANARY}"}}',
        f"llm: {{api_key: !!int it's {CANARY}}}",
        f'llm: {{api_key: "{CANARY}}}',
        f"llm:\n  api_key: *{CANARY}",
        f"llm:\n  api_key: a: {CANARY}",
        f"llm:\n  api_key: [{CANARY}",
        f"llm:\n  {CANARY}\n  api_key: x",
        CANARY,
        f"- {CANARY}",
        "llm: {api_key: 12345678901234567890123456789}",
    ],
)
def test_broken_yaml_is_located_and_its_text_is_not_shown(tmp_path: Path, text: str) -> None:
    message = refused(tmp_path, text)

    assert message.startswith(f"{tmp_path / 'lorchestra.yaml'}:")
    assert "CANARY" not in message
    assert "12345678" not in message


def test_a_service_without_a_url_is_refused_where_it_stands(tmp_path: Path) -> None:
    message = refused(tmp_path, "log: {level: info}\nllm: {model: x}\n")

    assert (
        message == f"{tmp_path / 'lorchestra.yaml'}:2:6: the key 'base_url' is missing; expected `base_url:` with text"
    )


def test_a_heartbeat_that_could_not_be_late_is_refused(tmp_path: Path) -> None:
    assert "twice run_store.heartbeat_s" in refused(tmp_path, "run_store: {heartbeat_s: 20}\n")


def test_a_part_of_a_section_in_a_profile_is_judged_together_with_the_rest(tmp_path: Path) -> None:
    text = "run_store: {stale_after_s: 120}\nprofiles: {slow: {run_store: {heartbeat_s: 20}}}\n"

    assert load(tmp_path, text, profile="slow").run_store.heartbeat_s == 20


VARIABLES = st.sampled_from(
    [
        "LLM__TIMEOUT_S",
        "LLM__MAX_TOKENS",
        "LLM__API_KEY",
        "LLM__MODEL",
        "RUN_STORE__KEEP",
        "LOG__LEVEL",
        "STORACLE__PATH",
    ]
)


@given(st.dictionaries(st.one_of(VARIABLES, st.text(max_size=20)), st.text(st.characters(), max_size=20), max_size=4))
def test_whatever_the_environment_holds_is_taken_or_refused(variables: dict[str, str]) -> None:
    environ = {f"LORCHESTRA_{name}": f"{value}" for name, value in variables.items()}

    try:
        found = settings.load(start=Path("/nonexistent"), environ=environ)
    except ConfigurationError as error:
        assert "environment variable LORCHESTRA_" in str(error)  # noqa: PT017  (a law: both may be)
    else:
        assert found.root == Path("/nonexistent")


PLAIN = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), st.lists, max_leaves=3)
SECTIONS = ["log", "llm", "run_store", "storacle", "profile", "profiles", "definitions_dir", "other"]


@given(st.dictionaries(st.sampled_from(SECTIONS), PLAIN | st.dictionaries(st.text(max_size=8), PLAIN, max_size=3)))
def test_whatever_the_file_holds_is_taken_or_refused(values: dict[str, object]) -> None:
    with TemporaryDirectory() as folder:
        (Path(folder) / "lorchestra.yaml").write_text(json.dumps(values))
        try:
            found = settings.load(start=Path(folder), environ={})
        except ConfigurationError as error:
            assert str(error).startswith((f"{folder}/lorchestra.yaml:", "no profile"))  # noqa: PT017  (a law: both may be)
        else:
            assert found.root == Path(folder)


# Secrets


def test_settings_show_the_reference_and_neither_the_secret_nor_the_url(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(CANARY)
    found = load(tmp_path, "llm: {base_url: 'https://x/CANARY', api_key: file:key}\n")

    assert "CANARY" not in repr(found) + str(found)
    assert f"SecretRef('file:{tmp_path / 'key'}')" in repr(found)


def test_the_client_fetches_the_key_when_it_needs_it(tmp_path: Path) -> None:
    environ: dict[str, str] = {}
    found = load(tmp_path, "llm: {base_url: 'https://x/v1', api_key: env:KEY, model: m, timeout_s: 3, max_tokens: 9}\n")
    assert found.llm is not None

    config = found.llm.client_config(environ)

    assert (config.base_url, config.model, config.timeout_read_s, config.max_tokens) == ("https://x/v1", "m", 3, 9)
    assert config.api_key is not None
    assert config.api_key.reference == "env:KEY"
    with pytest.raises(ConfigurationError, match="`env:KEY`"):
        config.api_key.reveal()
    environ["KEY"] = CANARY
    assert config.api_key.reveal() == CANARY
    assert CANARY not in repr(config)


def test_a_service_without_a_key_has_none(tmp_path: Path) -> None:
    found = load(tmp_path, "llm: {base_url: 'http://localhost:1/v1'}\n")

    assert found.llm is not None
    assert found.llm.client_config({}).api_key is None


def test_settings_do_not_read_the_environment_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORCHESTRA_LOG__LEVEL", "error")
    before = dict(os.environ)

    assert load(tmp_path).log.level is LogLevel.INFO
    assert dict(os.environ) == before


def test_settings_can_be_made_directly(tmp_path: Path) -> None:
    found = Settings(root=tmp_path)

    assert found == load(tmp_path)


# Google Sheets


def test_without_a_section_there_are_no_sheets_and_an_empty_one_takes_the_credentials_of_the_machine(
    tmp_path: Path,
) -> None:
    assert load(tmp_path).storacle.sheets is None
    sheets = load(tmp_path, "storacle: {sheets: {}}").storacle.sheets
    assert sheets is not None
    assert (sheets.credentials, sheets.base_url) == ("default", "https://sheets.googleapis.com")


def test_the_key_for_sheets_is_a_reference_below_the_project(tmp_path: Path) -> None:
    sheets = load(tmp_path, "storacle: {sheets: {credentials: 'file:google.json'}}").storacle.sheets
    assert sheets is not None
    assert sheets.credentials == SecretRef("file", str(tmp_path / "google.json"))
    sheets = load(tmp_path, environ={"LORCHESTRA_STORACLE__SHEETS__CREDENTIALS": "env:GOOGLE"}).storacle.sheets
    assert sheets is not None
    assert sheets.credentials == SecretRef("env", "GOOGLE")


def test_a_key_for_sheets_that_is_written_out_is_refused_unquoted(tmp_path: Path) -> None:
    said = refused(tmp_path, f"storacle: {{sheets: {{credentials: {CANARY}}}}}")
    assert "env:NAME" in said
    assert "'default'" in said
    assert CANARY not in said
