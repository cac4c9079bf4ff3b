"""From descriptors, options and comments to a frozen model."""
