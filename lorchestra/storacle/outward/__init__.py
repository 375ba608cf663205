"""What storacle writes beyond its own tables: files, SQLite copies and spreadsheets."""
