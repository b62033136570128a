"""Checking the vault against the chain, with or without the keys."""

from collections.abc import Iterator

from entrepot.kernel.database import UnitOfWork
from entrepot.kernel.operations.canonical import content_hash
from entrepot.kernel.vault.tables import COMMITMENT_STREAM

_PAGE = 2_000


def verify_vault(uow: UnitOfWork, tenant: str) -> Iterator[tuple[str, str]]:
    """Every difference between commitments, what was sealed of them, and the fields: (where, what).

    Needs no key: erased persons verify like all others.
    """
    yield from _verify_commitments(uow, tenant)
    for person, field, purpose, commitment in uow.fetch(
        "SELECT f.person, f.field, f.purpose, f.commitment FROM vault_fields f WHERE f.tenant = %s AND NOT EXISTS "
        "(SELECT 1 FROM vault_commitments c WHERE c.tenant = f.tenant AND c.person = f.person AND c.field = f.field "
        "AND c.purpose = f.purpose AND c.commitment = f.commitment)",
        (tenant,),
    ):
        yield f"vault_fields {person} {field} {purpose}", f"has the commitment {commitment[:12]}…, which was never made"
    for (person,) in uow.fetch(
        "SELECT DISTINCT f.person FROM vault_fields f LEFT JOIN vault_keys k "
        "ON k.tenant = f.tenant AND k.person = f.person AND k.erased_at = 0 WHERE f.tenant = %s AND k.person IS NULL",
        (tenant,),
    ):
        yield f"vault_fields {person}", "has fields but no key"


def _verify_commitments(uow: UnitOfWork, tenant: str) -> Iterator[tuple[str, str]]:
    after = ""
    while rows := uow.fetch(
        "SELECT c.id, c.person, c.field, c.purpose, c.commitment, c.at, c.hash, s.hash, u.hash "
        "FROM vault_commitments c "
        f"LEFT JOIN seals s ON s.tenant = c.tenant AND s.stream = '{COMMITMENT_STREAM}' AND s.row_id = c.id "
        f"LEFT JOIN unsealed u ON u.tenant = c.tenant AND u.stream = '{COMMITMENT_STREAM}' AND u.row_id = c.id "
        f"WHERE c.tenant = %s AND c.id > %s ORDER BY c.id LIMIT {_PAGE}",
        (tenant, after),
    ):
        for identifier, person, field, purpose, commitment, at, digest, sealed, waiting in rows:
            where = f"vault_commitments {identifier}"
            if content_hash(tenant, identifier, person, field, purpose, commitment, at) != _raw(digest):
                yield where, "its content was changed"
            expected = sealed if sealed is not None else waiting
            if expected is None or _raw(expected) != _raw(digest):
                yield where, "its hash is not the sealed one"
        after = rows[-1][0]
    for table in ("seals", "unsealed"):
        for (row_id,) in uow.fetch(
            f"SELECT t.row_id FROM {table} t LEFT JOIN vault_commitments c ON c.tenant = t.tenant AND c.id = t.row_id "
            "WHERE t.tenant = %s AND t.stream = %s AND c.id IS NULL",
            (tenant, COMMITMENT_STREAM),
        ):
            yield f"vault_commitments {row_id}", "was removed although it is sealed"


def _raw(value: object) -> bytes:
    # SQLite keeps whatever it is given, also text in a column of bytes: an edit may not stop the check.
    return bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
