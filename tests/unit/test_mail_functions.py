"""What transforms can ask of mail: addresses, headers, dates, bodies."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorchestra.callable.canonizer.functions import FUNCTIONS
from lorchestra.json_value import canonical_bytes

decode_body = FUNCTIONS["decodeBody"]
decode_header = FUNCTIONS["decodeHeader"]
parse_addresses = FUNCTIONS["parseAddresses"]


def encoded(text: str | bytes, charset: str = "utf-8") -> str:
    return base64.urlsafe_b64encode(text if isinstance(text, bytes) else text.encode(charset)).decode()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("jan@x.example", [(None, "jan@x.example")]),
        ("Jan M <jan@x.example>", [("Jan M", "jan@x.example")]),
        ("J. R. Doe <j@x.example>", [("J. R. Doe", "j@x.example")]),
        ('"Doe, Jan" <jan@x.example>', [("Doe, Jan", "jan@x.example")]),
        (r'"Jan \"J\" M" <j@x.example>', [('Jan "J" M', "j@x.example")]),
        ('"a" "b" <c@x.example>', [("a b", "c@x.example")]),
        ("a@x.example,b@x.example", [(None, "a@x.example"), (None, "b@x.example")]),
        ("Team: a@x.org, B <b@x.org>;, C <c@x.org>", [(None, "a@x.org"), ("B", "b@x.org"), ("C", "c@x.org")]),
        ("undisclosed-recipients:;", []),
        ("a@x.example (Ann (the) First)", [("Ann (the) First", "a@x.example")]),
        (r"a@x.example (one \) more)", [("one ) more", "a@x.example")]),
        ("=?utf-8?q?M=C3=BCller=2C_J?= <m@x.example>", [("Müller, J", "m@x.example")]),
        ("=?utf-8?q?a,b?= <m@x.example>", [("a,b", "m@x.example")]),
        ('"john doe"@x.example', [(None, '"john doe"@x.example')]),
        ("john . doe @ x.example", [(None, "john.doe@x.example")]),
        ("<@a.example,@b.example:c@x.example>", [(None, "c@x.example")]),
        ("Jan <jan@x.example", [("Jan", "jan@x.example")]),
        ("A <a@x.example> and more", [("A and more", "a@x.example")]),
        ("nobody", [(None, "nobody")]),
        ("Only A Name <>", [("Only A Name", "")]),
        ("", []),
        (" ,;, > ", [(None, ">")]),
    ],
)  # fmt: skip
def test_addresses_are_read_as_people_write_them(text: str, found: list[tuple[str | None, str]]) -> None:
    assert [(one["name"], one["email"]) for one in parse_addresses(text)] == found


def test_addresses_of_several_headers_follow_each_other() -> None:
    assert [one["email"] for one in parse_addresses(["a@x.example", 3, "b@x.example"])] == [
        "a@x.example",
        "b@x.example",
    ]
    assert parse_addresses(None) is None


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("plain", "plain"),
        ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("=?UTF-8?B?R3LDvMOfZQ?=", "Grüße"),
        ("a =?iso-8859-1?q?=E4?= b", "a ä b"),
        ("=?utf-8?q?a?=  =?iso-8859-1?q?=E4?=", "aä"),
        ("=?utf-8?q?=C3?= =?utf-8?q?=BC?=", "ü"),
        ("=?utf-8*en?q?under_score?=", "under score"),
        ("=?iso-2022-jp?b?GyRCJDMkcyRLJEEkTxsoQg==?=", "こんにちは"),
        ("=?nope?q?x?= =?utf-8?q?y?=", "=?nope?q?x?= y"),
        ("=?utf-8?b?w?= z", "=?utf-8?b?w?= z"),
        ("=?unicode_escape?q?=5Cx41?=", "=?unicode_escape?q?=5Cx41?="),
        ("folded\r\n text", "folded text"),
        ("=?", "=?"),
    ],
)
def test_encoded_words_are_decoded_and_what_cannot_be_read_stays(text: str, read: str) -> None:
    assert decode_header(text) == read


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Tue, 14 Nov 2023 23:13:20 +0100", "2023-11-14T23:13:20+01:00"),
        ("Tue, 14 Nov 2023 23:13:20 +0100 (CET)", "2023-11-14T23:13:20+01:00"),
        ("Tue, 14 Nov 2023 23:13:20 GMT", "2023-11-14T23:13:20Z"),
        ("14 Nov 23 1:2:3 -0000", "2023-11-14T01:02:03Z"),
        ("Mon, 32 Jan 2024 00:00:00 +0000", None),
        ("Tue, 14 Nov 2023 23:13:20 +9999", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_dates_keep_their_time_zone(text: str | None, moment: str | None) -> None:
    assert FUNCTIONS["parseDate"](text) == moment


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ('text/plain; charset="UTF-8"', "charset", "UTF-8"),
        ("text/plain;\r\n CHARSET=utf-8; x=y", "charset", "utf-8"),
        ("attachment; filename*=utf-8''%e2%82%ac%20x.pdf", "filename", "€ x.pdf"),
        (r'a/b; name="a\"b"', "name", 'a"b'),
        ("text/plain", "charset", None),
        (None, "charset", None),
    ],
)
def test_parameters_of_headers(text: str | None, name: str, value: str | None) -> None:
    assert FUNCTIONS["headerParameter"](text, name) == value


def test_ids_are_what_stands_in_brackets() -> None:
    assert FUNCTIONS["parseIds"](["<a@x> <b@x>", "< c@x >"]) == ["a@x", "b@x", "c@x"]
    assert FUNCTIONS["parseIds"]("<a@x>") == ["a@x"]
    assert FUNCTIONS["parseIds"](["none"]) is None


@pytest.mark.parametrize(
    ("data", "charset", "text", "is_problem"),
    [
        (encoded("grün", "latin-1"), "iso-8859-1", "grün", False),
        # What a provider has made UTF-8 of keeps the charset that it had.
        (encoded("grün"), "iso-8859-1", "grün", False),
        (encoded("こんにちは", "iso-2022-jp"), "iso-2022-jp", "こんにちは", False),
        (encoded("x\r\ny"), None, "x\ny", False),
        (encoded("abc").rstrip("="), "UTF-8", "abc", False),
        ("YWJj\r\nZGVm", "utf-8", "abcdef", False),
        (encoded("a"), "x-nothing", "a", True),
        (encoded(b"\xff"), "utf-8", "\ufffd", True),
        ("YWJj!", "utf-8", "abc", True),
        (encoded("\\x41"), "unicode_escape", "\\x41", True),
        (encoded("text"), "base64", "text", True),
        (None, None, "", False),
    ],
)
def test_bodies_are_texts_whatever_their_charset(
    data: str | None, charset: str | None, text: str, is_problem: bool
) -> None:
    assert decode_body(data, charset) == {"value": text, "isEncodingProblem": is_problem, "isTruncated": False}


def test_character_references_are_replaced() -> None:
    assert FUNCTIONS["unescapeHtml"]("it&#39;s &amp; so") == "it's & so"
    assert FUNCTIONS["unescapeHtml"](None) is None


odd = st.one_of(
    st.text(), st.text("\"<>(),:;@=?\\ \t\r\nqBbaé_-'%"), st.none(), st.integers(), st.lists(st.text(), max_size=3)
)


@given(arguments=st.lists(odd, min_size=1, max_size=2), name=st.sampled_from(sorted(FUNCTIONS)))
def test_law_a_function_gives_json_whatever_it_is_given(arguments: list[Any], name: str) -> None:
    takes_two = name in ("decodeBody", "headerParameter")
    canonical_bytes(FUNCTIONS[name](*(arguments[0], arguments[-1]) if takes_two else arguments[:1]))


@given(
    data=st.binary(), charset=st.sampled_from(["utf-8", "utf-7", "utf-16", "latin-1", "gb18030", "iso-2022-jp", "hz"])
)
def test_law_a_body_is_a_text_that_json_can_hold(data: bytes, charset: str) -> None:
    canonical_bytes(decode_body(encoded(data), charset))
