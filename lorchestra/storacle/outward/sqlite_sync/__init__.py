"""sqlite.sync: a table of a SQLite file is replaced as a whole, or not at all."""
