"""Calls without generated code: messages are dicts, and descriptors come from the peer or from the caller."""
