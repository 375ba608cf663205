"""BigQuery SQL and scripts, run on an in-memory DuckDB."""
