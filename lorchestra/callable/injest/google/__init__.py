"""What is fetched from Google."""
