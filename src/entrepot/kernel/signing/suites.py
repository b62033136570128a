"""Signature and encryption suites. Pure: keys and bytes in, bytes out.

    ed25519      Ed25519 (RFC 8032) by `cryptography`
    sm2          SM2 with SM3 (GB/T 32918-2016 on the curve of GB/T 32918.5-2017, user id of GM/T 0009): keys and
                 signatures by `gmalg`, verification by the text that also verifies evidence packs. Both are plain
                 Python and not constant in time: a server that signs with SM2 in production puts a certified module
                 behind `SigningKey`; what devices and parties sign elsewhere is only verified here, from public data
    hmac-sha256  for devices too weak for either. The server holds the same key, so it proves nothing against the
                 server and cannot be verified outside: weaker, and marked so

Encryption of stored fields: AES-256-GCM, or SM4-GCM, both by `cryptography`.
"""

import base64
import binascii
import hmac
import secrets
from collections.abc import Callable
from typing import Literal, NamedTuple, Protocol

import gmalg
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from entrepot.kernel.signing.standalone import (
    SM2_N,
    SM2_USER,
    ed25519_key_is_sound,
    fingerprint,
    sm2_key_is_sound,
    sm2_verify,
)

SuiteName = Literal["ed25519", "sm2", "hmac-sha256"]
CipherName = Literal["aes-256-gcm", "sm4-gcm"]
Entropy = Callable[[int], bytes]
NONCE_BYTES = 12
TAG_BYTES = 16
CIPHER_KEY_BYTES: dict[str, int] = {"aes-256-gcm": 32, "sm4-gcm": 16}


class Unreadable(ValueError):
    """A ciphertext was changed, or belongs to another key or place."""


class Suite(NamedTuple):
    """`public_bytes` long are its keys; `provable` says whether others can verify without being able to sign."""

    name: SuiteName
    public_bytes: int
    provable: bool
    is_sound: Callable[[bytes], bool]
    verify: Callable[[bytes, bytes, bytes], bool]


def _ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _hmac_verify(key: bytes, message: bytes, signature: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(key, message, "sha256"), signature)


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite("ed25519", 32, True, ed25519_key_is_sound, _ed25519_verify),
        Suite("sm2", 65, True, sm2_key_is_sound, sm2_verify),
        Suite("hmac-sha256", 32, False, lambda key: len(key) == 32, _hmac_verify),
    )
}


class SigningKey(Protocol):
    """Whatever can sign: a key in memory, or a security module."""

    @property
    def suite(self) -> SuiteName:
        """Its suite."""
        ...

    @property
    def public(self) -> bytes:
        """The public key, in the encoding of the suite."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature, 64 bytes."""
        ...


class LocalKey:
    """A signing key in this process, from a 32-byte seed."""

    def __init__(self, suite: Literal["ed25519", "sm2"], seed: bytes) -> None:
        assert len(seed) == 32, "a seed has 32 bytes"
        self.suite: SuiteName = suite
        self._ed25519 = Ed25519PrivateKey.from_private_bytes(seed)
        if suite == "ed25519":
            self.public = self._ed25519.public_key().public_bytes_raw()
        else:
            scalar = int.from_bytes(seed) % (SM2_N - 2) + 1  # private keys are 1 to n − 2
            self._sm2 = gmalg.SM2(scalar.to_bytes(32), SM2_USER)
            self.public = bytes(self._sm2.generate_pk(scalar.to_bytes(32)))

    @staticmethod
    def new(suite: Literal["ed25519", "sm2"] = "ed25519") -> "LocalKey":
        """A fresh key."""
        return LocalKey(suite, secrets.token_bytes(32))

    def sign(self, message: bytes) -> bytes:
        """The signature: 64 bytes, for SM2 r ‖ s."""
        if self.suite == "ed25519":
            return self._ed25519.sign(message)
        r, s = self._sm2.sign(message)
        return bytes(r).rjust(32, b"\0") + bytes(s).rjust(32, b"\0")


def verify(suite: str, public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is true; false for an unknown suite. `public` is the shared key for HMAC."""
    known = SUITES.get(suite)
    return known is not None and known.verify(public, message, signature)


def encrypt(cipher: str, key: bytes, plaintext: bytes, place: bytes, entropy: Entropy = secrets.token_bytes) -> bytes:
    """Nonce ‖ ciphertext ‖ tag. `place` is authenticated with it, so that it opens nowhere else."""
    nonce = entropy(NONCE_BYTES)
    if cipher == "aes-256-gcm":
        return nonce + AESGCM(key).encrypt(nonce, plaintext, place)
    assert cipher == "sm4-gcm", cipher
    encryptor = Cipher(algorithms.SM4(key), modes.GCM(nonce)).encryptor()
    encryptor.authenticate_additional_data(place)
    return nonce + encryptor.update(plaintext) + encryptor.finalize() + encryptor.tag


def decrypt(cipher: str, key: bytes, sealed: bytes, place: bytes) -> bytes:
    """The plaintext of `encrypt`. Raises Unreadable."""
    if len(sealed) < NONCE_BYTES + TAG_BYTES or cipher not in CIPHER_KEY_BYTES:
        raise Unreadable("the ciphertext is cut off")
    nonce, rest = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
    try:
        if cipher == "aes-256-gcm":
            return AESGCM(key).decrypt(nonce, rest, place)
        decryptor = Cipher(algorithms.SM4(key), modes.GCM(nonce, rest[-TAG_BYTES:])).decryptor()
        decryptor.authenticate_additional_data(place)
        return decryptor.update(rest[:-TAG_BYTES]) + decryptor.finalize()
    except (InvalidTag, ValueError):
        raise Unreadable("the ciphertext was changed or belongs elsewhere") from None


def to_base64url(raw: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """The bytes of unpadded, canonical base64url. Raises ValueError."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64url") from None
    if to_base64url(raw) != text:
        raise ValueError("not canonical base64url without padding")
    return raw


__all__ = [
    "CIPHER_KEY_BYTES",
    "SUITES",
    "LocalKey",
    "SigningKey",
    "Suite",
    "Unreadable",
    "decrypt",
    "encrypt",
    "fingerprint",
    "from_base64url",
    "to_base64url",
    "verify",
]
