"""AsyncAPI documents, built as data."""
