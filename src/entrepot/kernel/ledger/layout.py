"""Identifiers and content hashes of the ledger, in layouts that anyone can recompute with SHA-256 and a JSON library.

    account id   the first 63 bits of SHA-256 over tenant|owner|asset|purpose, where % and | inside a part are written
                 %25 and %7C
    hold id      the first 63 bits of SHA-256 over tenant|batch|number
    batch        SHA-256 over the JSON array [tenant, id, at, actor, key, request, failures, reference, count,
                 [[number, debit, credit, amount, action, group, hold, expires_at, reference], ...]]
    definition   SHA-256 over the JSON array [tenant, id, kind, subject, version, at, actor, body]

JSON is UTF-8 without spaces, integers are written in full, non-ASCII characters as themselves.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import orjson

from entrepot.kernel.ledger.states import Transfer


@lru_cache(maxsize=65_536)
def account_id(tenant: str, owner: str, asset: str, purpose: str = "main") -> int:
    """The id of an account: positive, 63 bits."""
    return _first_63_bits("|".join(_escaped(part) for part in (tenant, owner, asset, purpose)))


def hold_id(tenant: str, batch: str, number: int) -> int:
    """The id of the hold that transfer `number` of a batch opens, unless the transfer names one."""
    return _first_63_bits(f"{_escaped(tenant)}|{_escaped(batch)}|{number}")


def batch_hash(header: Sequence[Any], transfers: Sequence[Sequence[Any]]) -> bytes:
    """The content hash of a batch: `header` from tenant to count, `transfers` the rows from number to reference."""
    return hashlib.sha256(orjson.dumps([*header, transfers])).digest()


def definition_hash(row: Sequence[Any]) -> bytes:
    """The content hash of a definition: `row` from tenant to body."""
    return hashlib.sha256(orjson.dumps(list(row))).digest()


def request_hash(transfers: Sequence[Transfer], all_or_nothing: bool) -> str:
    """SHA-256 in hexadecimal over the JSON array [all or nothing, [each transfer asked for, as an array]]."""
    return hashlib.sha256(orjson.dumps([all_or_nothing, [list(transfer) for transfer in transfers]])).hexdigest()


def _escaped(part: str) -> str:
    return part.replace("%", "%25").replace("|", "%7C")


def _first_63_bits(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 1
