"""Engines: what several backends share, one connection per address."""
