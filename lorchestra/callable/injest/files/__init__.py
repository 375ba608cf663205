"""What is fetched from files."""
