"""What the client makes of a service's answers about a namespace."""

from __future__ import annotations

from typing import Any

import pytest

from lorchestra.errors import PermanentError
from lorchestra.storacle import RpcClient
from lorchestra.storacle.backends.base import NamespaceObject
from lorchestra.storacle.codec import Message


class Answers:
    """Gives one result, whatever is asked."""

    def __init__(self, result: object) -> None:
        self.result = result
        self.sent: list[Any] = []

    def send(self, message: Message) -> object:
        assert isinstance(message, dict)
        self.sent.append(message)
        return {"jsonrpc": "2.0", "id": message["id"], "result": self.result}


def test_objects_are_asked_for_by_namespace() -> None:
    answers = Answers({"objects": [{"kind": "file", "name": "files/_smoke/a/b"}, {"kind": "table", "name": "raw.x"}]})
    assert RpcClient(answers).objects("smoke_a") == (
        NamespaceObject(kind="file", name="files/_smoke/a/b"),
        NamespaceObject(kind="table", name="raw.x"),
    )
    assert (answers.sent[0]["method"], answers.sent[0]["params"]) == ("namespace.objects", {"namespace": "smoke_a"})


def test_a_namespace_is_removed_by_its_name() -> None:
    answers = Answers({"removed": 3})
    assert RpcClient(answers).clean("smoke_a") == 3
    assert (answers.sent[0]["method"], answers.sent[0]["params"]) == ("namespace.clean", {"namespace": "smoke_a"})


@pytest.mark.parametrize(
    ("result", "place"),
    [
        (None, ""),
        ([], ""),
        ({}, "/objects"),
        ({"objects": {}}, "/objects"),
        ({"objects": ["a"]}, "/objects/0"),
        ({"objects": [{"kind": "secret", "name": "a"}]}, "/objects/0/kind"),
        ({"objects": [{"kind": ["file"], "name": "a"}]}, "/objects/0/kind"),
        ({"objects": [{"kind": "file"}]}, "/objects/0/name"),
        ({"objects": [{"kind": "file", "name": ""}]}, "/objects/0/name"),
        ({"objects": [{"kind": "file", "name": "a" * 2001}]}, "/objects/0/name"),
        ({"objects": [{"kind": "file", "name": "secret\x1b[2J"}]}, "/objects/0/name"),
    ],
)
def test_malformed_objects_are_permanent_and_not_quoted(result: object, place: str) -> None:
    with pytest.raises(PermanentError, match=f"at /result{place}: expected") as refused:
        RpcClient(Answers(result)).objects("smoke_a")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("result", [None, {}, {"removed": "1"}, {"removed": -1}, {"removed": True}, {"removed": 1.5}])
def test_a_malformed_count_is_permanent(result: object) -> None:
    with pytest.raises(PermanentError, match=r"namespace\.clean: the answer is malformed"):
        RpcClient(Answers(result)).clean("smoke_a")
