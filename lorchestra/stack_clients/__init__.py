"""Clients that older jobs import by these names."""
