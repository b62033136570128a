"""Personal fields, each encrypted under its person's key; the chain knows only salted commitments.

Erasing a person destroys the person's key and the ciphertexts. The commitments stay, so every hash still verifies, and
tell nothing any more: their salts lay inside the ciphertexts. What this cannot reach are copies: backups of the
database hold the wrapped key until they expire, so the erasure is complete with the last backup from before.
"""

from dataclasses import dataclass
from typing import Any

from entrepot.kernel.database import Scope
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations.canonical import content_hash
from entrepot.kernel.operations.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from entrepot.kernel.signing.keyring import Keyring
from entrepot.kernel.signing.suites import Unreadable, decrypt, encrypt
from entrepot.kernel.vault.rules import (
    CATEGORIES,
    FIELD,
    LEGAL_DUTIES,
    MAX_VALUE_CHARACTERS,
    PURPOSE,
    SALT_BYTES,
    Category,
    category_of,
    commitment_of,
    needs_separate_consent,
)
from entrepot.kernel.vault.tables import (
    COMMITMENT_STREAM,
    vault_commitments,
    vault_consents,
    vault_fields,
    vault_keys,
)


@dataclass(frozen=True, slots=True)
class Consent:
    """A person's consent to a purpose; `category` is "" for ordinary fields, else face, voice or identity."""

    id: str
    person: str
    purpose: str
    category: str
    document: str
    given_us: int
    withdrawn_us: int
    valid_until_us: int

    def active(self, now_us: int) -> bool:
        """Whether it stands at a time."""
        return not self.withdrawn_us and not 0 < self.valid_until_us <= now_us


@dataclass(frozen=True, slots=True)
class StoredField:
    """A field as it is kept; the value is not in here."""

    person: str
    field: str
    purpose: str
    commitment: str
    consent: str
    stored_us: int
    retention_until_us: int


