"""The real client library, talking to the stand-in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from tests.standins.bigquery.server import BigQueryStandIn


@contextmanager
def connect(standin: BigQueryStandIn) -> Iterator[bigquery.Client]:
    client = bigquery.Client(
        project=standin.project,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]  # of Google's own
        client_options={"api_endpoint": standin.url},
    )
    try:
        yield client
    finally:
        client.close()  # type: ignore[no-untyped-call]  # of Google's own
