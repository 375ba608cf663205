"""Which callables there are, where they come from, and which code they are."""

from __future__ import annotations

from tests.e2e.cli import Project


def test_callables_are_listed_with_origin_and_content_hash(people: Project) -> None:
    rows = people("callables", "list").require(0).out.splitlines()
    assert rows[0].split() == ["NAME", "CODE", "ORIGIN"]
    assert [row.split()[0] for row in rows[1:]] == ["people"]
    assert rows[1].endswith("project callables/people.py")
    listed = people.inside("callables", "list", "--json").require(0).json
    assert listed[0]["origin"] == f"project {people.root}/callables/people.py"
    assert len(listed[0]["content_hash"]) == 64


def test_the_hash_follows_the_code(people: Project) -> None:
    before = people.inside("callables", "list", "--json").json[0]["content_hash"]
    people.callable("people", "def execute(params): ...\n")
    assert people.inside("callables", "list", "--json").json[0]["content_hash"] != before


def test_listing_imports_nothing(project: Project) -> None:
    project.callable("loud", "raise SystemExit('imported')\n")
    assert "loud" in project("callables", "list").require(0).out


def test_a_project_without_callables_says_how_to_add_one(project: Project) -> None:
    assert project.inside("callables", "list").require(0).out.startswith("no callables: add a module to")
