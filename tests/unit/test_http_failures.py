from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from lorchestra.errors import PermanentError, TransientError
from lorchestra.handlers import llm_client
from lorchestra.storacle.transports import http as storacle_http

CANARY = "canary-value"

Mapped = Callable[[Exception], Exception]

# Whoever asks over HTTP maps the library's errors in one place.
each_client = pytest.mark.parametrize(
    "failure_of", [llm_client.failure_of, storacle_http.failure_of], ids=["llm", "storacle"]
)


def family(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from family(child)


FOREIGN = [*family(httpx.HTTPError), *family(httpx.InvalidURL)]


@each_client
@pytest.mark.parametrize("kind", FOREIGN)
def test_every_error_of_httpx_becomes_one_of_ours_and_leaves_its_message_behind(
    failure_of: Mapped, kind: type[Exception]
) -> None:
    failure = failure_of(kind.__new__(kind, CANARY))

    assert isinstance(failure, (TransientError, PermanentError))
    assert kind.__name__ in str(failure)
    assert CANARY not in str(failure)


def test_the_tree_of_httpx_is_not_empty() -> None:
    assert len(FOREIGN) > 10


@each_client
@pytest.mark.parametrize(
    ("kind", "ours"),
    [
        (httpx.ConnectTimeout, TransientError),
        (httpx.ReadTimeout, TransientError),
        (httpx.ConnectError, TransientError),
        (httpx.ReadError, TransientError),
        (httpx.WriteError, TransientError),
        (httpx.RemoteProtocolError, TransientError),
        (httpx.LocalProtocolError, PermanentError),
        (httpx.UnsupportedProtocol, PermanentError),
    ],
)
def test_only_what_can_pass_by_itself_is_worth_another_try(
    failure_of: Mapped, kind: type[httpx.TransportError], ours: type
) -> None:
    assert type(failure_of(kind("x"))) is ours


@each_client
def test_an_error_of_another_origin_is_a_mistake_of_ours(failure_of: Mapped) -> None:
    with pytest.raises(TypeError, match="no error of httpx"):
        failure_of(ValueError())
