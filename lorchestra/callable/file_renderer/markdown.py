"""Values of records as text of Markdown: it says what the value says, and nothing else.

Whatever a value holds, it makes no heading, list, link, image, code, table, tag or HTML, in CommonMark, GitHub's
dialect and Obsidian's. HTML's characters become entities, since they are read everywhere; those of Markdown get a
backslash. A value is one line.
"""

from __future__ import annotations

import re
import unicodedata

_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Obsidian's comments, tags, highlights and formulas among them.
_MARKS = "\\`*_{}[]|~#$^=%"
_ESCAPES = str.maketrans({**_HTML, **{mark: f"\\{mark}" for mark in _MARKS}})

# What makes a list, a rule or a heading only where a line begins: a value may stand there.
_START = re.compile(r"[-+:](?=\W|$)|\d{1,9}(?=[.)])")
# What becomes a link by itself.
_ADDRESS = re.compile(r"(?<=[a-z]):(?=//)|(?<=www)\.|(?<=mailto):|(?<=xmpp):", re.IGNORECASE)


def escaped(text: str) -> str:
    """As one line that means only itself."""
    if not (text.isascii() and text.isprintable()):
        text = "".join(map(_visible, text))
    line = " ".join(text.split())
    line = _ADDRESS.sub(r"\\\g<0>", line.translate(_ESCAPES))
    start = _START.match(line)
    if start is None:
        return line
    # A number keeps its digits: it is what follows them that makes a list.
    place = start.end() if start[0].isdigit() else 0
    return f"{line[:place]}\\{line[place:]}"


def _visible(character: str) -> str:
    """Without what turns the direction of writing or cannot be seen; line ends of every kind are spaces."""
    kind = unicodedata.category(character)
    if kind in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    # Joiners are part of scripts and of emoji.
    return "" if kind in ("Cf", "Cs", "Co", "Cn") and character not in "\u200c\u200d" else character
