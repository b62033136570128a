"""The table of timers."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from entrepot.kernel.database import metadata

timers = Table(
    "timers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("due_at", BigInteger, nullable=False),
    Column("operation", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("state", Text, nullable=False),  # pending, fired, cancelled, failed
    Column("fired_at", BigInteger, nullable=False),
    Column("schedule", Text, nullable=False),  # "" for a single firing, see schedules.py
    Column("problem", Text, nullable=False),  # why it was refused last, a problem document
    Column("actor", Text, nullable=False),  # who set it
    Column("attempts", BigInteger, nullable=False),  # firings that came to no answer
    Column("retry_at", BigInteger, nullable=False),  # not before this, after an attempt without an answer
    Index("ix_timers_due", "state", "due_at"),
    sqlite_with_rowid=False,
)
