"""The small language inside definitions: references, and the conditions of `if`. Pure."""
