"""Fails in every way a callable can, each time with what it is given in its text."""

from __future__ import annotations

import gc
import threading
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from lorchestra.callable import CallableResult
from lorchestra.callable.context import CallableContext
from lorchestra.errors import JobNotFoundError, LorchestraError, PermanentError, TransientError
from lorchestra.items import Checkpoint, Record, Rejected

Words: TypeAlias = list[str]
Way: TypeAlias = Callable[[Words, CallableContext], object]


def execute(params: Mapping[str, Any], context: CallableContext) -> Any:
    return WAYS[params["way"]](params["words"], context)


class Loud(Exception):
    """Holds what it is given in every place it has."""

    def __init__(self, words: Words) -> None:
        super().__init__(*words)
        self.words = words
        self.add_note(" ".join(words))

    def __str__(self) -> str:
        return " ".join(self.words)

    def __repr__(self) -> str:
        return str(self)


class OwnPermanent(PermanentError):
    """A kind of our errors that is the callable's own."""


class Odd:
    """Nothing that JSON can hold, and it prints as what it is given."""

    def __init__(self, words: Words) -> None:
        self.words = words

    def __repr__(self) -> str:
        return " ".join(self.words)

    __str__ = __repr__


class OddMapping(Mapping[str, Any]):
    """Raises what it is given when it is looked into."""

    def __init__(self, words: Words) -> None:
        self.words = words

    def __getitem__(self, key: str) -> Any:
        raise KeyError(self.words[0])

    def __iter__(self) -> Iterator[str]:
        raise KeyError(self.words[0])

    def __len__(self) -> int:
        return 1


class Falling:
    def __init__(self, words: Words) -> None:
        self.words = words

    def __del__(self) -> None:
        raise Loud(self.words)


LAST: list[Falling] = []
"""What goes only when the interpreter does."""


def text_of(words: Words) -> str:
    return " | ".join(words)


def one(words: Words) -> Any:
    return [{"idem_key": "one", "words": words}]


def value_error(words: Words, context: CallableContext) -> object:
    raise ValueError(text_of(words))


def key_error(words: Words, context: CallableContext) -> object:
    nothing: dict[str, object] = {}
    return nothing[words[0]]


def many_args(words: Words, context: CallableContext) -> object:
    raise RuntimeError(*words)


def undecodable(words: Words, context: CallableContext) -> object:
    return (text_of(words).encode() + b"\xff").decode()


def unencodable(words: Words, context: CallableContext) -> object:
    return (text_of(words) + "\ud800").encode()


def missing_file(words: Words, context: CallableContext) -> object:
    return Path(f"/nowhere/{words[2]}").read_text()


def attribute_error(words: Words, context: CallableContext) -> object:
    return getattr(context, words[0])


def transient(words: Words, context: CallableContext) -> object:
    raise TransientError(text_of(words), retry_after=0.0)


def permanent(words: Words, context: CallableContext) -> object:
    raise PermanentError(text_of(words))


def own_kind(words: Words, context: CallableContext) -> object:
    raise OwnPermanent(text_of(words))


def our_root(words: Words, context: CallableContext) -> object:
    raise LorchestraError(text_of(words))


def our_definition_error(words: Words, context: CallableContext) -> object:
    raise JobNotFoundError(words[0], known=words)


def loud(words: Words, context: CallableContext) -> object:
    raise Loud(words)


def from_cause(words: Words, context: CallableContext) -> object:
    try:
        raise Loud(words)
    except Loud as error:
        raise PermanentError(words[0]) from error


def in_context(words: Words, context: CallableContext) -> object:
    try:
        raise Loud(words)
    except Loud:
        raise KeyError(words[0])  # noqa: B904  (the context is what this is about)


def group(words: Words, context: CallableContext) -> object:
    raise ExceptionGroup(text_of(words), [ValueError(words[0]), ExceptionGroup(words[1], [Loud(words)])])


def made_type(words: Words, context: CallableContext) -> object:
    raise type(words[0], (KeyError,), {"__module__": words[0]})(words[0])


def made_kind_of_ours(words: Words, context: CallableContext) -> object:
    raise type(words[0], (TransientError,), {"__module__": "lorchestra.errors"})(words[0])


def made_function(words: Words, context: CallableContext) -> object:
    space: dict[str, Any] = {}
    exec(f"def {words[0]}():\n    raise ValueError({words[0]!r})", space)
    return space[words[0]]()


