"""``memory:``: everything in one process and its event loop."""
