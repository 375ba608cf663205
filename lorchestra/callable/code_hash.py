"""What code a callable is, as a hash, found without importing it."""

from __future__ import annotations

import functools
import hashlib
import inspect
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any


def of_path(path: Path) -> str:
    """The hash of a module's file, or of every .py file of a package's folder with its name. Raises OSError."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    if not path.is_dir():
        raise FileNotFoundError(path)
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*.py"))
    return _of_parts(part for name, file in files for part in (name.encode(), file.read_bytes()))


def of_object(target: object) -> str:
    """The hash of something already in memory: its module's files, else its source, else its compiled code."""
    if isinstance(target, ModuleType):
        file = getattr(target, "__file__", None)
        if file is not None:
            return of_path(Path(file).parent if hasattr(target, "__path__") else Path(file))
        target = getattr(target, "execute", None)
    if isinstance(target, functools.partial):
        target = target.func
    # An object that can be called is what its class says.
    written: Any = target if inspect.isroutine(target) else type(target)
    try:
        source = inspect.getsource(written)
    except (OSError, TypeError):
        return _of_parts(_compiled(target))
    return hashlib.sha256(source.encode()).hexdigest()


def _compiled(target: object) -> Iterable[bytes]:
    execute = target if inspect.isroutine(target) else type(target).__call__
    code = getattr(inspect.unwrap(execute), "__code__", None)
    if code is not None:
        return _code_parts(code)
    # Built in to the interpreter: the name is all there is.
    kind = type(target)
    module = getattr(target, "__module__", kind.__module__)
    return [f"{module}.{getattr(target, '__qualname__', kind.__qualname__)}".encode()]


def _code_parts(code: CodeType) -> Iterable[bytes]:
    yield code.co_code
    yield repr((code.co_names, code.co_varnames, code.co_freevars)).encode()
    for constant in code.co_consts:
        yield from _constant(constant)


def _constant(constant: object) -> Iterable[bytes]:
    if isinstance(constant, CodeType):
        yield from _code_parts(constant)
    elif isinstance(constant, frozenset):
        # The order of a set differs from process to process.
        yield from sorted(repr(member).encode() for member in constant)
    else:
        yield repr(constant).encode()


def _of_parts(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
