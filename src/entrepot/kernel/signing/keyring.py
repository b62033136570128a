"""The master keys of a server, which wrap the keys that lie in the database."""

import hashlib
import secrets
from collections.abc import Sequence

from entrepot.kernel.signing.suites import CIPHER_KEY_BYTES, CipherName, Entropy, Unreadable, decrypt, encrypt

_ID_BYTES = 8


class Keyring:
    """Wraps small secrets under the current master key; opens what any known master key wrapped.

    A master key is 32 bytes from a file that only the server reads (`Settings.secret("vault-master")`). Whoever has
    the database, or a backup of it, but not this file can read nothing that was wrapped. `earlier` are the keys of
    before a rotation. `entropy` is the source of keys, salts and nonces; only a replay passes another one.
    """

    def __init__(
        self,
        master: bytes,
        earlier: Sequence[bytes] = (),
        *,
        cipher: CipherName = "aes-256-gcm",
        entropy: Entropy = secrets.token_bytes,
    ) -> None:
        assert all(len(key) == 32 for key in (master, *earlier)), "a master key has 32 bytes"
        self.cipher = cipher
        self.entropy = entropy
        self._current = _id(master)
        self._masters = {_id(key): key for key in (*earlier, master)}

    def new_key(self) -> bytes:
        """A fresh key for the cipher."""
        return self.entropy(CIPHER_KEY_BYTES[self.cipher])

    def wrap(self, secret: bytes, place: bytes) -> bytes:
        """`secret` encrypted for `place`: id of the master key ‖ nonce ‖ ciphertext ‖ tag."""
        master = self._cipher_key(self._current, self.cipher)
        name = b"\x01" if self.cipher == "aes-256-gcm" else b"\x02"
        return self._current + name + encrypt(self.cipher, master, secret, place, self.entropy)

    def unwrap(self, wrapped: bytes, place: bytes) -> bytes:
        """The secret. Raises Unreadable when its master key is not here or the bytes were changed."""
        key_id, name = wrapped[:_ID_BYTES], wrapped[_ID_BYTES : _ID_BYTES + 1]
        if key_id not in self._masters or name not in (b"\x01", b"\x02"):
            raise Unreadable("wrapped under a master key that this server does not have")
        cipher: CipherName = "aes-256-gcm" if name == b"\x01" else "sm4-gcm"
        return decrypt(cipher, self._cipher_key(key_id, cipher), wrapped[_ID_BYTES + 1 :], place)

    def is_current(self, wrapped: bytes) -> bool:
        """Whether it is wrapped under the current master key, so that the earlier ones could go."""
        return wrapped[:_ID_BYTES] == self._current

    def _cipher_key(self, key_id: bytes, cipher: CipherName) -> bytes:
        # A key of its own for each cipher: one key is never used with two algorithms.
        derived = hashlib.sha256(b"entrepot/wrap/" + cipher.encode() + b"\0" + self._masters[key_id]).digest()
        return derived[: CIPHER_KEY_BYTES[cipher]]


def _id(master: bytes) -> bytes:
    return hashlib.sha256(b"entrepot/master\0" + master).digest()[:_ID_BYTES]
