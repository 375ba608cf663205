"""Which callables there are, where they come from, and which code they are."""

from __future__ import annotations

from lorchestra.callable.built_in import BUILT_IN
from tests.e2e.cli import Project


def test_callables_are_listed_with_origin_and_content_hash(people: Project) -> None:
    rows = people("callables", "list").require(0).out.splitlines()
    assert rows[0].split() == ["NAME", "CODE", "ORIGIN"]
    assert [row.split()[0] for row in rows[1:]] == sorted(["people", *BUILT_IN])
    assert [row for row in rows if row.endswith("project callables/people.py")]
    listed = people_of(people)
    assert listed["origin"] == f"project {people.root}/callables/people.py"
    assert len(listed["content_hash"]) == 64


def test_the_hash_follows_the_code(people: Project) -> None:
    before = people_of(people)["content_hash"]
    people.callable("people", "def execute(params): ...\n")
    assert people_of(people)["content_hash"] != before


def test_listing_imports_nothing(project: Project) -> None:
    project.callable("loud", "raise SystemExit('imported')\n")
    assert "loud" in project("callables", "list").require(0).out


def test_a_project_without_callables_has_those_that_are_built_in(project: Project) -> None:
    listed = project.inside("callables", "list", "--json").require(0).json
    assert {one["name"]: one["origin"] for one in listed} == dict.fromkeys(BUILT_IN, "built in")


def people_of(project: Project) -> dict[str, str]:
    """What is listed of the callable `people`."""
    [listed] = [one for one in project.inside("callables", "list", "--json").require(0).json if one["name"] == "people"]
    found: dict[str, str] = listed
    return found
