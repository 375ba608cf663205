"""Bytes as text, whatever charset they are said to have."""

from __future__ import annotations

import codecs

# Encodings of Python that are no charsets, and would read bytes as instructions.
_NOT_CHARSETS = frozenset({"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"})


def known(charset: object) -> str | None:
    """The name of a charset that can be read."""
    if not isinstance(charset, str):
        return None
    try:
        found = codecs.lookup(charset.strip().strip("\"'"))
    except (LookupError, ValueError):
        return None
    is_text = getattr(found, "_is_text_encoding", True)
    return found.name if is_text and found.name not in _NOT_CHARSETS else None


def decoded(data: bytes, charset: str | None) -> tuple[str, bool]:
    """The text, and whether all of it could be read."""
    # Providers turn texts into UTF-8 and leave the old charset in the header, so UTF-8 that is valid is believed.
    # Bytes of ASCII are that in every charset, except those that shift within it.
    guesses = (charset, "utf-8") if data.isascii() else ("utf-8", charset)
    for guess in guesses:
        if guess is not None:
            try:
                text = data.decode(guess)
                # Some codecs give halves of characters, which JSON cannot hold.
                text.encode()
            except (UnicodeError, ValueError):
                continue
            return text, True
    return data.decode("utf-8", "replace"), False
