"""Codecs: messages to bytes and back, by content type."""
