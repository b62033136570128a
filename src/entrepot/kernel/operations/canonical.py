"""Canonical JSON and content hashes."""

import hashlib
from typing import Any

import orjson


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces, as RFC 8785 writes it for strings, integers, booleans, lists and objects.

    >>> canonical({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def content_hash(*fields: str | int | None) -> bytes:
    """SHA-256 over the JSON array of the fields: 32 bytes. Anyone can recompute it with a JSON library."""
    return hashlib.sha256(orjson.dumps(fields)).digest()
