"""Processes that are killed on purpose, and what is left of their work."""
