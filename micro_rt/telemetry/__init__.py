"""Telemetry: what a service tells of itself while it runs."""
