"""The texts that keys sign: canonical JSON (RFC 8785), each naming its kind, so that none passes for another."""

from typing import Any

import orjson

from entrepot.kernel.operations.canonical import canonical


def head(tenant: str, height: int, last: int, block_hash: str, sealed_at_us: int) -> str:
    """What the operator and witnesses sign of a block: its hash covers the whole chain up to it."""
    return canonical(
        {
            "statement": "entrepot/head",
            "tenant": tenant,
            "height": height,
            "last": last,
            "hash": block_hash,
            "sealed_at": sealed_at_us,
        }
    )


def seal(tenant: str, document: str, key_id: str, at_us: int) -> str:
    """What a party signs to seal a document (SHA-256, hexadecimal) at a time it states."""
    return canonical({"statement": "entrepot/seal", "tenant": tenant, "document": document, "key": key_id, "at": at_us})


def stamp(tenant: str, digest: str, at_us: int) -> str:
    """What the time authority signs: this digest existed at this time."""
    return canonical({"statement": "entrepot/stamp", "tenant": tenant, "digest": digest, "at": at_us})


def possession(tenant: str, holder: str, suite: str, public: str, purposes: list[str]) -> str:
    """What a holder signs with the new private key, to show that it has it (`public` is base64url)."""
    return canonical(
        {
            "statement": "entrepot/key",
            "tenant": tenant,
            "holder": holder,
            "suite": suite,
            "public": public,
            "purposes": sorted(purposes),
        }
    )


def key_content(
    tenant: str, key_id: str, holder: str, suite: str, public: str, purposes: list[str], valid_from: int,
    valid_until: int,
) -> str:  # fmt: skip
    """The sealed content of a key's registration: a JSON array."""
    return json_array(tenant, key_id, holder, suite, public, purposes, valid_from, valid_until)


def revocation_content(tenant: str, row_id: str, revoked_at: int) -> str:
    """The sealed content of a key's revocation; `row_id` is "<key>#revoked"."""
    return json_array(tenant, row_id, revoked_at)


def json_array(*fields: Any) -> str:
    """The JSON array that a content hash covers."""
    return orjson.dumps(fields).decode()
