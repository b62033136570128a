"""Tables of cases."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from entrepot.kernel.database import metadata

cases = Table(
    "cases",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("type", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("closed", BigInteger, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_zh", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("party", Text, nullable=False),
    Column("assignee", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("data", Text, nullable=False),
    Index("ix_cases_party", "tenant", "party", "closed", "id"),
    sqlite_with_rowid=False,
)

entries = Table(
    "case_entries",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("case_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("document", Text, nullable=False),
    sqlite_with_rowid=False,
)
