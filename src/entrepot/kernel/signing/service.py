"""Keys, signatures, seals, time stamps and evidence packs of one tenant."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from entrepot.kernel.database import Scope
from entrepot.kernel.operations.errors import Conflict, Forbidden, Invalid, NotFound, Unavailable
from entrepot.kernel.signing import evidence, heads, keys, pack, statements
from entrepot.kernel.signing.keyring import Keyring
from entrepot.kernel.signing.keys import HOLDER_PURPOSES, Key
from entrepot.kernel.signing.standalone import seal_digest
from entrepot.kernel.signing.suites import SUITES, SigningKey, from_base64url, to_base64url
from entrepot.kernel.signing.tables import KEY_STREAM, REVOKED, signing_heads, signing_keys, signing_seals

SEAL_WINDOW_US = 10 * 60 * 1_000_000  # how far a party's clock may be from ours when it seals


@dataclass(frozen=True, slots=True)
class Seal:
    """A party's seal on a document: who, when by its own clock, and when by the time authority."""

    document: str
    key: str
    holder: str
    at_us: int
    stamped_us: int


class Signing:
    """See the module. `signer` is the operator's own key, `keyring` wraps shared HMAC keys; both may be missing."""

    def __init__(self, scope: Scope, signer: SigningKey | None = None, keyring: Keyring | None = None) -> None:
        self._scope = scope
        self._uow = scope.uow
        self._signer = signer
        self._keyring = keyring

    # --- keys ----------------------------------------------------------------------------------------------------

    def register_key(
        self, holder: str, suite: str, public: bytes, purposes: Sequence[str], *, valid_from_us: int | None = None,
        valid_until_us: int = 0, proof: bytes | None = None,
    ) -> Key:  # fmt: skip
        """Record the public key (for HMAC the shared key) of a party or device.

        `proof` is the signature of `statements.possession` with the new key; sealing and witnessing keys need it.
        Raises Invalid for an unsound key or a missing proof, Conflict for a key that is known already.
        """
        known = SUITES.get(suite)
        if known is None:
            raise Invalid("signing/unknown-suite", f"The suite {suite!r} is not one of {', '.join(sorted(SUITES))}.")
        wanted = sorted(set(purposes))
        if not wanted or not set(wanted) <= HOLDER_PURPOSES:
            raise Invalid("signing/purposes", f"Purposes are some of {', '.join(sorted(HOLDER_PURPOSES))}.")
        if not known.is_sound(public):
            raise Invalid("signing/unsound-key", f"This is no sound {suite} key of {known.public_bytes} bytes.")
        if not known.provable and wanted != ["device"]:
            raise Invalid("signing/weak-suite", f"{suite} proves nothing to others: it serves devices only.")
        if proof is not None or {"seal", "witness"} & set(wanted):
            statement = statements.possession(self._scope.tenant, holder, suite, to_base64url(public), wanted)
            if not known.verify(public, statement.encode(), proof or b""):
                raise Invalid("signing/no-possession", "Sign the possession statement with the new key.",
                              statement=statement)  # fmt: skip
        valid_from_us = self._scope.now_us if valid_from_us is None else valid_from_us
        if valid_until_us and valid_until_us <= valid_from_us:
            raise Invalid("signing/validity", "The key would end before it begins.")
        stored = self._stored_public(suite, public)
        if self._uow.fetch(
            "SELECT id FROM signing_keys WHERE tenant = %s AND holder = %s AND public = %s",
            (self._scope.tenant, holder, stored),
        ):
            raise Conflict("signing/key-known", "This key is registered already.")
        key = Key(
            self._scope.new_id("key"), holder, suite, stored, tuple(wanted), valid_from_us, valid_until_us, 0
        )  # fmt: skip
        keys.write(self._uow, self._scope.tenant, key)
        return key

    def _stored_public(self, suite: str, public: bytes) -> bytes:
        if SUITES[suite].provable:
            return public
        if self._keyring is None:
            raise Unavailable("signing/no-master-key", "This server keeps no master key, so it takes no shared keys.")
        return self._keyring.wrap(public, self._place())

    def _place(self) -> bytes:
        return f"signing-keys/{self._scope.tenant}".encode()

    def key(self, key_id: str) -> Key:
        """The key. Raises NotFound."""
        row = self._uow.row(signing_keys, (self._scope.tenant, key_id))
        if row is None:
            raise NotFound("signing/key-unknown", f"There is no key {key_id!r}.")
        return keys.from_row(row)

    def keys(self, holder: str) -> list[Key]:
        """The keys of a holder, oldest first."""
        rows = self._uow.fetch(
            f"SELECT {keys.COLUMNS} FROM signing_keys WHERE tenant = %s AND holder = %s ORDER BY id",
            (self._scope.tenant, holder),
        )
        return [keys.from_row(row) for row in rows]

    def revoke_key(self, key_id: str) -> Key:
        """End a key now: what it signed before stays true. Raises NotFound, Conflict when it is revoked already."""
        row = self._uow.lock(signing_keys, (self._scope.tenant, key_id))
        if row is None:
            raise NotFound("signing/key-unknown", f"There is no key {key_id!r}.")
        key = keys.from_row(row)
        if key.revoked_us:
            raise Conflict("signing/revoked", f"The key {key_id} is revoked already.")
        now = self._scope.now_us
        names = [column.name for column in signing_keys.columns]
        self._uow.upsert(signing_keys, tuple(now if n == "revoked_at" else v for n, v in zip(names, row, strict=True)))
        content = statements.revocation_content(self._scope.tenant, key_id + REVOKED, now)
        self._uow.seal(self._scope.tenant, KEY_STREAM, key_id + REVOKED, keys.digest(content))
        return keys.revoked(key, now)

    def ensure_operator_key(self) -> Key:
        """The operator's own key, registered on first use. Raises Unavailable when the server has none."""
        if self._signer is None:
            raise Unavailable("signing/no-operator-key", "This server has no signing key of its own.")
        return keys.ensure_operator(self._uow, self._scope.tenant, self._signer)

    # --- signatures ----------------------------------------------------------------------------------------------

    def verify(self, key_id: str, payload: bytes, signature: bytes, purpose: str = "") -> bool:
        """Whether the registered key, valid now (and for the purpose, if given), made this signature."""
        row = self._uow.row(signing_keys, (self._scope.tenant, key_id))
        if row is None:
            return False
        key = keys.from_row(row)
        return not key.objection(purpose, self._scope.now_us) and self._is_true(key, payload, signature)

    def demand(self, key_id: str, payload: bytes, signature: bytes, purpose: str = "") -> Key:
        """Like `verify`, saying what is wrong: raises NotFound, Forbidden or Invalid."""
        key = self.key(key_id)
        objection = key.objection(purpose, self._scope.now_us)
        if objection:
            raise Forbidden("signing/key-not-valid", f"The key {key_id} {objection}.")
        if not self._is_true(key, payload, signature):
            raise Invalid("signing/false-signature", f"This is not a signature of the key {key_id} over the text.")
        return key

    def _is_true(self, key: Key, payload: bytes, signature: bytes) -> bool:
        suite, public = SUITES[key.suite], key.public
        if not suite.provable:
            if self._keyring is None:
                return False
            public = self._keyring.unwrap(public, self._place())
        return suite.verify(public, payload, signature)

    def stamp(self, digest: str) -> pack.Signed:
        """A time stamp on a SHA-256 digest (hexadecimal), by this server's clock and key.

        A stamp of RFC 3161 by an outside authority needs the network: durable work fetches it and files it as a
        document. Raises Unavailable when the server has no key.
        """
        key = self.ensure_operator_key()
        assert self._signer is not None
        text = statements.stamp(self._scope.tenant, digest, self._scope.now_us)
        return pack.Signed("stamp", key.id, text, to_base64url(self._signer.sign(text.encode())), self._scope.now_us)

    # --- seals ---------------------------------------------------------------------------------------------------

    def seal_document(self, document: str, key_id: str, at_us: int, signature: str) -> Seal:
        """Take a party's seal: its signature (base64url) over `statements.seal`, stamped with the time of now.

        Raises Invalid, Forbidden or Conflict; the same seal again is the same seal.
        """
        if abs(at_us - self._scope.now_us) > SEAL_WINDOW_US:
            raise Invalid("signing/seal-time", "The time of the seal is more than ten minutes from now.")
        text = statements.seal(self._scope.tenant, document, key_id, at_us)
        key = self.demand(key_id, text.encode(), _signature_bytes(signature), "seal")
        row = (self._scope.tenant, document, key_id)
        known = self._uow.row(signing_seals, row)
        if known is not None:
            raise Conflict("signing/sealed", f"The key {key_id} has sealed this document already.")
        stamp = self.stamp(seal_digest(text, signature))
        self._uow.insert(
            signing_seals,
            (*row, key.holder, at_us, text, signature, stamp.key, stamp.payload, stamp.signature, stamp.at_us),
        )
        return Seal(document, key_id, key.holder, at_us, stamp.at_us)

    def seals(self, document: str) -> list[Seal]:
        """The seals on a document, oldest first."""
        rows = self._uow.fetch(
            "SELECT document, key, holder, at, stamped_at FROM signing_seals WHERE tenant = %s AND document = %s "
            "ORDER BY stamped_at, key",
            (self._scope.tenant, document),
        )
        return [Seal(*row) for row in rows]

    # --- heads and evidence --------------------------------------------------------------------------------------

    def latest_head(self) -> heads.Head:
        """The newest sealed block and the statement that witnesses sign. Raises NotFound on an empty chain."""
        found = heads.newest(self._uow, self._scope.tenant)
        if found is None:
            raise NotFound("signing/empty-chain", "Nothing is sealed yet.")
        return found

    def witness_head(self, height: int, key_id: str, signature: str) -> heads.Head:
        """Keep a witness's signature over the statement of the block of that height. Raises like `demand`."""
        head = heads.at(self._uow, self._scope.tenant, height)
        if head is None:
            raise NotFound("signing/block-unknown", f"There is no block of height {height}.")
        self.demand(key_id, head.statement.encode(), _signature_bytes(signature), "witness")
        row = (self._scope.tenant, height, key_id, head.statement, signature, self._scope.now_us)
        self._uow.upsert(signing_heads, row)
        return head

    def evidence_pack(
        self, subject: str, *, read_document: Callable[[str], tuple[str, str, bytes] | None] = lambda digest: None
    ) -> bytes:
        """A zip file about an object that verifies on any machine with Python; see `pack` for what is in it.

        `read_document(digest)` gives media type, name and content of the documents to include. Raises NotFound when
        there is nothing about the subject, TooLarge when the proof would be.
        """
        found = evidence.collect(
            self._uow, self._scope.tenant, subject, self._scope.now_us, self._signer, read_document
        )
        if not found.rows:
            raise NotFound("signing/no-evidence", f"There is no event about {subject!r}.")
        return pack.build(found, self._signer)


def _signature_bytes(text: str) -> bytes:
    try:
        return from_base64url(text)
    except ValueError as error:
        raise Invalid("signing/malformed-signature", f"The signature is {error}.") from None
