"""The section `storacle.bigquery` of the settings."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from lorchestra import settings
from lorchestra.errors import ConfigurationError
from lorchestra.settings import Settings
from lorchestra.settings.secret_ref import SecretRef
from lorchestra.workspace import Workspace

CANARY = "CANARY-5b1f"


def load(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Settings:
    (folder / "lorchestra.yaml").write_text(text, encoding="utf-8")
    return settings.load(start=folder, profile=None, environ=environ or {})


def test_the_kind_needs_a_project(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"kind bigquery without storacle\.bigquery\.project"):
        load(tmp_path, "storacle: {kind: bigquery}")
    found = load(tmp_path, "storacle: {kind: bigquery}", {"LORCHESTRA_STORACLE__BIGQUERY__PROJECT": "acme"})
    assert found.storacle.bigquery.project == "acme"


def test_a_section_may_be_there_for_a_profile_to_complete(tmp_path: Path) -> None:
    found = load(tmp_path, "storacle: {bigquery: {location: EU}}")
    assert (found.storacle.bigquery.location, found.storacle.bigquery.credentials) == ("EU", "default")


def test_the_key_is_a_reference_below_the_project_and_is_never_written_out(tmp_path: Path) -> None:
    found = load(tmp_path, "storacle: {bigquery: {credentials: 'file:key.json'}}")
    assert found.storacle.bigquery.credentials == SecretRef("file", str(tmp_path / "key.json"))
    with pytest.raises(ConfigurationError) as refused:
        load(tmp_path, f"storacle: {{bigquery: {{credentials: {CANARY}}}}}")
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{endpoint: 'https://me:pass@host'}", "plain URL"),
        ("{max_bytes_billed: 0}", "at least 1"),
        ("{datasets: {Raw: x}}", "Raw"),
        ("{dataset: x}", "dataset"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(tmp_path: Path, section: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        load(tmp_path, f"storacle: {{bigquery: {section}}}")


def test_names_that_bigquery_would_not_take_are_refused_when_a_command_needs_the_data(tmp_path: Path) -> None:
    found = load(tmp_path, "storacle: {kind: bigquery, bigquery: {project: Acme Data}}")
    with pytest.raises(ConfigurationError, match=r"bigquery\.project is 'Acme Data'"):
        _ = Workspace(found, environ={}).service


def test_the_backend_is_given_all_of_it(tmp_path: Path) -> None:
    section = "project: acme, location: EU, datasets: {raw: acme_raw}, max_bytes_billed: 7, labels: {team: data}"
    more = "credentials: 'env:KEY', endpoint: 'https://host'"
    found = load(tmp_path, f"storacle: {{kind: bigquery, ledger_keep: 5d, bigquery: {{{section}, {more}}}}}")
    config = found.storacle.bigquery_config({"KEY": "the key"})
    assert (config.project, config.location, dict(config.datasets)) == ("acme", "EU", {"raw": "acme_raw"})
    assert (config.max_bytes_billed, dict(config.labels), config.endpoint) == (7, {"team": "data"}, "https://host")
    assert config.credentials is not None
    assert (config.credentials(), config.ledger_kept) == ("the key", timedelta(days=5))
