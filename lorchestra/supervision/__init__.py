"""Work on a thread of its own, which is waited for no longer than it may take."""
