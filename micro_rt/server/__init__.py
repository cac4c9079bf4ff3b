"""Calls, from bytes to a handler: dispatch, interceptors, drain."""
