"""Connections: accounts at providers, as the values that `injest` is given."""
