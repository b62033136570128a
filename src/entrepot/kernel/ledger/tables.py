"""Tables of the ledger. Times are microseconds since the epoch; 0 stands for "never" or "not yet".

Two streams are sealed into the hash chain, see `STREAMS`: batches of transfers, and definitions. All other tables can
be recomputed from these two, and `verify` does: assets, accounts and encumbrances repeat their latest definition;
balances and holds follow from the transfers.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, LargeBinary, Table, Text, text

from entrepot.kernel.database import metadata

ledger_assets = Table(
    "ledger_assets",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("code", Text, primary_key=True),
    Column("scale", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("details", Text, nullable=False),
    Column("defined_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

ledger_accounts = Table(
    "ledger_accounts",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", BigInteger, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("may_go_negative", Boolean, nullable=False),
    Column("frozen", Boolean, nullable=False),
    Column("cap", BigInteger),
    Column("opened_at", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("posted", BigInteger, nullable=False),
    Column("held", BigInteger, nullable=False),
    Column("next_expiry", BigInteger, nullable=False),
    Index("ix_ledger_accounts_owner", "tenant", "owner", "asset"),
    Index("ix_ledger_accounts_asset", "tenant", "asset"),
    sqlite_with_rowid=False,
)

# An asset, an account or an encumbrance as it was defined or changed: append only. `body` is canonical JSON.
ledger_definitions = Table(
    "ledger_definitions",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# `key` is the idempotency key ("" for none), `request` then the hash of the transfers asked for, `failures` canonical
# JSON of [number, code] for those that were refused, `count` how many took place.
ledger_batches = Table(
    "ledger_batches",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("failures", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("ix_ledger_batches_at", "tenant", "at", "id"),
    Index(
        "ix_ledger_batches_key",
        "tenant",
        "key",
        unique=True,
        postgresql_where=text("key <> ''"),
        sqlite_where=text("key <> ''"),
    ),
    sqlite_with_rowid=False,
)

# Account ids carry the tenant, so the two indexes by account do without it.
ledger_transfers = Table(
    "ledger_transfers",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("batch", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("debit", BigInteger, nullable=False),
    Column("credit", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("action", Text, nullable=False),
    Column("group_number", BigInteger, nullable=False),
    Column("hold", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("reference", Text, nullable=False),
    Index("ix_ledger_transfers_debit", "debit", "at"),
    Index("ix_ledger_transfers_credit", "credit", "at"),
    sqlite_with_rowid=False,
)

ledger_holds = Table(
    "ledger_holds",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", BigInteger, primary_key=True),
    Column("debit", BigInteger, nullable=False),
    Column("credit", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("captured", BigInteger, nullable=False),
    Column("closed_at", BigInteger, nullable=False),
    Index("ix_ledger_holds_account", "debit", "opened_at"),
    Index(
        "ix_ledger_holds_expiry",
        "debit",
        "expires_at",
        postgresql_where=text("status = 'open' AND expires_at > 0"),
        sqlite_where=text("status = 'open' AND expires_at > 0"),
    ),
    sqlite_with_rowid=False,
)

ledger_encumbrances = Table(
    "ledger_encumbrances",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("account", BigInteger, nullable=False),
    Column("origin", BigInteger, nullable=False),
    Column("owner", Text, nullable=False),
    Column("asset", Text, nullable=False),
    Column("creditor", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("rank", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("published_at", BigInteger, nullable=False),
    Column("reference", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger, nullable=False),
    Column("version", BigInteger, nullable=False),
    Index("ix_ledger_encumbrances_owner", "tenant", "owner", "asset"),
    Index("ix_ledger_encumbrances_creditor", "tenant", "creditor"),
    sqlite_with_rowid=False,
)

BATCH_STREAM = "ledger"
DEFINITION_STREAM = "ledger-definitions"
STREAMS = {BATCH_STREAM: ledger_batches, DEFINITION_STREAM: ledger_definitions}
"""Stream name → its table; the columns `tenant`, `id` and `hash` are what the sealer chains."""
