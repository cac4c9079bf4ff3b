"""Whether a changed schema breaks its consumers."""
