"""Tables of signing. Times are microseconds since the epoch; 0 stands for "no end" or "never"."""

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, Text

from entrepot.kernel.database import metadata

# `public` is the public key; for HMAC the shared key, wrapped under the server's master key. `purposes` is a canonical
# JSON list. `hash` covers the registration (see `statements.key_content`) and is sealed; a revocation is sealed as a
# row of its own, named "<key>#revoked".
signing_keys = Table(
    "signing_keys",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("suite", Text, nullable=False),
    Column("public", LargeBinary, nullable=False),
    Column("purposes", Text, nullable=False),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Index("ix_signing_keys_holder", "tenant", "holder"),
    sqlite_with_rowid=False,
)

# Signatures over heads of the sealed chain, by the operator and by witnesses.
signing_heads = Table(
    "signing_heads",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("height", BigInteger, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("payload", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("signed_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# A party's seal on a document: its signature over a statement, and the time stamp on that.
signing_seals = Table(
    "signing_seals",
    metadata,
    Column("tenant", Text, primary_key=True),
    Column("document", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("payload", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("stamp_key", Text, nullable=False),
    Column("stamp_payload", Text, nullable=False),
    Column("stamp_signature", Text, nullable=False),
    Column("stamped_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

KEY_STREAM = "signing-keys"
REVOKED = "#revoked"
