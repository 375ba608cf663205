"""Names of code that are safe to show: types, places, modules.

A type can be made, a file name compiled and a logger named with a value in it. So a name is shown only where it can be
found again in code that was loaded: what it says was then written by an author, not made of data.
"""

from __future__ import annotations

import re
import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

PACKAGE = "lorchestra"

_PACKAGE_DIR = str(Path(__file__).resolve().parent)
_SITE_DIRS = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_UNNAMED = "<generated>"
# A type without this flag is written in C, name and all, such as that of None or of a generator; no module may hold it.
_MADE_BY_PYTHON = 1 << 9
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,15}", re.ASCII)
_FILE = re.compile(r"[\w./+@ -]{1,200}")
_FROZEN = re.compile(r"<frozen [\w.]{1,80}>", re.ASCII)
_FUNCTION = re.compile(r"[^\W\d]\w{0,79}|<(module|lambda|listcomp|dictcomp|setcomp|genexpr)>")


def type_name(kind: type, namespaces: Iterable[Mapping[str, Any]] = ()) -> str:
    """The qualified name of a type that its module holds, else that of its nearest base that is held.

    `namespaces` are the globals of code that is running, for modules that were loaded without being registered.
    """
    namespaces = tuple(namespaces)
    for base in _slot(kind, "__mro__"):
        module, name = _written(base)
        if _is_held(base, module, name, namespaces):
            shown = name if module == "builtins" else f"{module}.{name}"
            return shown if base is kind else f"{shown} (a subclass)"
    return "object"


def plain_name(value: object) -> str:
    """The name of the value's type without its module, as messages say it."""
    return type_name(type(value)).rpartition(".")[2]


def is_ours(kind: type) -> bool:
    """Whether the type was defined by this package."""
    module, name = _written(kind)
    return module.partition(".")[0] == PACKAGE and _is_held(kind, module, name, ())


def is_our_code(code: CodeType) -> bool:
    return _below(code.co_filename, _PACKAGE_DIR) is not None


def place(file: str, line: int | None, function: str | None, *, root: Path | None = None) -> str:
    """A place in code as `file:line:function`, or `file:line` where no function is known.

    Files of this package, of installed packages and below `root` are relative to there; of others the last part stands.
    """
    name = file_name(file, root=root)
    where = f"{name}:{line or 0}"
    if function is None:
        return where
    # Code that was made while it ran names its functions as it likes.
    is_written = name != _UNNAMED and _FUNCTION.fullmatch(function)
    return f"{where}:{function if is_written else _UNNAMED}"


def file_name(file: str, *, root: Path | None = None) -> str:
    if _FROZEN.fullmatch(file):
        return file
    if not _FILE.fullmatch(file) or not _exists(file):
        return _UNNAMED
    inside = _below(file, _PACKAGE_DIR)
    if inside is not None:
        return f"{PACKAGE}/{inside}"
    # A virtual environment may lie inside the project, so installed packages come first.
    for folder in (*_SITE_DIRS, *_spellings(root)):
        inside = _below(file, folder)
        if inside is not None:
            return inside
    return file.rpartition("/")[2]


def is_written(text: str, frame: FrameType | None) -> bool:
    """Whether the code that is running, from this frame outward to our own, holds the text: then an author wrote it.

    The frame itself may be our own: that of a callable that is built in.
    """
    innermost = frame
    while frame is not None and (frame is innermost or not is_our_code(frame.f_code)):
        # Code that was made while it ran may have been made of data.
        if file_name(frame.f_code.co_filename) != _UNNAMED and (
            _holds(frame.f_code.co_consts, text) or text in frame.f_code.co_names or _is_constant(frame, text)
        ):
            return True
        frame = frame.f_back
    return False


def module_name(name: str) -> str:
    """The longest part of a dotted name that is a loaded module."""
    while name:
        if name in sys.modules and _MODULE.fullmatch(name):
            return name
        name = name.rpartition(".")[0]
    return _UNNAMED


def _slot(kind: type, name: str) -> Any:
    """An attribute every type has, past any metaclass that would answer for it."""
    return type.__dict__[name].__get__(kind)


def _written(kind: type) -> tuple[str, str]:
    module, name = _slot(kind, "__module__"), _slot(kind, "__qualname__")
    return (module, name) if type(module) is str and type(name) is str else ("", "")


def _is_held(kind: type, module: str, name: str, namespaces: Iterable[Mapping[str, Any]]) -> bool:
    if not (_MODULE.fullmatch(module) and _MODULE.fullmatch(name) and len(module) + len(name) <= 200):
        return False
    if not _slot(kind, "__flags__") & _MADE_BY_PYTHON:
        return True
    loaded = sys.modules.get(module)
    candidates = [space for space in namespaces if space.get("__name__") == module]
    if loaded is not None:
        candidates.append(vars(loaded))
    return any(_look_up(space, name) is kind for space in candidates)


def _holds(constants: tuple[object, ...], text: str) -> bool:
    return any(one == text if type(one) is str else type(one) is tuple and _holds(one, text) for one in constants)


def _is_constant(frame: FrameType, text: str) -> bool:
    """Whether a constant of the frame's module, which is one by the way its name is written, is the text."""
    return any(name.isupper() and type(value) is str and value == text for name, value in frame.f_globals.items())


def _look_up(space: Mapping[str, Any], name: str) -> object:
    """What stands under the name; read from dictionaries only, so that no foreign code runs."""
    first, *rest = name.split(".")
    found = space.get(first)
    for part in rest:
        if not isinstance(found, type):
            return None
        found = _slot(found, "__dict__").get(part)
    return found


def _below(file: str, folder: str) -> str | None:
    prefix = folder.rstrip("/") + "/"
    return file[len(prefix) :] if file.startswith(prefix) and "/../" not in file else None


def _spellings(root: Path | None) -> tuple[str, ...]:
    return () if root is None else tuple({str(root.absolute()), str(root.resolve())})


def _exists(file: str) -> bool:
    try:
        return Path(file).is_file()
    except OSError:
        return False
