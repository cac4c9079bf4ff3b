"""Selectors: which node of a service takes the next call."""
