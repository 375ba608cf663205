"""What is told of a run, to people and machines: log lines and error records, which hold no values."""
