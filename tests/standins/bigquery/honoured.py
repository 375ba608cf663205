"""The fields of the API that the stand-in honours; it refuses the others, lest a test pass for the wrong reason."""

from __future__ import annotations

TABLE = frozenset(
    {
        "clustering",
        "creationTime",
        "description",
        "etag",
        "expirationTime",
        "friendlyName",
        "id",
        "kind",
        "labels",
        "lastModifiedTime",
        "location",
        "numBytes",
        "numRows",
        "rangePartitioning",
        "requirePartitionFilter",
        "schema",
        "selfLink",
        "tableConstraints",
        "tableReference",
        "timePartitioning",
        "type",
        "view",
    }
)
"""Of a table, given to tables.insert and tables.patch."""

CONFIGURATION = frozenset({"dryRun", "jobTimeoutMs", "jobType", "labels", "load", "query"})
"""Of any job."""

QUERY = frozenset(
    {
        "createDisposition",
        "defaultDataset",
        "destinationTable",
        "maximumBytesBilled",
        "parameterMode",
        "priority",
        "query",
        "queryParameters",
        "useLegacySql",
        "useQueryCache",
        "writeDisposition",
    }
)
"""Of a query job."""

LOAD = frozenset(
    {
        "autodetect",
        "clustering",
        "createDisposition",
        "destinationTable",
        "ignoreUnknownValues",
        "schema",
        "schemaUpdateOptions",
        "sourceFormat",
        "timePartitioning",
        "writeDisposition",
    }
)
"""Of a load job."""

JOBS_QUERY = frozenset(
    {
        "defaultDataset",
        "dryRun",
        "formatOptions",
        "jobCreationMode",
        "jobTimeoutMs",
        "kind",
        "labels",
        "location",
        "maxResults",
        "maximumBytesBilled",
        "parameterMode",
        "query",
        "queryParameters",
        "requestId",
        "timeoutMs",
        "useLegacySql",
        "useQueryCache",
    }
)
"""Of the request of jobs.query."""
