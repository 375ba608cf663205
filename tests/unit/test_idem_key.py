from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lorchestra import idem_key


def test_a_key_says_where_the_object_is_from() -> None:
    assert idem_key.of_object("gmail", "gmail-acct1", "email", "17a") == "gmail:gmail-acct1:email:17a"
    assert idem_key.derived("gmail:gmail-acct1:email:17a", "email_jmap") == "gmail:gmail-acct1:email:17a#email_jmap"


@given(st.lists(st.tuples(st.text(), st.text(), st.text(), st.text()), unique=True, max_size=20))
def test_other_objects_have_other_keys(parts: list[tuple[str, str, str, str]]) -> None:
    assert len({idem_key.of_object(*four) for four in parts}) == len(parts)


@given(st.text(), st.text(), st.text(), st.text(), st.text())
def test_what_is_derived_is_never_named_like_a_raw_object(a: str, b: str, c: str, d: str, suffix: str) -> None:
    raw = idem_key.of_object(a, b, c, d)

    assert idem_key.derived(raw, suffix) != raw
    assert raw.count(":") == 3
    assert "#" not in raw
