"""A callable that is known, and the same once it is loaded."""

from __future__ import annotations

import inspect
import threading
import traceback
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from lorchestra import code_names
from lorchestra.callable.result import CallableResult
from lorchestra.errors import BrokenCallable

if TYPE_CHECKING:
    from lorchestra.callable.context import CallableContext  # it needs the item types, which are slow to import

Params: TypeAlias = Mapping[str, Any]

_SHAPE = "a callable is a module with `execute(params)` or `execute(params, context)`, or such a function"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCallable:
    name: str
    takes_context: bool
    wants_context: bool
    """Whether a context is of use: to the function, or to fetch what the callable declares."""
    _execute: Callable[..., object]
    _reads: Callable[[Params], Mapping[str, Any] | None] | None = None
    _resources: Callable[[Params], Mapping[str, str]] | None = None
    _connections: Callable[[Params], Collection[str]] | None = None

    @property
    def wants_connections(self) -> bool:
        return self._connections is not None

    def execute(self, params: Params, context: CallableContext | None) -> CallableResult:
        """Run it; the context is left out where the function takes params alone. What it raises is its own."""
        value = self._execute(params, context) if self.takes_context else self._execute(params)
        return CallableResult.of(value)

    def reads(self, params: Params) -> Mapping[str, Any] | None:
        """What it asks the executor to read for it, when the step has no `read:` of its own."""
        return self._reads(params) if self._reads else None

    def resources(self, params: Params) -> Mapping[str, str]:
        """The files it declares: name, and path below the project's content."""
        return self._resources(params) if self._resources else {}

    def connections(self, params: Params) -> Collection[str]:
        """The names of the connections it declares. Raises DefinitionError for params that it cannot work with."""
        return self._connections(params) if self._connections else ()


class CallableEntry:
    """Knows where a callable comes from and what code it is; imports it when it is first loaded.

    `find` imports and returns the module or function, `hash_code` hashes the code without importing it, and `home`
    is the file or folder the code is in, when there is one.
    """

    def __init__(
        self,
        name: str,
        *,
        origin: str,
        find: Callable[[], object],
        hash_code: Callable[[], str],
        home: Path | None = None,
    ) -> None:
        self.name = name
        self.origin = origin
        self._find = find
        self._hash_code = hash_code
        self._home = home
        self._loaded_hash: str | None = None
        self._loaded: LoadedCallable | None = None
        self._lock = threading.RLock()

    @property
    def content_hash(self) -> str:
        """The sha256 of the code: as it is now, or, once loaded, of what was loaded. Raises BrokenCallable."""
        with self._lock:
            return self._loaded_hash or self._hash()

    def load(self) -> LoadedCallable:
        """The callable, imported once. Raises BrokenCallable for what cannot be imported or has not the shape."""
        loaded = self._loaded
        if loaded is None:
            with self._lock:
                loaded = self._loaded
                if loaded is None:
                    content_hash = self._hash()
                    loaded = _of_target(self.name, self._import())
                    self._loaded_hash = content_hash
                    # Last: whoever sees it without the lock sees all of it.
                    self._loaded = loaded
        return loaded

    def _hash(self) -> str:
        try:
            return self._hash_code()
        except OSError as error:
            found = f"cannot be read ({type(error).__name__})"
            raise BrokenCallable(self.name, found=found, expected="files that can be read") from error

    def _import(self) -> object:
        try:
            return self._find()
        except BrokenCallable:
            raise
        except (Exception, SystemExit) as error:
            # The text of a foreign error may be anything, also a value; its type and place are enough to find it.
            found = f"cannot be imported: {code_names.plain_name(error)} at {_place(error, self._home)}"
            raise BrokenCallable(self.name, found=found, expected="expected a module that can be imported") from error


def _of_target(name: str, target: object) -> LoadedCallable:
    execute = getattr(target, "execute", None)
    if execute is None and not inspect.ismodule(target):
        execute = target
    if inspect.isclass(target) or not callable(execute):
        found = "has no `execute`" if inspect.ismodule(target) else f"is a {_kind(target)}"
        raise BrokenCallable(name, found=found, expected=_SHAPE)
    if inspect.iscoroutinefunction(execute):
        raise BrokenCallable(name, found="is an async function", expected="a plain function")
    takes_context = _takes_context(name, execute)
    reads, resources = _declaration(name, target, "reads"), _declaration(name, target, "resources")
    return LoadedCallable(
        name=name,
        takes_context=takes_context,
        wants_context=takes_context or reads is not None or resources is not None,
        _execute=execute,
        _reads=reads,
        _resources=resources,
        _connections=_declaration(name, target, "connections"),
    )


def _declaration(name: str, target: object, attribute: str) -> Callable[[Params], Any] | None:
    function = getattr(target, attribute, None)
    if function is None or callable(function):
        return function
    found = f"has a `{attribute}` that is a {code_names.plain_name(function)}"
    raise BrokenCallable(name, found=found, expected=f"a function `{attribute}(params)`")


def _takes_context(name: str, execute: Callable[..., object]) -> bool:
    try:
        parameters = list(inspect.signature(execute).parameters.values())
    except ValueError:
        # Some functions written in C do not say.
        raise BrokenCallable(name, found="does not tell its parameters", expected=_SHAPE) from None
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    required = [p for p in positional if p.default is p.empty]
    needs_keyword = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
    takes_any = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if needs_keyword or len(required) > 2 or not (positional or takes_any):
        raise BrokenCallable(name, found="takes other parameters", expected=_SHAPE)
    # A second parameter with a default and another name is an option of the author's, not a place for the context.
    return len(required) == 2 or (len(positional) > 1 and positional[1].name == "context")


def _kind(target: object) -> str:
    return "class" if inspect.isclass(target) else code_names.plain_name(target)


def _place(error: BaseException, home: Path | None) -> str:
    """The file and line an import failed at: the innermost line of the callable's own code, where there is one."""
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    own = [(file, line) for file, line in places if home and Path(file).is_relative_to(home) and Path(file).is_file()]
    return "{}:{}".format(*own[-1]) if own else str(home or "its import")
