"""The tree of a YAML document: values, and where each stands. Built from the events of libyaml, without recursion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import yaml

from lorchestra import errors
from lorchestra.definitions import yaml_scalar
from lorchestra.definitions.yaml_scalar import Scalar, quoted
from lorchestra.errors import Location, Problem

if TYPE_CHECKING:  # it brings pydantic, which listing definitions does without
    from lorchestra.json_value import JSONValue

MAX_DEPTH = 64
MAX_NODES = 100_000

Mark: TypeAlias = tuple[int, int]
"""Line and column, both from 1."""

_CORE = "tag:yaml.org,2002:"
_TYPES: dict[str, type] = {
    f"{_CORE}null": type(None),
    f"{_CORE}bool": bool,
    f"{_CORE}int": int,
    f"{_CORE}float": float,
    f"{_CORE}str": str,
}


class Node:
    """A value and its place. `written` is the text of an unquoted scalar; `height` counts nested collections.

    A refused node stands for something that was reported already.
    """

    __slots__ = ("entries", "height", "is_open", "items", "mark", "refused", "scalar", "size", "written")

    def __init__(self, mark: Mark, scalar: Scalar = None, written: str | None = None, *, refused: bool = False) -> None:
        self.mark = mark
        self.scalar = scalar
        self.written = written
        self.refused = refused
        self.entries: dict[str, tuple[Mark, Mark, Node]] | None = None
        self.items: list[tuple[None, Mark, Node]] | None = None
        self.size = 1
        self.height = 0
        self.is_open = False

    def child(self, part: str | int) -> tuple[Mark | None, Mark, Node] | None:
        """Where the key stands, where the value stands, and the value."""
        if isinstance(part, str):
            return self.entries.get(part) if self.entries else None
        return self.items[part] if self.items and 0 <= part < len(self.items) else None

    def value(self) -> JSONValue:
        """A fresh plain value: what an alias stands for is copied, never shared. The depth is bounded."""
        if self.entries is not None:
            return {key: node.value() for key, (_, _, node) in self.entries.items()}
        if self.items is not None:
            return [node.value() for _, _, node in self.items]
        return self.scalar


@dataclass(slots=True)
class _Frame:
    """A collection that is being read, and in a mapping the key that waits for its value."""

    node: Node
    count_before: int
    has_key: bool = False
    key: str | None = None
    """None for a key that was refused: its value is read for its own mistakes, and dropped."""
    key_mark: Mark = (1, 1)


class Builder:
    """Builds the tree of one document from the events of libyaml, without recursion."""

    def __init__(self, file: str) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._file = file
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node] = {}
        self._count = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> bool:
        """Build with one more event. False when reading on would cost too much or make no sense."""
        start = event.start_mark
        mark = (start.line + 1, start.column + 1) if start else (1, 1)
        match event:
            case yaml.ScalarEvent():
                self._count += 1
                node = self._scalar(event, mark)
                self._anchor(event.anchor, node)
                self._place(node, mark)
            case yaml.AliasEvent():
                self._place(self._alias(event.anchor or "", mark), mark)
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                return self._open(event, mark)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                frame = self._stack.pop()
                frame.node.is_open = False
                frame.node.size = self._count - frame.count_before
                self._place(frame.node, frame.node.mark)
            case yaml.DocumentStartEvent():
                self._documents += 1
                if self._documents > 1:
                    self._problem(mark, "found a second document ('---')", "expected one definition in a file")
                    return False
        if self._count > MAX_NODES:
            self._problem(mark, f"found more than {MAX_NODES} values, aliases counted in full", "expected fewer")
            return False
        return True

    def _open(self, event: yaml.MappingStartEvent | yaml.SequenceStartEvent, mark: Mark) -> bool:
        if len(self._stack) >= MAX_DEPTH:
            self._problem(mark, f"found more than {MAX_DEPTH} levels of nesting", "expected fewer")
            return False
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", f"{_CORE}{'map' if is_mapping else 'seq'}"):
            self._tag_problem(event.tag, mark)
        node = Node(mark)
        node.entries, node.items = ({}, None) if is_mapping else (None, [])
        node.height, node.is_open = 1, True
        self._anchor(event.anchor, node)
        self._stack.append(_Frame(node, self._count))
        self._count += 1
        return True

    def _anchor(self, name: str | None, node: Node) -> None:
        if name is not None:
            self._anchors[name] = node

    def _alias(self, name: str, mark: Mark) -> Node:
        target = self._anchors.get(name)
        if target is None:
            self._problem(
                mark,
                f"found the alias '*{name}', and no anchor '&{name}' before it",
                "expected an anchor, or quotes around text that begins with '*'",
                errors.did_you_mean(name, self._anchors),
            )
            return Node(mark, refused=True)
        if target.is_open:
            self._problem(mark, f"found the alias '*{name}' inside what it stands for", "expected an end to it")
            return Node(mark, refused=True)
        if len(self._stack) + target.height > MAX_DEPTH:
            self._problem(mark, f"found more than {MAX_DEPTH} levels of nesting, aliases included", "expected fewer")
            return Node(mark, refused=True)
        self._count += target.size
        return target

    def _place(self, node: Node, mark: Mark) -> None:
        if not self._stack:
            self.root = node
            return
        frame = self._stack[-1]
        parent = frame.node
        if parent.items is not None:
            parent.items.append((None, mark, node))
        elif not frame.has_key:
            frame.has_key, frame.key, frame.key_mark = True, self._key(node, mark, parent), mark
            return
        else:
            if parent.entries is not None and frame.key is not None:
                parent.entries[frame.key] = (frame.key_mark, mark, node)
            frame.has_key = False
        parent.height = max(parent.height, node.height + 1)

    def _key(self, node: Node, mark: Mark, parent: Node) -> str | None:
        entries = parent.entries or {}
        if node.refused:
            return None
        if node.written == "<<":
            self._problem(
                mark,
                "found the merge key '<<'",
                "expected the keys themselves, or an alias for a whole value",
                "write the keys out",
            )
        elif not isinstance(node.scalar, str):
            written = node.written
            found = "a list or a mapping" if node.height else f"the key {written}" if written else "an empty key"
            hint = f"write '{written}'" if written else None
            self._problem(mark, f"found {found}", "expected a key that is text", hint)
        elif node.scalar in entries:
            line, column = entries[node.scalar][0]
            self._problem(
                mark,
                f"the key {quoted(node.scalar)} is used twice (first at line {line}, column {column})",
                "expected each key once",
            )
        else:
            return node.scalar
        return None

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> Node:
        text, tag = event.value, event.tag
        written = text if tag is None and event.implicit[0] else None
        if tag is not None and tag != "!" and tag not in _TYPES:
            self._tag_problem(tag, mark)
            return Node(mark, refused=True)
        if tag in ("!", f"{_CORE}str") or (tag is None and written is None):
            return Node(mark, text)
        try:
            value = yaml_scalar.resolve(text)
        except yaml_scalar.NotJSON as error:
            self._problem(mark, error.found, error.expected, "put it in quotes if it is text")
            return Node(mark, refused=True)
        if tag == f"{_CORE}float" and type(value) is int:
            value = float(value)
        elif tag is not None and type(value) is not _TYPES[tag]:
            self._problem(mark, f"found {quoted(text)} with the tag {_shown(tag)}", "expected no tag")
        return Node(mark, value, written)

    def _tag_problem(self, tag: str, mark: Mark) -> None:
        self._problem(
            mark,
            f"found the tag {quoted(_shown(tag))}",
            "expected plain data: text, numbers, true, false, null, lists and mappings",
        )

    def _problem(self, mark: Mark, found: str, expected: str, hint: str | None = None) -> None:
        location = Location(self._file, *mark)
        self.problems.append(Problem(found=found, expected=expected, hint=hint, location=location))


def _shown(tag: str) -> str:
    return "!!" + tag.removeprefix(_CORE) if tag.startswith(_CORE) else tag
