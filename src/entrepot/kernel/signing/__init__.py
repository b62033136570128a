"""Device and party keys, seals, time stamps, and evidence packs that verify without this server."""

from entrepot.kernel.signing.heads import Head, HeadKeeper, verify_heads
from entrepot.kernel.signing.keyring import Keyring
from entrepot.kernel.signing.keys import Key, operator_key, verify_keys
from entrepot.kernel.signing.pack import PackInput, verifier_text
from entrepot.kernel.signing.service import Seal, Signing
from entrepot.kernel.signing.suites import SUITES, LocalKey, SigningKey, verify

__all__ = [
    "SUITES",
    "Head",
    "HeadKeeper",
    "Key",
    "Keyring",
    "LocalKey",
    "PackInput",
    "Seal",
    "Signing",
    "SigningKey",
    "operator_key",
    "verifier_text",
    "verify",
    "verify_heads",
    "verify_keys",
]
