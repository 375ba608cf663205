"""What a record says is text on a page, whatever it holds: in the body, in the front matter, and in names of files."""

from __future__ import annotations

import html
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lorchestra.callable.file_renderer.file_names import MOST_BYTES, PathPattern, file_name, folded
from lorchestra.callable.file_renderer.front_matter import front_matter
from lorchestra.callable.file_renderer.markdown import escaped
from lorchestra.callable.file_renderer.unfit import Unfit
from lorchestra.storacle.outward.roots import Roots, Target

MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])

HOSTILE = (
    "# heading", "#tag", "- item", "+ item", "* item", "1. item", "12) item", "> quote", "```sh", "~~~", "    code",
    "\tcode", "---", "***", "===", "| a | b |", "|---|---|", "[a](javascript:alert(1))", "![x](http://evil.invalid/p.png)",
    "[[note]]", "![[note]]", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td>", "<!-- -->",
    "<https://evil.invalid>", "https://evil.invalid", "www.evil.invalid", "mailto:x@evil.invalid",
    "[a]: http://evil.invalid",
    "*bold*", "__bold__", "~~gone~~", "`code`", "\\", "\\*a\\*", "a  \nb", "a\\\nb", "line\n# heading",
    "line\r\n\r\n- item",
    "line\u2028# heading", "line\x85- item", "{{ 7 * 7 }}", "{% raw %}", "{%- include 'x' %}", "$x$", "==mark==",
    "%%gone%%",
    "&lt;b&gt;", "&#x3c;b>", "\u202etxt.exe", "\ufeff# heading", "\x00# heading", "^block", ": meaning", "- [ ] task",
)  # fmt: skip
TAGS = ("<a", "<img", "<code", "<h1", "<em", "<strong", "<s>", "<script", "<hr", "<blockquote")
MARKS = st.text(alphabet="abW1 \n\t#*_-+=>`~[](){}<>|!\\&;:./^$%@\"'\u2028é🙂", max_size=30)


def shown(value: str) -> str:
    """What of a value can be seen on a page."""
    kinds = ((one, unicodedata.category(one)) for one in value)
    visible = (
        " " if kind in ("Cc", "Zl", "Zp", "Zs") else "" if kind[0] == "C" and one not in "\u200c\u200d" else one
        for one, kind in kinds
    )
    return " ".join("".join(visible).split())


@settings(max_examples=60)
@given(st.one_of(MARKS, st.text(max_size=30)))
def test_a_value_in_a_paragraph_is_a_paragraph_of_that_text(value: str) -> None:
    check_paragraph(value)


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_in_a_paragraph_is_a_paragraph_of_that_text(value: str) -> None:
    check_paragraph(value)


def check_paragraph(value: str) -> None:
    page = MARKDOWN.parse(f"above\n{escaped(value)}\n\nbelow\n")

    # A value alone in its line, after another: so it could have made a heading of that as well.
    assert [token.type for token in page] == ["paragraph_open", "inline", "paragraph_close"] * 2
    inline = page[1].children or []
    assert {token.type for token in inline} <= {"text", "softbreak"}
    said = "".join("\n" if token.type == "softbreak" else token.content for token in inline)
    assert said == f"above\n{shown(value)}".rstrip("\n")


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_in_its_cell_and_in_its_item(value: str) -> None:
    rendered = MARKDOWN.render(f"| a |\n|---|\n| {escaped(value)} |\n\n- {escaped(value)}\n- b\n")

    assert rendered.count("<td>") == 1
    assert rendered.count("<li>") == 2
    assert not [tag for tag in TAGS if tag in rendered]
    assert html.escape(shown(value), quote=True).replace("&#x27;", "'") in rendered


@pytest.mark.parametrize("value", ["https://evil.invalid", "see HTTP://x", "WWW.evil.invalid", "mailto:a@b"])
def test_addresses_are_no_links_where_bare_addresses_are_links(value: str) -> None:
    assert not re.search(r"[a-z]://|www\.|mailto:", escaped(value), re.IGNORECASE)


# Front matter

_yaml_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False),
              st.text(max_size=20), MARKS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=60)
@given(st.dictionaries(st.text(min_size=1, max_size=8), _yaml_values, min_size=1, max_size=4))
@example({"a": "---", "b": "x\n---\nc: 1", "c": "...", "d": "\u2028---", "e": "\ufeff", "f": "🙂\x85"})
@example({"a": "yes", "b": "null", "c": "1e3", "d": "2026-01-01", "e": "12:30", "f": "~", "g": "=", "h": "<<"})
@example({"- a": "- b", "? a": "&a *a", "!!python/object": "!!python/object/apply:os.system ['x']", "y": "no"})
def test_front_matter_says_what_the_record_says_and_ends_where_it_ends(record: dict[str, Any]) -> None:
    text = front_matter({name: name for name in record}, record)

    first, *lines, last, empty, end = text.split("\n")
    assert (first, last, empty, end) == ("---", "---", "", "")
    assert len(lines) == len(record) == len(text.splitlines()) - 3
    assert yaml.safe_load("\n".join(lines)) == record


