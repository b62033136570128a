"""The systems: one folder each, all of the same shape; a system sees of another only its contract."""
