"""Backends: one folder for each technology, whichever parts it serves; entry points name them."""
