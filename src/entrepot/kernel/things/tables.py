"""Tables of devices and alarms in the main database; readings have a store of their own."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from entrepot.kernel.database import metadata

devices = Table(
    "devices",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("title_zh", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("custodian", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("suite", Text, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("model", Text, nullable=False),
    Column("rules", Text, nullable=False),
    Column("listens", BigInteger, nullable=False),
    Column("registered_us", BigInteger, nullable=False),
    Column("retired_us", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

alarms = Table(
    "alarms",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("device", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("severity", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("title_zh", Text, nullable=False),
    Column("raised_us", BigInteger, nullable=False),
    Column("raised_seq", BigInteger, nullable=False),
    Column("raised_by", Text, nullable=False),
    Column("cleared_us", BigInteger, nullable=False),
    Column("cleared_seq", BigInteger, nullable=False),
    Column("acknowledged_us", BigInteger, nullable=False),
    Column("acknowledged_by", Text, nullable=False),
    Column("case_id", Text, nullable=False),
    Index("ix_alarms_device", "tenant", "device", "id"),
    sqlite_with_rowid=False,
)
