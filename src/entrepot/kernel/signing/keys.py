"""Registered keys: their rows, their content hashes, when they may be used, and the operator's own."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from entrepot.kernel.database import UnitOfWork
from entrepot.kernel.operations.canonical import canonical
from entrepot.kernel.signing import statements
from entrepot.kernel.signing.suites import SUITES, SigningKey, fingerprint, to_base64url
from entrepot.kernel.signing.tables import KEY_STREAM, REVOKED, signing_keys

HOLDER_PURPOSES = frozenset({"device", "seal", "sign", "witness"})
OPERATOR = "operator"
OPERATOR_PURPOSES = ("operator", "time")
COLUMNS = ", ".join(column.name for column in signing_keys.columns)


@dataclass(frozen=True, slots=True)
class Key:
    """A registered key. Times are microseconds; 0 for `valid_until_us` is no end, for `revoked_us` never."""

    id: str
    holder: str
    suite: str
    public: bytes
    purposes: tuple[str, ...]
    valid_from_us: int
    valid_until_us: int
    revoked_us: int

    @property
    def provable(self) -> bool:
        """Whether its signatures prove something to others; false for shared (HMAC) keys, which are weaker."""
        return SUITES[self.suite].provable

    @property
    def fingerprint(self) -> str:
        """How people compare it; empty for a shared key."""
        return fingerprint(self.suite, self.public) if self.provable else ""

    def objection(self, purpose: str, at_us: int) -> str:
        """Why the key may not be used for the purpose ("" for any) at a time; empty when it may."""
        if purpose and purpose not in self.purposes:
            return f"is not for the purpose {purpose!r}"
        if at_us < self.valid_from_us:
            return "is not valid yet"
        if self.valid_until_us and at_us >= self.valid_until_us:
            return "has expired"
        if self.revoked_us and at_us >= self.revoked_us:
            return "is revoked"
        return ""

    def content(self, tenant: str) -> str:
        """The sealed content of the registration."""
        return statements.key_content(
            tenant, self.id, self.holder, self.suite, to_base64url(self.public) if self.provable else "",
            list(self.purposes), self.valid_from_us, self.valid_until_us,
        )  # fmt: skip


def revoked(key: Key, at_us: int) -> Key:
    """The key, revoked."""
    return replace(key, revoked_us=at_us)


def digest(content: str) -> bytes:
    """SHA-256 of a content text."""
    return hashlib.sha256(content.encode()).digest()


def from_row(row: Sequence[Any]) -> Key:
    """The key of a row of `signing_keys`."""
    _, key_id, holder, suite, public, purposes, valid_from, valid_until, revoked_at, _ = row
    return Key(
        key_id, holder, suite, bytes(public), tuple(orjson.loads(purposes)), valid_from, valid_until, revoked_at
    )  # fmt: skip


def write(uow: UnitOfWork, tenant: str, key: Key) -> None:
    """Store a new key and queue its registration for sealing."""
    content_hash = digest(key.content(tenant))
    uow.insert(
        signing_keys,
        (tenant, key.id, key.holder, key.suite, key.public, canonical(list(key.purposes)), key.valid_from_us,
         key.valid_until_us, key.revoked_us, content_hash),
    )  # fmt: skip
    uow.seal(tenant, KEY_STREAM, key.id, content_hash)


def operator_key(signer: SigningKey) -> Key:
    """The operator's key under the id that follows from it; valid from the beginning, as the chain is."""
    short = fingerprint(signer.suite, signer.public).replace("-", "")[:16]
    return Key(f"{OPERATOR}-{short}", OPERATOR, signer.suite, signer.public, OPERATOR_PURPOSES, 0, 0, 0)


def ensure_operator(uow: UnitOfWork, tenant: str, signer: SigningKey) -> Key:
    """The operator's key as it is registered, registering it if it is not."""
    key = operator_key(signer)
    row = uow.row(signing_keys, (tenant, key.id))
    if row is not None:
        return from_row(row)
    write(uow, tenant, key)
    return key


def verify_keys(uow: UnitOfWork, tenant: str) -> list[tuple[str, str]]:
    """Every difference between key rows and what was sealed of them: (where, what)."""
    found: list[tuple[str, str]] = []
    sealed: dict[str, bytes] = {}
    for table in ("seals", "unsealed"):
        rows = uow.fetch(f"SELECT row_id, hash FROM {table} WHERE tenant = %s AND stream = %s", (tenant, KEY_STREAM))
        sealed.update((row_id, bytes(row_hash)) for row_id, row_hash in rows)
    seen = set()
    for row in uow.fetch(f"SELECT {COLUMNS} FROM signing_keys WHERE tenant = %s ORDER BY id", (tenant,)):
        try:
            key = from_row(row)
            seen.add(key.id)
            if sealed.get(key.id) != digest(key.content(tenant)) or bytes(row[-1]) != sealed.get(key.id):
                found.append((f"signing_keys {key.id}", "its registration is not the sealed one"))
        except (ValueError, TypeError, KeyError):
            found.append((f"signing_keys {row[1]}", "cannot be read"))
            continue
        revocation = statements.revocation_content(tenant, key.id + REVOKED, key.revoked_us)
        expected = digest(revocation) if key.revoked_us else None
        if sealed.get(key.id + REVOKED) != expected:
            found.append((f"signing_keys {key.id}", "its revocation is not the sealed one"))
    gone = [row_id for row_id in sorted(sealed) if row_id.removesuffix(REVOKED) not in seen]
    return found + [(f"signing_keys {row_id}", "was removed although it is sealed") for row_id in gone]