def made_file(words: Words, context: CallableContext) -> object:
    exec(compile("raise ValueError", words[2], "exec"))
    return one(words)


def syntax_error(words: Words, context: CallableContext) -> object:
    exec(f"{words[0]} {words[0]}")
    return one(words)


def surrogates(words: Words, context: CallableContext) -> object:
    raise ValueError(words[0] + "\udcff")


def no_text(words: Words, context: CallableContext) -> object:
    class Mute(Exception):
        def __str__(self) -> str:
            raise Loud(words)

    raise Mute(*words)


def exits(words: Words, context: CallableContext) -> object:
    raise SystemExit(text_of(words))


def interrupts(words: Words, context: CallableContext) -> object:
    raise KeyboardInterrupt(text_of(words))


def deep(words: Words, context: CallableContext) -> object:
    return deep(words, context)


def in_generator(words: Words, context: CallableContext) -> object:
    def items() -> Iterator[Any]:
        yield from one(words)
        raise Loud(words)

    return {"items": items()}


def stop_iteration(words: Words, context: CallableContext) -> object:
    def items() -> Iterator[Any]:
        yield from one(words)
        raise StopIteration(words[0])

    return {"items": items()}


def in_finally(words: Words, context: CallableContext) -> object:
    def items() -> Iterator[Any]:
        try:
            yield from one(words)
            raise Loud(words)
        finally:
            raise KeyError(words[0])

    return {"items": items()}


def in_close(words: Words, context: CallableContext) -> object:
    """The second item cannot be encoded, so the items are given up, and closing them fails as well."""

    def items() -> Iterator[Any]:
        try:
            yield from one(words)
            yield {"odd": Odd(words)}
        finally:
            raise Loud(words)

    return {"items": items()}


def in_thread(words: Words, context: CallableContext) -> object:
    def fail() -> None:
        raise Loud(words)

    thread = threading.Thread(target=fail, name=words[0])
    thread.start()
    thread.join()
    return {"items": one(words)}


def in_del(words: Words, context: CallableContext) -> object:
    falling: list[Any] = [Falling(words)]
    falling.append(falling)
    del falling
    gc.collect()
    LAST.append(Falling(words))
    return {"items": one(words)}


def odd_stats(words: Words, context: CallableContext) -> object:
    return {"items": one(words), "stats": {words[0]: Odd(words)}}


def odd_item(words: Words, context: CallableContext) -> object:
    return {"items": [{"odd": Odd(words)}]}


def odd_key(words: Words, context: CallableContext) -> object:
    return {"items": [{Odd(words): 1}]}


def odd_mapping(words: Words, context: CallableContext) -> object:
    return {"items": [OddMapping(words)]}


def odd_record(words: Words, context: CallableContext) -> object:
    return {"items": [Record(OddMapping(words))]}


def odd_cursor(words: Words, context: CallableContext) -> object:
    return {"items": [Checkpoint(key="k", cursor=Odd(words))]}  # type: ignore[arg-type]  # wrong on purpose


def odd_rejection(words: Words, context: CallableContext) -> object:
    return {"items": [Rejected(idem_key=Odd(words), schema="s", pointer="/", rule="r")]}  # type: ignore[arg-type]


def huge_number(words: Words, context: CallableContext) -> object:
    return {"items": [{words[0]: 1 << 80}]}


def no_item(words: Words, context: CallableContext) -> object:
    return {"items": words}


def item_of_made_type(words: Words, context: CallableContext) -> object:
    return {"items": [type(words[0], (), {})()]}


def result_of_made_type(words: Words, context: CallableContext) -> object:
    return type(words[0], (), {})()


def other_result(words: Words, context: CallableContext) -> object:
    return {"items": [], words[0]: words}


def no_items(words: Words, context: CallableContext) -> object:
    return CallableResult(stats={words[0]: words})


def lines_of_no_file(words: Words, context: CallableContext) -> object:
    return {"items_ref": f"/nowhere/{words[2]}"}


def swallows_the_step_before(words: Words, context: CallableContext) -> object:
    try:
        list(context.items)
    except Exception as error:
        raise Loud([*words, repr(error)]) from error
    return {"items": one(words)}


WAYS: Mapping[str, Way] = {
    name: way
    for name, way in list(globals().items())
    if isinstance(way, types.FunctionType) and way.__module__ == __name__ and name not in ("execute", "text_of", "one")
}
