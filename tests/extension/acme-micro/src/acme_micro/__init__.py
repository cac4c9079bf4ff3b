"""Backends for micro-rt that Acme needs."""
