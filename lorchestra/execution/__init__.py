"""One attempt of a run: each segment is prepared, carried out, tried again, and settled."""
