"""Measures this project against its peers, in one run: ``python -m benchmarks --help``."""
