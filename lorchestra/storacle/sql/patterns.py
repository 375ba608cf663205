"""Regular expressions as RE2 reads them, written for Python, and LIKE.

What the two engines read differently is translated or refused, so that a pattern never matches something else here.
"""

from __future__ import annotations

import functools
import re

# What RE2 means by these is ASCII; Python's own would take every digit, letter and space there is.
_CLASSES = {
    "d": ("[0-9]", "0-9"),
    "D": ("[^0-9]", None),
    "w": ("[0-9A-Za-z_]", "0-9A-Za-z_"),
    "W": ("[^0-9A-Za-z_]", None),
    "s": (r"[\t\n\f\r ]", r"\t\n\f\r "),
    "S": (r"[^\t\n\f\r ]", None),
    "b": (r"(?a:\b)", None),
    "B": (r"(?a:\B)", None),
    "A": (r"\A", None),
    "z": (r"\Z", None),
}
_PLAIN_ESCAPES = frozenset("tnrfv")
_GROUP = re.compile(r"\?(:|P<[A-Za-z_][A-Za-z0-9_]*>|[is]+:)")
_FLAGS = re.compile(r"\(\?([is]+)\)")
_REWRITE = re.compile(r"\\(.)?", re.DOTALL)


class PatternError(ValueError):
    """Says what cannot be read, without the pattern."""


def translate(pattern: str) -> str:
    """The same pattern for Python's `re`."""
    flags = _FLAGS.match(pattern)
    out = [flags[0]] if flags else []
    at = flags.end() if flags else 0
    in_class = False
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            out.append(_escape(pattern[at + 1 : at + 2], in_class))
            at += 2
            continue
        if in_class:
            if char == "[":
                raise PatternError("a class inside a class")
            # Python warns of these as set operations to come.
            out.append("\\" + char if char in "&~|" else char)
            in_class = char != "]"
        elif char == "[":
            in_class = True
            start = re.compile(r"\[\^?\]?").match(pattern, at)
            taken = start[0] if start else char
            out.append(taken.replace("]", r"\]"))
            at += len(taken)
            continue
        elif char == "(" and pattern[at + 1 : at + 2] == "?":
            group = _GROUP.match(pattern, at + 1)
            if group is None:
                raise PatternError("a group that RE2 and Python do not share")
            out.append("(" + group[0])
            at += 1 + len(group[0])
            continue
        elif char in "+*?}" and pattern[at + 1 : at + 2] == "+":
            raise PatternError("a repetition of a repetition")
        else:
            # At the end of the text only: Python's own `$` would also stand before a last line break.
            out.append(r"\Z" if char == "$" else char)
        at += 1
    translated = "".join(out)
    try:
        re.compile(translated)
    except re.error:
        raise PatternError("no regular expression") from None
    return translated


def _escape(char: str, in_class: bool) -> str:
    if char in _CLASSES:
        outside, inside = _CLASSES[char]
        if in_class and inside is None:
            raise PatternError(f"'\\{char}' inside a class")
        return outside if not in_class else inside or ""
    if char in _PLAIN_ESCAPES or (char and not char.isalnum()):
        return "\\" + char
    raise PatternError(f"the escape '\\{char}'")


def groups(translated: str) -> int:
    return re.compile(translated).groups


def check_rewrite(rewrite: str, translated: str) -> None:
    for found in _REWRITE.finditer(rewrite):
        if found[1] != "\\" and not (found[1] and found[1] in "0123456789" and int(found[1]) <= groups(translated)):
            raise PatternError("a replacement with an escape that is no group of the pattern")


def contains(text: str | None, pattern: str) -> int | None:
    return None if text is None else int(_compiled(pattern).search(text) is not None)


def extract(text: str | None, pattern: str) -> str | None:
    found = None if text is None else _compiled(pattern).search(text)
    return None if found is None else found[min(1, found.re.groups)]


def replace(text: str | None, pattern: str, rewrite: str) -> str | None:
    """Every match replaced, as RE2 goes through a text: an empty match right behind a match is none."""
    if text is None:
        return None
    compiled = _compiled(pattern)
    out: list[str] = []
    at, last = 0, -1
    while at <= len(text) and (found := compiled.search(text, at)) is not None:
        out.append(text[at : found.start()])
        if found.start() == found.end() == last:
            out.append(text[last : last + 1])
            at, last = last + 1, -1
            continue
        out.append(_REWRITE.sub(functools.partial(_part, found), rewrite))
        at = last = found.end()
    out.append(text[at:])
    return "".join(out)


def _part(found: re.Match[str], escape: re.Match[str]) -> str:
    return "\\" if escape[1] == "\\" else found[int(escape[1])] or ""


def like(text: str | None, pattern: str | None) -> int | None:
    return None if text is None or pattern is None else int(_like(pattern).fullmatch(text) is not None)


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@functools.lru_cache(maxsize=256)
def _like(pattern: str) -> re.Pattern[str]:
    out: list[str] = []
    chars = iter(pattern)
    for char in chars:
        if char == "\\":
            escaped = next(chars, None)
            if escaped is None:
                raise PatternError("a LIKE pattern that ends with a backslash")
            out.append(re.escape(escaped))
        else:
            out.append({"%": ".*", "_": "."}.get(char) or re.escape(char))
    return re.compile("".join(out), re.DOTALL)
