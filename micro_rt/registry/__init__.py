"""Registries: who serves what, and where."""
