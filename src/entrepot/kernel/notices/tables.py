"""Tables of notices."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from entrepot.kernel.database import metadata

notices = Table(
    "notices",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("party", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_zh", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("body_zh", Text, nullable=False),
    Column("sent_at", BigInteger, nullable=False),
    Column("read_at", BigInteger, nullable=False),
    Column("read_by", Text, nullable=False),
    Index("ix_notices_party", "tenant", "party", "id"),
    sqlite_with_rowid=False,
)

deliveries = Table(
    "notice_deliveries",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("notice", Text, primary_key=True),
    Column("channel", Text, primary_key=True),  # mail, webhook, ...: the inbox itself needs no delivery
    Column("address", Text, nullable=False),
    Column("state", Text, nullable=False),  # queued, delivered, failed
    Column("attempts", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("problem", Text, nullable=False),
    Index("ix_notice_deliveries_due", "state", "next_at"),
    sqlite_with_rowid=False,
)
