"""A stand-in for the REST API of BigQuery on loopback, for the real client library.

    with BigQueryStandIn() as standin:
        client = bigquery.Client(
            project=standin.project,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": standin.url},
        )

Requests and answers are checked against Google's own discovery document, SQL runs on an in-memory DuckDB. What the
stand-in cannot do it refuses with `notImplemented`; it ignores nothing that would matter.

What it does not prove:
- Cost and limits: bytes are a number the test pretends, there are no quotas, slots, or sizes too large.
- Identity: no IAM, no tokens, no regions; every job is allowed.
- Time: tables and jobs are visible at once. There is no eventual consistency, streaming buffer, time travel, cache.
- Isolation as BigQuery implements it: transactions read a snapshot, and conflict by table as the documentation says,
  but queueing, retries of conflicting DML, and sessions are BigQuery's own.
- The SQL itself. sqlglot translates and DuckDB runs: names of tables are not case-sensitive, DATETIME and GEOGRAPHY do
  not exist, JSON_SET sets members of the object itself alone, what PARSE_JSON is told of wide numbers is ignored,
  BIGNUMERIC is NUMERIC, a TIMESTAMP cast to STRING has no zone, partition filters are not demanded, integer overflow,
  NaN, collation, rounding, and texts of errors may differ. A file loaded badly fails in other words.
- That Google's service accepts what its discovery document describes.
"""

from __future__ import annotations

from tests.standins.bigquery.errors import Refusal
from tests.standins.bigquery.faults import Faults, Hold
from tests.standins.bigquery.jobs import Job
from tests.standins.bigquery.server import BigQueryStandIn, Request

__all__ = ["BigQueryStandIn", "Faults", "Hold", "Job", "Refusal", "Request"]
