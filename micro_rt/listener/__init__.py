"""The port of a server: one for all protocols that it speaks."""
