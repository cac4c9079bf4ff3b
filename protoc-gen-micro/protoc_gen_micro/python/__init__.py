"""What Python output needs: module names, imports, type hints, text."""
