"""The production backend: datasets of BigQuery, one load job and one transaction for each unit of ops."""

from lorchestra.storacle.backends.bigquery.backend import BigQueryBackend
from lorchestra.storacle.backends.bigquery.config import BigQueryConfig

__all__ = ["BigQueryBackend", "BigQueryConfig"]
