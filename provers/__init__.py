"""Provers: what tries to break the promise, by tests that nobody here wrote and by force."""
