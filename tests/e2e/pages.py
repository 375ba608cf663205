"""The pages of the documentation, read as data: their blocks of code, headings, links and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_FENCE = re.compile(r"^```(.*)$")
_HEADING = re.compile(r"^(#{1,6}) +(.*?) *$")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block. Its info string is the language and, after it, words that say what the block is."""

    page: Path
    line: int
    language: str
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file of the project that the block shows, when it shows one."""
        named = [word for word in self.words if "." in word]
        return named[0] if named else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    path: Path
    text: str
    blocks: tuple[Block, ...]
    prose: str
    """The text without its blocks."""

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def anchors(self) -> frozenset[str]:
        """What a link may name after '#', made of the headings as the usual renderers make it."""
        titles = [match[2] for line in self.prose.splitlines() if (match := _HEADING.match(line))]
        return frozenset(re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles)

    @property
    def links(self) -> tuple[str, ...]:
        return tuple(_LINK.findall(self.prose))

    def section(self, heading: str) -> str:
        """The text from a heading to the next one of its level or above. Raises KeyError when there is none."""
        lines = self.text.splitlines()
        for start, line in enumerate(lines):
            match = _HEADING.match(line)
            if match and match[2] == heading:
                level = len(match[1])
                rest = lines[start + 1 :]
                ends = (n for n, one in enumerate(rest) if (m := _HEADING.match(one)) and len(m[1]) <= level)
                return "\n".join(rest[: next(ends, len(rest))])
        raise KeyError(f"{self} has no section '{heading}'")


def read(path: Path) -> Page:
    text = path.read_text(encoding="utf-8")
    blocks: list[Block] = []
    prose: list[str] = []
    opened: tuple[int, str] | None = None
    inside: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence is None:
            (prose if opened is None else inside).append(line)
        elif opened is None:
            opened, inside = (number, fence[1]), []
        else:
            language, *words = opened[1].split() or [""]
            blocks.append(
                Block(page=path, line=opened[0], language=language, words=tuple(words), text="\n".join((*inside, "")))
            )
            opened = None
    if opened is not None:
        raise ValueError(f"{path}:{opened[0]}: a block that does not end")
    return Page(path=path, text=text, blocks=tuple(blocks), prose="\n".join(prose))


@cache
def all_pages() -> tuple[Page, ...]:
    return tuple(map(read, (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md")))))


def page(name: str) -> Page:
    return next(one for one in all_pages() if str(one) == name)


def all_blocks() -> Iterator[Block]:
    for one in all_pages():
        yield from one.blocks


def rows_of(table: str) -> Iterator[tuple[str, ...]]:
    """The rows of the first table in a text, without its head."""
    lines = iter(table.splitlines())
    for line in lines:
        if line.startswith("|"):
            break
    next(lines, None)
    for line in lines:
        if not line.startswith("|"):
            return
        # A bar inside code is escaped in a table.
        cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
        yield tuple(cell.strip().replace("\\|", "|") for cell in cells)
