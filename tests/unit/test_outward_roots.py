"""Which paths below a root mean a place, and which are refused."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from lorchestra.errors import ConfigurationError
from lorchestra.storacle.error_codes import ErrorCode
from lorchestra.storacle.outward.roots import Roots, Target
from lorchestra.storacle.service import RpcError

FORBIDDEN, INVALID = ErrorCode.FORBIDDEN, ErrorCode.INVALID_PARAMS


def place(folder: Path, path: str, *, namespace: str = "prod", root: str = "files") -> Path:
    with Roots({"files": folder}).open(Target(root=root, path=path), namespace=namespace) as found:
        assert os.fstat(found.folder).st_ino == found.path.parent.stat().st_ino
        assert found.path.name == found.name
        return found.path.relative_to(folder)


@pytest.mark.parametrize(
    "path", ["a", "a/b/c.md", "grüße/.hidden", "a b/c~", "x..y", "_smokey/a", "a/_smoke", "a-wal/b"]
)
def test_a_relative_path_is_below_the_root(tmp_path: Path, path: str) -> None:
    assert place(tmp_path, path) == Path(path)


def test_a_smoke_run_writes_to_a_folder_of_its_own(tmp_path: Path) -> None:
    assert place(tmp_path, "a/b", namespace="smoke_x1") == Path("_smoke/x1/a/b")
    assert place(tmp_path, "_smoke/b", namespace="smoke_x1") == Path("_smoke/x1/_smoke/b")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("..", FORBIDDEN),
        ("../a", FORBIDDEN),
        ("a/../../b", FORBIDDEN),
        ("a/..", FORBIDDEN),
        ("/etc/passwd", FORBIDDEN),
        ("//a", FORBIDDEN),
        ("_smoke/x/a", FORBIDDEN),
        ("_SMOKE/x/a", FORBIDDEN),
        (".lorchestra~0123", FORBIDDEN),
        ("a/.Lorchestra~0/b", FORBIDDEN),
        ("a.db-journal", FORBIDDEN),
        ("a.db-WAL", FORBIDDEN),
        ("a.db-shm", FORBIDDEN),
        ("", INVALID),
        (".", INVALID),
        ("./a", INVALID),
        ("a/./b", INVALID),
        ("a//b", INVALID),
        ("a/", INVALID),
        ("a\0b", INVALID),
        ("a\nb", INVALID),
        ("a\ud800", INVALID),
        ("a" * 256, INVALID),
        ("ü" * 128, INVALID),
        ("a/" * 512 + "a", INVALID),
    ],
)
def test_another_path_is_refused_and_makes_nothing(tmp_path: Path, path: str, code: ErrorCode) -> None:
    # Constructed without a check, because a text that is no Unicode does not get as far from outside.
    target = Target.model_construct(root="files", path=path)
    roots = Roots({"files": tmp_path})
    with pytest.raises(RpcError) as raised, roots.open(target, namespace="prod", at=("params",)):
        pass
    assert (raised.value.code, raised.value.at) == (code, ("params", "path"))
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_root_is_forbidden(tmp_path: Path) -> None:
    with pytest.raises(RpcError) as raised:
        place(tmp_path, "a", root="elsewhere")
    assert (raised.value.code, raised.value.at) == (FORBIDDEN, ("root",))


def test_a_root_has_to_be_absolute() -> None:
    with pytest.raises(ConfigurationError):
        Roots({"files": Path("out")})


def test_folders_are_private(tmp_path: Path) -> None:
    place(tmp_path / "root", "a/b/c")
    for folder in ("root", "root/a", "root/a/b"):
        assert stat.S_IMODE((tmp_path / folder).stat().st_mode) == 0o700


def test_the_root_itself_may_be_reached_by_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    place(tmp_path / "link", "a/b")
    assert (tmp_path / "real" / "a").is_dir()


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    before = len(list(Path("/dev/fd").iterdir()))
    place(tmp_path, "a/b/c")
    for path in ("link/b", "a/link/../b"):
        with pytest.raises(RpcError):
            place(tmp_path, path)
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_an_os_error_becomes_a_code_without_the_path(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(RpcError) as raised:
        place(tmp_path, "a/b")
    assert raised.value.code is FORBIDDEN
    assert raised.value.__suppress_context__
