"""SQL that is written once, for BigQuery, as SQLite carries it out."""
