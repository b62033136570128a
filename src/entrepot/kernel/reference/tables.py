"""Tables of reference data."""

from sqlalchemy import BigInteger, Column, Table, Text

from entrepot.kernel.database import metadata

price_series = Table(
    "price_series",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("title_zh", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("proxy", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("stale_days", BigInteger, nullable=False),
    Column("jump_limit_bp", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

prices = Table(
    "prices",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("series", Text, primary_key=True),
    Column("day", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    sqlite_with_rowid=False,
)

calendar_notices = Table(
    "calendar_notices",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("calendar", Text, primary_key=True),
    Column("year", BigInteger, primary_key=True),
    Column("days_off", Text, nullable=False),  # JSON list of ISO dates: weekdays that are off
    Column("make_up", Text, nullable=False),  # JSON list of ISO dates: weekend days that are worked
    Column("source", Text, nullable=False),
    Column("imported_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
