"""Calls, from a stub to a reply: interceptors, resolve, select, connect, send, retry."""
