"""Definition files: YAML read within bounds, checked against its model, every mistake told at its place."""
