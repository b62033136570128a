"""Tables of the event log."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from entrepot.kernel.database import metadata

events = Table(
    "events",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("operation", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("status", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("ix_events_subject", "tenant", "subject", "id"),
    sqlite_with_rowid=False,
)

subscriptions = Table(
    "event_subscriptions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
