"""Interceptors for one side: their typed bases, and those that come with the runtime."""
