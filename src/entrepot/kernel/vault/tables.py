"""Tables of the vault. Times are microseconds since the epoch; 0 stands for "never" or "no end"."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from entrepot.kernel.database import metadata

# A person's key, wrapped under the server's master key; after erasure the row stays, empty, with `erased_at`.
vault_keys = Table(
    "vault_keys",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("cipher", Text, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("erased_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The current value of a field for a purpose. `ciphertext` holds salt and value; `commitment` names the row of
# `vault_commitments`; `consent` is the consent it rests on, if any.
vault_fields = Table(
    "vault_fields",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("field", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("ciphertext", LargeBinary, nullable=False),
    Column("commitment", Text, nullable=False),
    Column("consent", Text, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    Column("retention_until", BigInteger, nullable=False),
    Index("ix_vault_fields_retention", "tenant", "retention_until"),
    sqlite_with_rowid=False,
)

# Append only, sealed in the chain, kept after erasure. Without salt and value, which are destroyed, it tells nothing.
vault_commitments = Table(
    "vault_commitments",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("field", Text, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("commitment", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("ix_vault_commitments_person", "tenant", "person"),
    sqlite_with_rowid=False,
)

# The latest consent of a person for a purpose and category ("" for ordinary fields); its history is in the events.
vault_consents = Table(
    "vault_consents",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("purpose", Text, primary_key=True),
    Column("category", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("document", Text, nullable=False),
    Column("given_at", BigInteger, nullable=False),
    Column("withdrawn_at", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

COMMITMENT_STREAM = "vault"
"""Sealed rows of `vault_commitments`."""
