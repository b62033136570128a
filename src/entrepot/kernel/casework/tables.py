"""Tables of cases."""

from sqlalchemy import BigInteger, Column, Index, Table, Text, text

from entrepot.kernel.database import metadata

NO_DEADLINE = (1 << 62) - 1

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
    Column("left_us", BigInteger, nullable=False),  # working time left while the clock is stopped, else 0
    Column("entries", BigInteger, nullable=False),  # how many lines of history the case has
    Column("data", Text, nullable=False),
    Index("ix_cases_party", "tenant", "party", "closed", "id"),
    Index(
        "ix_cases_due",
        "tenant",
        "due_at",
        sqlite_where=text(f"closed = 0 AND due_at < {NO_DEADLINE}"),
        postgresql_where=text(f"closed = 0 AND due_at < {NO_DEADLINE}"),
    ),
    sqlite_with_rowid=False,
)

entries = Table(
    "case_entries",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("case_id", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("document", Text, nullable=False),
    sqlite_with_rowid=False,
)

case_types = Table(
    "case_types",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("definition", Text, nullable=False),  # JSON of a CaseType: the tenant's own, or in place of a system's
    Column("changed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
