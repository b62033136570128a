"""The table of notices."""

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
