"""Tables of parties, sign-in and relations."""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Table, Text
from sqlalchemy.schema import SchemaItem

from entrepot.kernel.database import metadata


def _table(name: str, *columns: SchemaItem) -> Table[Any]:
    return Table(name, metadata, *columns, sqlite_with_rowid=False)


organisations = _table(
    "organisations",
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("credit_code", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("name_zh", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("legal_representative", Text, nullable=False),
    Column("beneficial_owners", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("frozen", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("uq_organisations_credit_code", "tenant", "credit_code", unique=True),
)

people = _table(
    "people",
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("name_commitment", Text, nullable=False),
    Column("identity_commitment", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

accounts = _table(
    "sign_in_accounts",
    Column("tenant", Text, primary_key=True),
    Column("user_name", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
)

assignments = _table(
    "role_assignments",
    Column("tenant", Text, primary_key=True),
    Column("person", Text, primary_key=True),
    Column("organisation", Text, primary_key=True),
    Column("role", Text, primary_key=True),
    Column("valid_from", BigInteger, nullable=False),
    Column("valid_until", BigInteger, nullable=False),
    Column("granted_by", Text, nullable=False),
)

credentials = _table(
    "credentials",
    Column("tenant", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("token_hash", Text, nullable=False),
    Column("person", Text, nullable=False),
    Column("organisation", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger, nullable=False),
    Index("uq_credentials_token_hash", "token_hash", unique=True),
    Index("ix_credentials_person", "tenant", "person"),
)

epochs = _table(
    "credential_epochs",  # one more with each end of a credential, role or link: what was remembered before is stale
    Column("tenant", Text, primary_key=True),
    Column("epoch", BigInteger, nullable=False),
)

subjects = _table(
    "openid_subjects",
    Column("tenant", Text, primary_key=True),
    Column("issuer", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("person", Text, nullable=False),
    Column("organisation", Text, nullable=False),
)

relations = _table(
    "relations",
    Column("tenant", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("relation", Text, primary_key=True),
    Column("party", Text, primary_key=True),
    Column("since", BigInteger, nullable=False),
    Index("ix_relations_party", "tenant", "party", "relation", "object_id"),
)
