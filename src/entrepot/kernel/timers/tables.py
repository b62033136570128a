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
    Column("state", Text, nullable=False),
    Column("fired_at", BigInteger, nullable=False),
    Column("every_us", BigInteger, nullable=False),
    Column("problem", Text, nullable=False),
    Index("ix_timers_due", "state", "due_at"),
    sqlite_with_rowid=False,
)
