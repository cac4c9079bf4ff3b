"""Transports: how bytes of calls travel between a client and a server."""
