"""The kit: what every part needs, once. It imports nothing but the vocabulary."""
