"""A job that writes a spreadsheet, as the settings of its project say."""

from __future__ import annotations

from tests.e2e.cli import Project
from tests.standins.google_tokens import TokenEndpoint, account
from tests.standins.sheets import SPREADSHEET, TOKEN, StandInSheets

STEPS = f"""
- step_id: rows
  op: plan.build
  params:
    method: table.upsert
    dataset: lab
    table: people
    key_columns: [idem_key]
    items: [{{idem_key: p1, name: Ada}}]
- step_id: stored
  op: storacle.submit
  params: {{plan: '@run.rows.plan'}}
- step_id: sheet
  op: plan.build
  params:
    method: sheets.write_table
    items:
    - spreadsheet_id: {SPREADSHEET}
      sheet: People
      columns: [idem_key, name]
      source: {{dataset: lab, table: people}}
- step_id: written
  op: storacle.submit
  params: {{plan: '@run.sheet.plan'}}
"""


def test_a_job_writes_a_sheet_with_the_credentials_of_the_settings(project: Project) -> None:
    project.job("report", STEPS)
    with StandInSheets() as sheets, TokenEndpoint(TOKEN) as tokens:
        project.write("secrets/google.json", account(tokens.url))
        project.settings(
            f"storacle: {{sheets: {{credentials: 'file:secrets/google.json', base_url: '{sheets.base_url}'}}}}"
        )
        project("run", "report", "--smoke-namespace", "trial").require(0)
        assert sheets.sheet("smoke_trial People").table == [["idem_key", "name"], ["p1", "Ada"]]
        tokens.tokens.append(TOKEN)
        project("smoke", "clean", "trial", "--yes").require(0)
        assert [sheet.title for sheet in sheets.sheets] == ["Sheet1"]


def test_without_settings_for_sheets_the_plan_is_refused(project: Project) -> None:
    refused = project.job("report", STEPS)("run", "report").require(2)
    assert "this service has no such method (method_not_found" in refused.out + refused.err


def test_a_key_that_is_none_is_refused_without_a_word_of_it(project: Project) -> None:
    project.write("google.json", "CANARY-5b1f").job("report", STEPS)
    with StandInSheets() as sheets:
        project.settings(f"storacle: {{sheets: {{credentials: 'file:google.json', base_url: '{sheets.base_url}'}}}}")
        refused = project("run", "report").require(2)
        assert sheets.asked == []
    assert "unauthorized" in refused.out + refused.err
    assert "CANARY" not in refused.out + refused.err


def test_another_machine_is_reached_over_tls_alone(project: Project) -> None:
    project.settings("storacle: {sheets: {base_url: 'http://sheets.example.invalid'}}").job("report", STEPS)
    refused = project.inside("run", "report").require(78)
    assert "storacle.sheets.base_url" in refused.err
    assert "invalid'" not in refused.err
