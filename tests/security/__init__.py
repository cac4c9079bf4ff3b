"""Tests of what the project does with hostile files, names, texts and numbers."""
