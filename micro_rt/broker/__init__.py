"""Brokers: who keeps events and hands them to groups of subscribers."""