def test_front_matter_is_readable_and_alike_whatever_engine_the_record_comes_from() -> None:
    fields = {"email": "email", "score": "phq9_score", "at": "at", "none": "none"}
    at = "2026-01-10T08:00:00.000000Z"
    record = {"email": "ada.l@example.invalid", "phq9_score": 9.0, "at": at, "none": None}

    text = front_matter(fields, record)

    assert text == f'---\nemail: ada.l@example.invalid\nscore: 9\nat: "{at}"\nnone: null\n---\n\n'
    assert text == front_matter(fields, {**record, "phq9_score": 9})
    assert front_matter({}, record) == ""


def test_a_field_that_is_not_there_is_named() -> None:
    with pytest.raises(Unfit) as unfit:
        front_matter({"mail": "e/mail"}, {"email": "x"})
    assert (unfit.value.rule, unfit.value.pointer) == ("required", "/e~1mail")


# Names of files

BAD_NAMES = (
    "..", ".", "../../etc/passwd", "/etc/passwd", "a/b", "a\\b", "C:\\x", ".hidden", "-rf", "~root", "a\x00b", "a\nb",
    "con", "NUL.txt", "com1", "_smoke", " x", "x ", "x.", "a:b", "a*b", "a|b", "[[a]]", "a#b", "\u202eb", "\ufeffa",
    "a\u00a0b",
    "é" * 100, "x" * 300, "🙂" * 60, "e\u0301",
)  # fmt: skip


@pytest.mark.parametrize("value", BAD_NAMES)
def test_a_value_that_is_no_name_becomes_one_and_is_marked(value: str, tmp_path: Path) -> None:
    name = file_name(value)

    assert name != value
    check_name(name, tmp_path)
    assert name == file_name(value)


@settings(max_examples=60, deadline=None)
@given(st.text(min_size=1, max_size=120), st.text(min_size=1, max_size=120))
def test_any_value_is_a_name_and_two_values_are_two_names(one: str, other: str) -> None:
    check_name(file_name(one), Path("/nowhere"))
    assert (file_name(one) == file_name(other)) == (one == other)


def check_name(name: str, root: Path) -> None:
    (*_, last) = Roots({"files": root}).resolve(Target(path=f"{name}.md"), namespace="prod")
    assert last == f"{name}.md"
    assert len(name.encode()) <= MOST_BYTES + 11
    assert unicodedata.is_normalized("NFC", name)
    assert not name.startswith((".", "-"))


@pytest.mark.parametrize("value", ["ada.lovelace@example.invalid", "Ada Lovelace", "Zoë 漢字", "a_b-c (2)", "O'Brien"])
def test_a_good_name_stays_as_it_is(value: str) -> None:
    assert file_name(value) == value


def test_a_pattern_puts_values_into_a_path_and_none_of_them_adds_a_folder() -> None:
    pattern = PathPattern("{year}/{team} of/{email}.md")

    assert pattern.path_of({"year": 2026, "team": "north", "email": "a@b"}) == "2026/north of/a@b.md"
    assert pattern.path_of({"year": 2026, "team": "../..", "email": "a/b"}).count("/") == 2


@pytest.mark.parametrize(
    ("record", "rule", "pointer"),
    [
        ({}, "required", "/email"),
        ({"email": None}, "required", "/email"),
        ({"email": ""}, "minLength", "/email"),
        ({"email": " \n"}, "minLength", "/email"),
        ({"email": True}, "type", "/email"),
        ({"email": 1.5}, "type", "/email"),
        ({"email": ["a"]}, "type", "/email"),
    ],
)
def test_a_record_without_a_name_is_told_by_the_field(record: dict[str, Any], rule: str, pointer: str) -> None:
    with pytest.raises(Unfit) as unfit:
        PathPattern("{email}.md").path_of(record)
    assert (unfit.value.rule, unfit.value.pointer) == (rule, pointer)


def test_a_path_of_many_values_ends_somewhere() -> None:
    with pytest.raises(Unfit) as unfit:
        PathPattern("{a} {a} {a} {a}.md").path_of({"a": "x" * 79})
    assert unfit.value.rule == "path_too_long"


@pytest.mark.parametrize(
    "pattern",
    ["page.md", "{}.md", "{a}", "{a}.", "/{a}.md", "../{a}.md", "x/../{a}.md", "x//{a}.md",
     "{a}\n.md", "{a}/.md", "a\\{a}.md", ".x/{a}.md"],
)  # fmt: skip
def test_a_pattern_that_makes_no_paths_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="; expected "):
        PathPattern(pattern)


def test_paths_that_some_disk_takes_for_one_are_known() -> None:
    assert folded("Ada.md") == folded("ada.MD")
    assert folded("e\u0301.md") == folded("\u00c9.md")
