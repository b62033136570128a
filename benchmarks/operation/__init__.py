"""Commands a second through the executor, against the same rows written by plain SQLAlchemy, one statement a row."""
