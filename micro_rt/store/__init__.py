"""Store: records with a version and an expiry, behind one interface for every engine."""
