"""Tables of notices."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

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

# Where the notices to a party or person go besides the inbox. `sealed` holds the address, a webhook's secret and a
# mail address's code, encrypted by the server's keyring; it is emptied when the address is ended. Times are
# microseconds, 0 for never; `kinds` are words between blanks, empty for every kind.
addresses = Table(
    "notice_addresses",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("party", Text, nullable=False),
    Column("channel", Text, nullable=False),  # mail, webhook
    Column("sealed", LargeBinary, nullable=False),
    Column("kinds", Text, nullable=False),
    Column("state", Text, nullable=False),  # unconfirmed, active, ended
    Column("made_by", Text, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("codes", BigInteger, nullable=False),  # how many codes were sent
    Column("code_at", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),  # since the last success
    Column("resting_until", BigInteger, nullable=False),
    Column("problem", Text, nullable=False),
    Column("ended_at", BigInteger, nullable=False),
    Index("ix_notice_addresses_party", "tenant", "party"),
    Index("ix_notice_addresses_state", "tenant", "state"),
    sqlite_with_rowid=False,
)

# One row for each notice and address. `next_at` is when it is tried (again), while an attempt runs when its lease
# ends, afterwards when it was done. A code that confirms an address has an id of its own in place of a notice's.
deliveries = Table(
    "notice_deliveries",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("notice", Text, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("state", Text, nullable=False),  # queued, delivered, failed
    Column("attempts", BigInteger, nullable=False),
    Column("queued_at", BigInteger, nullable=False),
    Column("next_at", BigInteger, nullable=False),
    Column("problem", Text, nullable=False),
    Index("ix_notice_deliveries_due", "state", "next_at"),
    Index("ix_notice_deliveries_address", "tenant", "address", "state", "next_at"),
    sqlite_with_rowid=False,
)
