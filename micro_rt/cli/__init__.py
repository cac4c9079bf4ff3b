"""The ``micro-rt`` command."""