class Vault:
    """The vault of one tenant. Without a keyring nothing can be stored or read, but it can be erased."""

    def __init__(self, scope: Scope, keyring: Keyring | None = None) -> None:
        self._scope = scope
        self._uow = scope.uow
        self._tenant = scope.tenant
        self._keyring = keyring

    # --- storing and reading ---------------------------------------------------------------------------------------

    def store(self, person_id: str, field: str, value: str, purpose: str, *, retention_until_us: int = 0) -> str:
        """Keep a field for a purpose, replacing its earlier value for that purpose; its commitment.

        Raises Invalid, Forbidden without the separate consent that the field needs, Conflict after erasure.
        """
        if not FIELD.fullmatch(field) or not PURPOSE.fullmatch(purpose) or len(value) > MAX_VALUE_CHARACTERS:
            raise Invalid("vault/field", f"The field {field!r} or the purpose {purpose!r} is not well formed.")
        if 0 < retention_until_us <= self._scope.now_us:
            raise Invalid("vault/retention", "The retention would have ended already.")
        consent = self._consent_for(person_id, field, purpose)
        keyring = self._open_keyring()
        cipher, key = self._person_key(person_id, make=True)
        salt = keyring.entropy(SALT_BYTES)
        commitment = commitment_of(self._tenant, person_id, field, purpose, salt, value)
        place = _place(self._tenant, person_id, field, purpose, commitment)
        ciphertext = encrypt(cipher, key, salt + value.encode(), place, keyring.entropy)
        self._uow.upsert(
            vault_fields,
            (self._tenant, person_id, field, purpose, ciphertext, commitment, consent, self._scope.now_us,
             retention_until_us),
        )  # fmt: skip
        self._commit(person_id, field, purpose, commitment)
        return commitment

    def _commit(self, person: str, field: str, purpose: str, commitment: str) -> None:
        identifier = self._scope.new_id("vlt")
        fields = (self._tenant, identifier, person, field, purpose, commitment, self._scope.now_us)
        digest = content_hash(*fields)
        self._uow.insert(vault_commitments, (*fields, digest))
        self._uow.seal(self._tenant, COMMITMENT_STREAM, identifier, digest)

    def reveal(self, person_id: str, field: str, purpose: str) -> str:
        """The value kept for exactly this purpose; the reading is logged as an event, so only commands may reveal.

        Raises NotFound, Forbidden for another purpose, a withdrawn consent or an ended retention, Conflict when the
        row was changed.
        """
        assert not self._uow.read_only, "who reads a personal field leaves an event: make the operation a command"
        row = self._uow.row(vault_fields, (self._tenant, person_id, field, purpose))
        if row is None:
            if self._has_other_purpose(person_id, field):
                raise Forbidden("vault/wrong-purpose", f"The field {field!r} is not kept for {purpose!r}.")
            raise NotFound("vault/unknown", f"There is no field {field!r} of this person.")
        if 0 < row[8] <= self._scope.now_us:
            raise Forbidden("vault/retention-ended", f"The field {field!r} may no longer be used.")
        self._consent_for(person_id, field, purpose)
        value = self._open(row)
        self._scope.emit("vault.revealed", {"field": field, "purpose": purpose, "by": self._scope.actor_id}, person_id)
        return value

    def _has_other_purpose(self, person_id: str, field: str) -> bool:
        return bool(
            self._uow.fetch(
                "SELECT 1 FROM vault_fields WHERE tenant = %s AND person = %s AND field = %s LIMIT 1",
                (self._tenant, person_id, field),
            )
        )

    def _open(self, row: tuple[Any, ...]) -> str:
        _, person, field, purpose, ciphertext, commitment, *_ = row
        cipher, key = self._person_key(person, make=False)
        try:
            opened = decrypt(cipher, key, bytes(ciphertext), _place(self._tenant, person, field, purpose, commitment))
        except Unreadable as error:
            raise Conflict("vault/changed", f"The stored field {field!r} cannot be read: {error}.") from None
        salt, value = opened[:SALT_BYTES], opened[SALT_BYTES:].decode()
        if commitment_of(self._tenant, person, field, purpose, salt, value) != commitment:
            raise Conflict("vault/changed", f"The stored field {field!r} is not the one that was committed to.")
        return value

    def matches(self, person_id: str, field: str, purpose: str, value: str) -> bool:
        """Whether the kept value is `value`, without showing it; false where there is none."""
        row = self._uow.row(vault_fields, (self._tenant, person_id, field, purpose))
        return row is not None and self._open(row) == value

    def commitments(self, person_id: str) -> list[tuple[str, str, str]]:
        """Every (field, purpose, commitment) ever made of a person, oldest first, also after erasure."""
        rows = self._uow.fetch(
            "SELECT field, purpose, commitment FROM vault_commitments WHERE tenant = %s AND person = %s ORDER BY id",
            (self._tenant, person_id),
        )
        return [(row[0], row[1], row[2]) for row in rows]

    # --- consent ---------------------------------------------------------------------------------------------------

    def give_consent(
        self, person_id: str, purpose: str, category: Category = "", *, document: str = "", valid_until_us: int = 0
    ) -> Consent:
        """Record a person's consent to a purpose; face, voice and identity papers each need one of their own.

        `document` is the digest of the signed text. A consent that stands is answered as it is. Raises Invalid.
        """
        if not PURPOSE.fullmatch(purpose) or category not in CATEGORIES:
            raise Invalid("vault/consent", f"The purpose {purpose!r} or the category {category!r} is not known.")
        if 0 < valid_until_us <= self._scope.now_us:
            raise Invalid("vault/consent", "The consent would have ended already.")
        known = self.consent(person_id, purpose, category)
        if known is not None and known.active(self._scope.now_us) and known.document == document:
            return known
        self._refuse_erased(person_id)
        consent = Consent(
            self._scope.new_id("cns"), person_id, purpose, category, document, self._scope.now_us, 0, valid_until_us
        )  # fmt: skip
        self._write(consent)
        return consent

    def withdraw_consent(self, person_id: str, purpose: str, category: Category = "") -> int:
        """End a consent and delete what rested on it; the number of fields deleted. Raises NotFound."""
        known = self.consent(person_id, purpose, category)
        if known is None or not known.active(self._scope.now_us):
            raise NotFound("vault/no-consent", "There is no such consent, or it has ended already.")
        self._write(
            Consent(known.id, person_id, purpose, category, known.document, known.given_us, self._scope.now_us,
                    known.valid_until_us)
        )  # fmt: skip
        rested = [kept for kept in self.fields(person_id) if kept.purpose == purpose and kept.consent == known.id]
        for kept in rested:
            self.drop(person_id, kept.field, purpose)
        return len(rested)

    def consent(self, person_id: str, purpose: str, category: Category = "") -> Consent | None:
        """The latest consent, standing or not."""
        row = self._uow.row(vault_consents, (self._tenant, person_id, purpose, category))
        return None if row is None else _consent(row)

    def consents(self, person_id: str) -> list[Consent]:
        """The latest consent for each purpose and category."""
        rows = self._uow.fetch(
            "SELECT tenant, person, purpose, category, id, document, given_at, withdrawn_at, valid_until "
            "FROM vault_consents WHERE tenant = %s AND person = %s ORDER BY purpose, category",
            (self._tenant, person_id),
        )
        return [_consent(row) for row in rows]

    def _write(self, consent: Consent) -> None:
        self._uow.upsert(
            vault_consents,
            (self._tenant, consent.person, consent.purpose, consent.category, consent.id, consent.document,
             consent.given_us, consent.withdrawn_us, consent.valid_until_us),
        )  # fmt: skip

    def _consent_for(self, person_id: str, field: str, purpose: str) -> str:
        """The id of the consent that the field rests on, "" where it needs none. Raises Forbidden."""
        consent = self.consent(person_id, purpose, category_of(field))
        if consent is not None and consent.active(self._scope.now_us):
            return consent.id
        if needs_separate_consent(field, purpose):
            raise Forbidden(
                "vault/no-consent",
                f"{field!r} needs the person's separate consent ({category_of(field)}) for the purpose {purpose!r}.",
            )
        if consent is not None and not category_of(field):
            raise Forbidden("vault/consent-withdrawn", f"The person's consent to {purpose!r} has ended.")
        return ""

    # --- the rights of the person ------------------------------------------------------------------------------------

    def fields(self, person_id: str) -> list[StoredField]:
        """What is kept of a person, without the values."""
        rows = self._uow.fetch(
            "SELECT person, field, purpose, commitment, consent, stored_at, retention_until FROM vault_fields "
            "WHERE tenant = %s AND person = %s ORDER BY field, purpose",
            (self._tenant, person_id),
        )
        return [StoredField(*row) for row in rows]

    def export(self, person_id: str) -> list[tuple[StoredField, str]]:
        """Everything kept of a person with its values, for the person (article 45); logged. Raises NotFound."""
        assert not self._uow.read_only, "who reads personal fields leaves an event: make the operation a command"
        found = self.fields(person_id)
        if not found:
            raise NotFound("vault/unknown", "Nothing is kept of this person.")
        values = []
        for kept in found:
            row = self._uow.row(vault_fields, (self._tenant, person_id, kept.field, kept.purpose))
            assert row is not None, "listed in the same transaction"
            values.append((kept, self._open(row)))
        self._scope.emit("vault.exported", {"fields": len(values), "by": self._scope.actor_id}, person_id)
        return values

    def erase(self, person_id: str) -> int:
        """Destroy a person's key and ciphertexts; the number of fields that are gone. Commitments stay.

        Raises NotFound for a person of whom nothing was ever kept, Conflict when it is done already, or when a law
        still demands that a field be kept (article 47, last paragraph).
        """
        row = self._uow.lock(vault_keys, (self._tenant, person_id))
        if row is None:
            raise NotFound("vault/unknown", "Nothing is kept of this person.")
        if row[5]:
            raise Conflict("vault/erased", "This person is erased already.")
        now = self._scope.now_us
        bound = [
            kept for kept in self.fields(person_id) if kept.purpose in LEGAL_DUTIES and kept.retention_until_us > now
        ]
        if bound:
            until = from_us(max(kept.retention_until_us for kept in bound))
            duties = ", ".join(sorted({kept.purpose for kept in bound}))
            raise Conflict("vault/legal-retention", f"The law demands that {duties} be kept until {until:%Y-%m-%d}.")
        gone = self._destroy(
            ("DELETE FROM vault_fields WHERE tenant = %s AND person = %s", (self._tenant, person_id)),
            ("UPDATE vault_keys SET wrapped = %s, erased_at = %s WHERE tenant = %s AND person = %s",
             (b"", now, self._tenant, person_id)),
            ("UPDATE vault_consents SET withdrawn_at = %s WHERE tenant = %s AND person = %s AND withdrawn_at = 0",
             (now, self._tenant, person_id)),
        )[0]  # fmt: skip
        self._scope.emit("vault.erased", {"fields": gone, "by": self._scope.actor_id}, person_id)
        return gone

    def drop(self, person_id: str, field: str, purpose: str) -> None:
        """Delete one field, when its purpose is reached or its retention has ended."""
        condition = "tenant = %s AND person = %s AND field = %s AND purpose = %s"
        self._destroy((f"DELETE FROM vault_fields WHERE {condition}", (self._tenant, person_id, field, purpose)))
        self._scope.emit("vault.dropped", {"field": field, "purpose": purpose}, person_id)

    def _destroy(self, *statements: tuple[str, tuple[Any, ...]]) -> list[int]:
        # SQLite leaves deleted bytes in the page unless told to overwrite them; what is still in its write-ahead log
        # goes at the next checkpoint.
        sqlite = self._uow.dialect == "sqlite"
        if sqlite:
            self._uow.fetch("PRAGMA secure_delete = ON")
        counts = [self._uow.execute(sql, parameters) for sql, parameters in statements]
        if sqlite:
            self._uow.fetch("PRAGMA secure_delete = OFF")
        return counts

    def expired(self, limit: int = 1000) -> list[StoredField]:
        """Fields whose retention has ended, longest ended first: to be dropped by a timer."""
        rows = self._uow.fetch(
            "SELECT person, field, purpose, commitment, consent, stored_at, retention_until FROM vault_fields "
            "WHERE tenant = %s AND retention_until > 0 AND retention_until <= %s "
            "ORDER BY retention_until, person, field LIMIT %s",
            (self._tenant, self._scope.now_us, limit),
        )
        return [StoredField(*row) for row in rows]

    # --- keys --------------------------------------------------------------------------------------------------------

    def rewrap(self, limit: int = 1000) -> int:
        """After a rotation of the master key: wrap person keys anew under the current one; how many were."""
        keyring, count, after = self._open_keyring(), 0, ""
        while count < limit:
            rows = self._uow.fetch(
                "SELECT tenant, person, cipher, wrapped, made_at, erased_at FROM vault_keys "
                "WHERE tenant = %s AND person > %s AND erased_at = 0 ORDER BY person LIMIT 500",
                (self._tenant, after),
            )
            if not rows:
                break
            after = rows[-1][1]
            for tenant, person, cipher, wrapped, made_at, erased_at in rows:
                if count < limit and not keyring.is_current(bytes(wrapped)):
                    key = keyring.unwrap(bytes(wrapped), _key_place(tenant, person))
                    wrapped_anew = keyring.wrap(key, _key_place(tenant, person))
                    self._uow.upsert(vault_keys, (tenant, person, cipher, wrapped_anew, made_at, erased_at))
                    count += 1
        return count

    def _person_key(self, person_id: str, *, make: bool) -> tuple[str, bytes]:
        keyring = self._open_keyring()
        place = _key_place(self._tenant, person_id)
        # Locked, so that a field is not stored under a key that is being erased.
        read = self._uow.lock if make else self._uow.row
        row = read(vault_keys, (self._tenant, person_id))
        if row is None:
            if not make:
                raise NotFound("vault/unknown", "Nothing is kept of this person.")
            key = keyring.new_key()
            wrapped = keyring.wrap(key, place)
            row = (self._tenant, person_id, keyring.cipher, wrapped, self._scope.now_us, 0)
            self._uow.insert(vault_keys, row)
            return keyring.cipher, key
        if row[5]:
            raise Conflict("vault/erased", "This person is erased; nothing can be kept under the old identity.")
        try:
            return row[2], keyring.unwrap(bytes(row[3]), place)
        except Unreadable as error:
            raise Unavailable("vault/no-master-key", f"The person's key cannot be opened: {error}.") from None

    def _refuse_erased(self, person_id: str) -> None:
        row = self._uow.row(vault_keys, (self._tenant, person_id))
        if row is not None and row[5]:
            raise Conflict("vault/erased", "This person is erased.")

    def _open_keyring(self) -> Keyring:
        if self._keyring is None:
            raise Unavailable("vault/no-master-key", "This server keeps no master key for personal fields.")
        return self._keyring


def _place(tenant: str, person: str, field: str, purpose: str, commitment: str) -> bytes:
    return "\0".join(("vault-field", tenant, person, field, purpose, commitment)).encode()


def _key_place(tenant: str, person: str) -> bytes:
    return f"vault-key\0{tenant}\0{person}".encode()


def _consent(row: tuple[Any, ...]) -> Consent:
    _, person, purpose, category, identifier, document, given_at, withdrawn_at, valid_until = row
    return Consent(identifier, person, purpose, category, document, given_at, withdrawn_at, valid_until)
