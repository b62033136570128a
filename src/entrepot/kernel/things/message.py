"""The telemetry message: its topic, its strict reading, what is signed, and the signature.

    topic    entrepot/<tenant>/<device>/telemetry
    payload  {"seq": 7, "at": "2026-03-01T08:00:00Z", "values": {"level_mm": 11874.6}, "sig": "…"}

`sig` is base64url, without padding, over topic + newline + the RFC 8785 JSON of the payload without `sig`: Ed25519, or
HMAC-SHA256 for a device too weak for it. Pure: no clock, no I/O.
"""

import base64
import binascii
import hmac
import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Suite = Literal["ed25519", "hmac-sha256"]

MAX_PAYLOAD_BYTES = 16_384
MAX_SEQ = (1 << 53) - 1  # the largest integer that every JSON reader keeps exactly
ED25519: Suite = "ed25519"
HMAC_SHA256: Suite = "hmac-sha256"

TENANT = re.compile(r"[a-z][a-z0-9-]{0,31}")
DEVICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
VALUE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MICROSECOND = timedelta(microseconds=1)


class Malformed(ValueError):
    """The payload is no telemetry message; `reason` is one of the refusal reasons of `ingest`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


# --- topics --------------------------------------------------------------------------------------------------------


def telemetry_topic(tenant: str, device: str) -> str:
    """Where a device publishes its readings."""
    return f"entrepot/{tenant}/{device}/telemetry"


def ack_topic(tenant: str, device: str) -> str:
    """Where a device hears which readings are kept."""
    return f"entrepot/{tenant}/{device}/ack"


def command_topic(tenant: str, device: str) -> str:
    """Where a device is told what to do."""
    return f"entrepot/{tenant}/{device}/command"


def device_of(topic: str, tenant: str) -> str | None:
    """The device whose telemetry topic of this tenant it is; None for any other topic."""
    parts = topic.split("/")
    if len(parts) != 4 or parts[0] != "entrepot" or parts[1] != tenant or parts[3] != "telemetry":
        return None
    return parts[2] if DEVICE.fullmatch(parts[2]) else None


# --- reading -------------------------------------------------------------------------------------------------------


def parse(payload: bytes) -> dict[str, Any]:
    """The JSON object of a payload with `seq` and `sig` in form; the rest is judged once the signature holds.

    Raises Malformed: "too-large", "not-utf8", "not-json" (duplicate keys, NaN, Infinity and too deep nesting
    included), "not-a-message".
    """
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise Malformed("too-large")
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("not-utf8") from None
    try:
        message = _DECODER.decode(text)
    except (ValueError, RecursionError):
        raise Malformed("not-json") from None
    if not isinstance(message, dict) or message.keys() != {"seq", "at", "values", "sig"}:
        raise Malformed("not-a-message")
    seq, sig = message["seq"], message["sig"]
    if type(seq) is not int or not 1 <= seq <= MAX_SEQ or not isinstance(sig, str) or len(sig) > 128:
        raise Malformed("not-a-message")
    return message


def instant_us(text: Any) -> int | None:
    """Microseconds since the epoch of an RFC 3339 instant with its offset; None when it is none."""
    if not isinstance(text, str) or not _INSTANT.fullmatch(text):
        return None
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def instant_text(microseconds: int) -> str:
    """The RFC 3339 instant, UTC, with six decimals.

    >>> instant_text(1_500_000)
    '1970-01-01T00:00:01.500000Z'
    """
    moment = _EPOCH + timedelta(microseconds=microseconds)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key appears twice")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_no_duplicates, parse_constant=_no_constant)


# --- signing -------------------------------------------------------------------------------------------------------


def signed_json(message: Mapping[str, Any]) -> bytes:
    """The RFC 8785 JSON of the message without `sig`. Raises ValueError where it has none (NaN, lone surrogates)."""
    quick = _quick_json(message)
    if quick is not None:
        return quick
    try:
        return bytes(rfc8785.dumps({key: value for key, value in message.items() if key != "sig"}))
    except (rfc8785.CanonicalizationError, RecursionError, UnicodeError) as error:
        raise ValueError(str(error)) from None


def _quick_json(message: Mapping[str, Any]) -> bytes | None:
    # The general canonicaliser takes 40 microseconds; a message of plain names and numbers is written in four.
    at, values = message["at"], message["values"]
    if not isinstance(at, str) or not _INSTANT.fullmatch(at) or not isinstance(values, dict):
        return None
    written = []
    for name in sorted(values):
        value = values[name]
        if not VALUE_NAME.fullmatch(name):
            return None
        if type(value) is float:
            if not 1e-4 <= abs(value) < 1e16:
                return None
            digits = repr(value)  # the shortest digits that read back, as ECMAScript writes them in this range
            written.append(f'"{name}":{digits.removesuffix(".0")}')
        elif type(value) is int and -MAX_SEQ <= value <= MAX_SEQ:
            written.append(f'"{name}":{value}')
        else:
            return None
    return f'{{"at":"{at}","seq":{message["seq"]},"values":{{{",".join(written)}}}}}'.encode()


def sign(topic: str, message: Mapping[str, Any], suite: Suite, key: bytes) -> str:
    """The signature of a message (a `sig` in it is not covered). `key`: 32 bytes Ed25519 seed, or the shared key."""
    covered = topic.encode() + b"\n" + signed_json(message)
    if suite == ED25519:
        raw = Ed25519PrivateKey.from_private_bytes(key).sign(covered)
    else:
        raw = hmac.digest(key, covered, "sha256")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def encode(topic: str, seq: int, at_us: int, values: Mapping[str, float], suite: Suite, key: bytes) -> bytes:
    """A signed message, ready to publish."""
    message: dict[str, Any] = {"seq": seq, "at": instant_text(at_us), "values": dict(values)}
    message["sig"] = sign(topic, message, suite, key)
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode()


def signature_bytes(sig: str) -> bytes | None:
    """The decoded signature, None where it is not base64url without padding."""
    try:
        raw = base64.b64decode(sig + "=" * (-len(sig) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    canonical = base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == sig
    return raw if canonical else None


def verify(topic: str, body: bytes, signature: bytes, suite: str, key: bytes) -> bool:
    """Whether the signature over topic and `body` (see `signed_json`) was made with the registered key."""
    covered = topic.encode() + b"\n" + body
    if suite == HMAC_SHA256:
        return hmac.compare_digest(hmac.digest(key, covered, "sha256"), signature)
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, covered)
    except (InvalidSignature, ValueError):
        return False
    return True


def public_key(seed: bytes) -> bytes:
    """The 32-byte Ed25519 public key of a 32-byte seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
