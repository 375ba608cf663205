"""Stand-ins of providers, on loopback: what `injest` asks them, and what they answer, is as with the real ones."""
