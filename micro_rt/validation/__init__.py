"""Validation: the rules that a .proto file states with ``buf.validate``, kept by the package ``protovalidate``."""
