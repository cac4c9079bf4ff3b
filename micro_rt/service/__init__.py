"""The service: the only package that knows every part."""
