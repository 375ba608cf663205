"""`file_renderer`: records in, pages out; what is no page is set aside, and what is no template stops all of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lorchestra.callable import dispatch_callable, file_renderer
from lorchestra.callable.direct import direct_context
from lorchestra.callable.file_renderer import library
from lorchestra.errors import DefinitionError
from lorchestra.items import Checkpoint, Item, Record, Rejected

PARAMS = {"template": "client", "root": "vault", "folder": "clients", "file": "{email}.md"}
PLACE = {"root": "vault", "folder": "clients", "list": "client"}
ADA = {"email": "ada@example.invalid", "name": "Ada"}
GRACE = {"email": "grace@example.invalid", "name": "Grace"}


def render(
    records: Iterable[object], template: str = "# {{ name }}\n", params: Mapping[str, Any] = PARAMS, **changes: Any
) -> list[Item]:
    context = direct_context(items=records, resources={"template": template.encode()})
    return list(file_renderer.execute({**params, **changes}, context)["items"])


def pages(items: Iterable[Item]) -> dict[str, str]:
    written: list[Any] = [item.data["files"] for item in items if isinstance(item, Record) and "files" in item.data]
    return {page["path"]: page["content"] for files in written for page in files}


def page(record: Mapping[str, Any], template: str) -> str:
    (content,) = pages(render([{"email": "a@b", **record}], template)).values()
    return content


def rejected(items: Iterable[Item]) -> list[Rejected]:
    return [item for item in items if isinstance(item, Rejected)]


def kept(items: Iterable[Item]) -> list[Any]:
    return [item.data["keep"] for item in items if isinstance(item, Record) and item.method == "file.prune"]


def test_each_record_has_a_page_and_other_pages_go() -> None:
    items = render([ADA, GRACE], front_matter=["email"])

    assert items == [
        Record(
            {
                **PLACE,
                "files": [
                    {"path": f"{one['email']}.md", "content": f"---\nemail: {one['email']}\n---\n\n# {one['name']}\n"}
                    for one in (ADA, GRACE)
                ],
            }
        ),
        Record({**PLACE, "keep": [f"{one['email']}.md" for one in (ADA, GRACE)]}, method="file.prune"),
    ]
    assert render([ADA, GRACE], front_matter=["email"]) == items


def test_pages_without_a_record_stay_when_that_is_the_policy() -> None:
    assert kept(render([ADA], removed="keep")) == []


def test_without_any_record_pages_go_only_if_the_source_is_known_to_be_there() -> None:
    source = {"dataset": "derived", "table": "clients"}
    assert render([]) == []
    assert render([], source=source) == [Record({**PLACE, "keep": [], "source": source}, method="file.prune")]
    assert "source" not in render([ADA], source=source)[-1].data  # type: ignore[union-attr]
    assert file_renderer.reads({**PARAMS, "source": source}) == source
    assert file_renderer.reads(PARAMS) is None


def test_it_is_a_callable_that_is_built_in() -> None:
    assert file_renderer.resources(PARAMS) == {"template": "templates/client.md"}
    with pytest.raises(DefinitionError, match="/params/file"):
        dispatch_callable("file_renderer", {**PARAMS, "file": "page.md"})


def test_many_pages_come_in_batches() -> None:
    records = [{"email": f"c{number}@b", "name": "x" * 100} for number in range(450)]
    items = render(records)

    assert [len(item.data["files"]) for item in items[:-1]] == [200, 200, 50]  # type: ignore[union-attr,arg-type]
    assert len(pages(items)) == len(kept(items)[0]) == 450
    (first, *_) = render([{**one, "name": "x" * 400_000} for one in records[:4]])
    assert len(first.data["files"]) == 3  # type: ignore[union-attr,arg-type]


# Records are data


def test_what_a_record_says_is_no_template_and_no_markdown() -> None:
    hostile = "{{ 7 * 7 }}{% for x in y %}\n# heading <script>[a](b)"
    assert page({"name": hostile}, "{{ name }}") == (
        "\\{\\{ 7 \\* 7 \\}\\}\\{\\% for x in y \\%\\} \\# heading &lt;script&gt;\\[a\\](b)\n"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, ""), (True, "true"), (False, "false"), (12.0, "12"), (1.5, "1.5"), (0, "0"), ("", ""), ("1. x", "1\\. x")],
)
def test_values_are_shown_alike_whatever_engine_they_come_from(value: object, shown: str) -> None:
    assert page({"x": value}, "[{{ x }}]") == f"[{shown}]\n"


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("{{ name | upper }}", "\\*ADA\\*"),
        ("{{ name ~ '*' }}", "\\*Ada\\*\\*"),
        ("{{ [name, name] | join('*') }}", "\\*Ada\\*\\*\\*Ada\\*"),
        ("{% set x = name %}{{ x }}", "\\*Ada\\*"),
        ("{% with x = name %}{{ x }}{% endwith %}", "\\*Ada\\*"),
        ("{% for x in [name] %}{{ x }}{% endfor %}", "\\*Ada\\*"),
        ("{{ '%s' % name }}", "\\*Ada\\*"),
        ("{{ name.replace('*', '[') }}", "\\[Ada\\["),
        ("{{ record['name'] }}", "\\*Ada\\*"),
        ("{{ '*' }}", "\\*"),
        ("{{ name or 'nobody' }}", "\\*Ada\\*"),
        ("{{ at | date }}", "2026-01-10"),
        ("{{ none | date }}.", "."),
        ("{{ nothing is defined }}", "false"),
        ("*{{ at | date }}*", "*2026-01-10*"),
    ],
)
def test_every_expression_is_escaped_and_the_template_is_not(template: str, shown: str) -> None:
    record = {"name": "*Ada*", "at": "2026-01-10T08:00:00.000000Z", "none": None}
    assert page(record, template) == f"{shown}\n"


@pytest.mark.parametrize(
    "template",
    [
        "{{ name.__class__.__mro__ }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ record.pop('name') }}",
        "{{ record.update({'name': 'x'}) }}",
        "{{ self.__init__ }}",
        "{{ range(10) }}",
        "{{ lipsum() }}",
        "{{ '{0.__class__}'.format(name) }}",
        "{{ name.format.__globals__ }}",
        "{{ cycler }}",
    ],
)
def test_a_template_reaches_nothing_but_the_record(template: str) -> None:
    (one,) = rejected(render([ADA], template))
    assert one.rule in ("template", "undefined")
    assert not pages(render([ADA], template))


# What is no page


def test_a_record_that_lacks_what_the_template_asks_for_is_set_aside_and_its_page_stays() -> None:
    items = render([{"idem_key": "c1", "email": "a@b"}, GRACE], "# {{ email }}\n\n{{ name }}\n")

    assert rejected(items) == [
        Rejected(idem_key="c1", schema="templates/client.md:3", pointer="/name", rule="undefined")
    ]
    assert list(pages(items)) == ["grace@example.invalid.md"]
    assert kept(items) == [["a@b.md", "grace@example.invalid.md"]]


@pytest.mark.parametrize("template", ["{{ 1 + name }}", "\n\n{{ name | date }}", "{{ 1 / zero }}", "{{ many }}"])
def test_a_record_that_the_template_cannot_show_is_set_aside_without_a_value(template: str) -> None:
    record = {**ADA, "zero": 0, "many": ["CANARY-1f2e"]}
    (one,) = rejected(render([{**record, "name": "CANARY-77aa"}], template))

    line = template.count("\n") + 1
    assert (one.schema, one.pointer, one.rule) == (f"templates/client.md:{line}", "", "template")
    assert "CANARY" not in repr(one)
    assert "ada" not in repr(one)


def test_a_record_that_no_name_can_be_made_of_is_set_aside_and_nothing_is_removed() -> None:
    items = render([{**ADA, "email": None}, GRACE])

    (one,) = rejected(items)
    assert (one.pointer, one.rule) == ("/email", "required")
    assert kept(items) == []
    assert one.idem_key == rejected(render([{**ADA, "email": None}]))[0].idem_key


def test_of_two_records_with_one_name_the_second_is_set_aside() -> None:
    other = {**ADA, "email": "ADA@example.invalid", "idem_key": "c2"}
    items = render([ADA, other])

    assert list(pages(items)) == ["ada@example.invalid.md"]
    assert [(one.idem_key, one.rule) for one in rejected(items)] == [("c2", "path_taken")]


def test_fields_of_the_front_matter_stand_in_their_order_by_their_names() -> None:
    (content,) = pages(render([ADA], "x", front_matter=["name", {"address": "email"}])).values()
    assert content == "---\nname: Ada\naddress: ada@example.invalid\n---\n\nx\n"


def test_a_field_of_the_front_matter_has_to_be_there() -> None:
    (one,) = rejected(render([ADA], front_matter=[{"title": "name"}, {"since": "first"}]))
    assert (one.pointer, one.rule) == ("/first", "required")


def test_what_an_earlier_step_set_aside_goes_on_and_keeps_all_pages() -> None:
    aside = Rejected(idem_key="c9", schema="s", pointer="", rule="r")
    cursor = Checkpoint(key="k", cursor=1)

    items = render([ADA, aside, GRACE, cursor])

    assert [type(item) for item in items] == [Record, Rejected, Record, Checkpoint]


# What is no template, and no params


@pytest.mark.parametrize(
    ("template", "line", "said"),
    [
        ("# x\n{{ name", 2, "end of"),
        ("{% if %}", 1, "Expected"),
        ("a\nb\n{{ name | shout }}", 3, "shout"),
        ("{{ name | safe }}", 1, "safe"),
        ("{{ name | random }}", 1, "random"),
        ("a\n{% macro m() %}{% endmacro %}", 2, "Macro"),
        ("{% include 'x.md' %}", 1, "Include"),
        ("{% extends 'x.md' %}", 1, "Extends"),
        ("{% import 'x.md' as x %}", 1, "Import"),
        ("{% block x %}{% endblock %}", 1, "Block"),
        ("{% set x %}{{ name }}{% endset %}", 1, "AssignBlock"),
        ("{% filter upper %}x{% endfilter %}", 1, "FilterBlock"),
        ("{% autoescape true %}{{ name }}{% endautoescape %}", 1, "Scope"),
        ("{% call x() %}{% endcall %}", 1, "CallBlock"),
    ],
)
def test_a_broken_template_is_an_error_with_its_line_before_any_record_is_read(
    template: str, line: int, said: str
) -> None:
    def never() -> Iterable[object]:
        raise AssertionError("a record was read")
        yield

    with pytest.raises(DefinitionError) as broken:
        render(never(), template)

    (problem,) = broken.value.problems
    assert str(problem).startswith(f"templates/client.md:{line}:1: ")
    assert said in problem.found


def test_a_template_that_is_no_text_is_broken() -> None:
    context = direct_context(resources={"template": b"\xff"})
    with pytest.raises(DefinitionError, match=r"templates/client.md:1:1: a file that is not UTF-8"):
        file_renderer.execute(PARAMS, context)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"template": "../client"}, "/params/template: found text; expected small letters"),
        ({"file": "page.md"}, "/params/file: found no field of the record; expected"),
        ({"removed": "archive"}, "/params/removed: found text; expected 'delete' or 'keep'"),
        ({"folders": "x"}, "/params: unknown key 'folders'; expected one of"),
        ({"front_matter": "email"}, "/params/front_matter"),
    ],
)
def test_params_that_make_no_sense_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        file_renderer.resources({**PARAMS, **changes})
    assert said in str(refused.value)


def test_it_is_not_given_a_part_of_the_records() -> None:
    context = direct_context(items=[ADA], resources={"template": b"x"})
    with pytest.raises(DefinitionError, match="'unprocessed'"):
        file_renderer.execute(PARAMS, replace(context, stage="pages"))


def test_every_template_of_a_project_is_checked_with_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "content" / "templates"
    folder.mkdir(parents=True)
    (folder / "fine.md").write_text("# {{ name }}\n")
    (folder / "broken.md").write_text("# {{ name }}\n{% if name %}\n")
    (folder / "page.txt").write_text("{% no template of ours")

    (problem,) = library.problems(tmp_path / "content", root=tmp_path)

    assert str(problem).startswith("content/templates/broken.md:2:1: Unexpected end of template")
    assert library.problems(tmp_path, root=tmp_path) == ()


def test_the_templates_that_come_with_lorchestra_are_fine() -> None:
    root = Path(__file__).parents[2]
    assert sorted((root / "templates").glob("*.md"))
    assert library.problems(root, root=root) == ()
