"""Gathering the evidence about one object from the database.

What belongs together is found by the identifiers: all that one operation wrote carries the same stem (ten characters of
time, eight of chance), so an event leads to the ledger batches and encumbrances of its operation. Documents are those
whose SHA-256 an event names.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from entrepot.kernel.database import UnitOfWork
from entrepot.kernel.events.tables import events
from entrepot.kernel.ledger.tables import (
    BATCH_STREAM,
    DEFINITION_STREAM,
    ledger_batches,
    ledger_definitions,
    ledger_transfers,
)
from entrepot.kernel.operations.errors import Conflict, TooLarge
from entrepot.kernel.signing import heads
from entrepot.kernel.signing.keys import COLUMNS, Key, from_row, operator_key
from entrepot.kernel.signing.pack import Block, Document, PackInput, SealedRow, Signed
from entrepot.kernel.signing.statements import json_array, revocation_content
from entrepot.kernel.signing.suites import SigningKey, to_base64url
from entrepot.kernel.signing.tables import KEY_STREAM, REVOKED

EVENT_STREAM = "events"
MAX_EVENTS = 2_000
MAX_BLOCKS = 50_000
MAX_ROWS = 500_000
MAX_DOCUMENT_BYTES = 128 * 1024 * 1024
WITNESS_DISTANCE = 5_000  # how many blocks on a witness's signature is still worth its headers
ReadDocument = Callable[[str], tuple[str, str, bytes] | None]
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_BLOCK = "height, first, last, previous, root, hash, sealed_at"
_CHUNK = 500


def collect(
    uow: UnitOfWork, tenant: str, subject: str, now_us: int, signer: SigningKey | None, read_document: ReadDocument
) -> PackInput:
    """All evidence about `subject`; without rows when there is none. Raises TooLarge."""
    found = _Collector(uow, tenant)
    rows = found.event_rows(subject)
    if not rows:
        return PackInput(tenant, subject, now_us)
    documents = found.documents(rows, read_document)
    signed = found.seals([document.digest for document in documents])
    keys: dict[str, Key] = {}
    wanted = {entry.key for entry in signed}
    if signer is not None:
        wanted.add(operator_key(signer).id)
    key_rows: list[SealedRow] = []
    placed: list[SealedRow] = []
    chain = _Chain({}, {}, [])
    while True:  # heads bring keys, whose registrations bring blocks, which may bring heads: ends, keys are few
        for key in found.keys(sorted(wanted - set(keys))):
            keys[key.id] = key
            key_rows += key_content_rows(tenant, key)
        placed = found.place([*rows, *key_rows])
        chain = found.chain([row.position for row in placed if row.position is not None], signer)
        wanted = {*keys, *(entry.key for entry in chain.signed)}
        if wanted - set(keys) <= ({operator_key(signer).id} if signer else set()):
            break
    return PackInput(
        tenant, subject, now_us, placed, list(chain.blocks.values()), sorted(chain.members.items()),
        [*chain.signed, *signed], list(keys.values()), documents,
    )  # fmt: skip


def key_content_rows(tenant: str, key: Key) -> list[SealedRow]:
    """The sealed registration of a key, and its revocation."""
    rows = [SealedRow(KEY_STREAM, key.id, key.content(tenant), None)]
    if key.revoked_us:
        row_id = key.id + REVOKED
        rows.append(SealedRow(KEY_STREAM, row_id, revocation_content(tenant, row_id, key.revoked_us), None))
    return rows


class _Chain:
    def __init__(
        self, blocks: dict[int, Block], members: dict[int, list[tuple[str, str, str]]], signed: list[Signed]
    ) -> None:
        self.blocks = blocks
        self.members = members
        self.signed = signed


class _Collector:
    def __init__(self, uow: UnitOfWork, tenant: str) -> None:
        self._uow = uow
        self._tenant = tenant

    def _select(self, sql: str, items: Sequence[str], column: str) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(items), _CHUNK):
            some = items[start : start + _CHUNK]
            yield from self._uow.fetch(
                sql.replace("{any}", self._uow.any_(column, len(some))), (self._tenant, *some)
            )  # fmt: skip

    # --- records -------------------------------------------------------------------------------------------------

    def event_rows(self, subject: str) -> list[SealedRow]:
        """The events about the subject, and what their operations wrote to the ledger."""
        names = [column.name for column in events.columns if column.name != "hash"]
        found = self._uow.fetch(
            f"SELECT {', '.join(names)} FROM events WHERE tenant = %s AND subject = %s ORDER BY id LIMIT %s",
            (self._tenant, subject, MAX_EVENTS + 1),
        )
        if len(found) > MAX_EVENTS:
            raise TooLarge("signing/pack-too-large", f"There are more than {MAX_EVENTS} events about {subject!r}.")
        rows = [SealedRow(EVENT_STREAM, row[1], json_array(*row), None) for row in found]
        for stem in sorted({_stem(row[1]) for row in found}):
            rows += self._batches(f"bat_{stem}")
            rows += self._definitions(f"encumbrance:enc_{stem}")
        return rows

    def _batches(self, prefix: str) -> Iterator[SealedRow]:
        names = [column.name for column in ledger_batches.columns if column.name != "hash"]
        of_transfer = [column.name for column in ledger_transfers.columns][2:]
        of_transfer.remove("at")
        for header in self._uow.fetch(
            f"SELECT {', '.join(names)} FROM ledger_batches WHERE tenant = %s AND id >= %s AND id < %s ORDER BY id",
            (self._tenant, prefix, prefix + "~"),
        ):
            transfers = self._uow.fetch(
                f"SELECT {', '.join(of_transfer)} FROM ledger_transfers WHERE tenant = %s AND batch = %s "
                "ORDER BY number",
                (self._tenant, header[1]),
            )
            yield SealedRow(BATCH_STREAM, header[1], json_array(*header, transfers), None)

    def _definitions(self, prefix: str) -> Iterator[SealedRow]:
        names = [column.name for column in ledger_definitions.columns if column.name != "hash"]
        for row in self._uow.fetch(
            f"SELECT {', '.join(names)} FROM ledger_definitions WHERE tenant = %s AND id >= %s AND id < %s ORDER BY id",
            (self._tenant, prefix, prefix + "~"),
        ):
            yield SealedRow(DEFINITION_STREAM, row[1], json_array(*row), None)

    def place(self, rows: Sequence[SealedRow]) -> list[SealedRow]:
        """The rows with their sealed positions, in order of these."""
        places: dict[tuple[str, str], int] = {}
        for stream in sorted({row.stream for row in rows}):
            ids = [row.id for row in rows if row.stream == stream]
            sql = f"SELECT row_id, position FROM seals WHERE tenant = %s AND stream = '{stream}' AND {{any}}"
            places.update(((stream, row_id), at) for row_id, at in self._select(sql, ids, "row_id"))
        placed = [SealedRow(row.stream, row.id, row.content, places.get((row.stream, row.id))) for row in rows]
        return sorted(placed, key=lambda row: (row.position is None, row.position or 0, row.id))

    # --- the chain -----------------------------------------------------------------------------------------------

    def chain(self, positions: Iterable[int], signer: SigningKey | None) -> _Chain:
        """Blocks of these positions with all their rows, and headers from each to the next signed heads."""
        chain = _Chain({}, {}, [])
        newest = heads.newest(self._uow, self._tenant)
        if newest is None:
            return chain
        covered: Block | None = None
        for position in sorted(positions):
            if covered is None or position > covered.last:
                covered = self._block_of(position, newest.height)
            chain.blocks[covered.height] = covered
            if covered.height not in chain.members:
                chain.members[covered.height] = self._members(covered)
            if sum(map(len, chain.members.values())) > MAX_ROWS:
                raise TooLarge("signing/pack-too-large", "The proof of these events would be too large.")
        heads_of: dict[tuple[int, str], Signed] = {}
        for height in sorted(chain.members):
            for signed_height, entry in self._heads_after(height, newest, signer):
                heads_of[(signed_height, entry.key)] = entry
                self._headers(chain.blocks, height, signed_height)
        chain.signed = [heads_of[place] for place in sorted(heads_of)]
        return chain

    def _heads_after(
        self, height: int, newest: heads.Head, signer: SigningKey | None
    ) -> Iterator[tuple[int, Signed]]:  # fmt: skip
        operator = "substr(key, 1, 9) = 'operator-'"
        columns = "height, key, payload, signature"
        found = False
        for condition, limit in ((operator, newest.height), (f"NOT {operator}", height + WITNESS_DISTANCE)):
            for at, key, payload, signature in self._uow.fetch(
                f"SELECT {columns} FROM signing_heads WHERE tenant = %s AND height >= %s AND height <= %s "
                f"AND {condition} ORDER BY height, key LIMIT 1",
                (self._tenant, height, limit),
            ):
                found = found or key.startswith("operator-")
                sealed = heads.at(self._uow, self._tenant, at)
                if sealed is not None:
                    yield at, Signed("head", key, payload, signature, sealed.sealed_at_us)
        if not found and signer is not None:
            signature = to_base64url(signer.sign(newest.statement.encode()))
            key_id = operator_key(signer).id
            yield newest.height, Signed("head", key_id, newest.statement, signature, newest.sealed_at_us)

    def _headers(self, blocks: dict[int, Block], first: int, last: int) -> None:
        if len(blocks) + last - first > MAX_BLOCKS:
            raise TooLarge("signing/pack-too-large", "No signed head is near enough to these events.")
        if all(height in blocks for height in range(first, last + 1)):
            return
        for row in self._uow.fetch(
            f"SELECT {_BLOCK} FROM blocks WHERE tenant = %s AND height BETWEEN %s AND %s ORDER BY height",
            (self._tenant, first, last),
        ):
            blocks[row[0]] = _block(row)

    def _block_of(self, position: int, newest: int) -> Block:
        # Heights are the primary key and positions grow with them: halving needs no further index.
        low, high = 1, newest
        while low <= high:
            middle = (low + high) // 2
            rows = self._uow.fetch(
                f"SELECT {_BLOCK} FROM blocks WHERE tenant = %s AND height = %s", (self._tenant, middle)
            )  # fmt: skip
            if not rows:
                break
            block = _block(rows[0])
            if position < block.first:
                high = middle - 1
            elif position > block.last:
                low = middle + 1
            else:
                return block
        raise Conflict("signing/chain-broken", f"The sealed position {position} is in no block: verify the chain.")

    def _members(self, block: Block) -> list[tuple[str, str, str]]:
        rows = self._uow.fetch(
            "SELECT stream, row_id, hash FROM seals WHERE tenant = %s AND position BETWEEN %s AND %s ORDER BY position",
            (self._tenant, block.first, block.last),
        )
        return [(stream, row_id, bytes(row_hash).hex()) for stream, row_id, row_hash in rows]

    # --- keys, documents, seals ----------------------------------------------------------------------------------

    def keys(self, ids: Sequence[str]) -> list[Key]:
        """The registered keys of these ids, in order."""
        sql = f"SELECT {COLUMNS} FROM signing_keys WHERE tenant = %s AND {{any}} ORDER BY id"
        return [from_row(row) for row in self._select(sql, list(ids), "id")]

    def documents(self, rows: Sequence[SealedRow], read_document: ReadDocument) -> list[Document]:
        """The documents that events name, as far as `read_document` gives them. Raises TooLarge."""
        found: dict[str, Document] = {}
        size = 0
        for row in rows:
            for digest in _DIGEST.findall(row.content) if row.stream == EVENT_STREAM else ():
                read = None if digest in found else read_document(digest)
                if read is not None:
                    found[digest] = Document(digest, *read)
                    size += len(read[2])
                    if size > MAX_DOCUMENT_BYTES:
                        raise TooLarge("signing/pack-too-large", "The documents are too large: ask without them.")
        return [found[digest] for digest in sorted(found)]

    def seals(self, digests: Sequence[str]) -> list[Signed]:
        """The parties' seals on these documents, each followed by its time stamp."""
        sql = (
            "SELECT key, payload, signature, at, stamp_key, stamp_payload, stamp_signature, stamped_at "
            "FROM signing_seals WHERE tenant = %s AND {any} ORDER BY document, key"
        )
        signed = []
        for row in self._select(sql, list(digests), "document"):
            key, payload, signature, at, stamp_key, stamp_payload, stamp_signature, stamped_at = row
            signed.append(Signed("seal", key, payload, signature, at))
            signed.append(
                Signed("stamp", stamp_key, stamp_payload, stamp_signature, stamped_at)
            )  # fmt: skip
        return signed


def _stem(identifier: str) -> str:
    return identifier.partition("_")[2][:18]


def _block(row: Sequence[Any]) -> Block:
    height, first, last, previous, root, digest, sealed_at = row
    return Block(
        height, first, last, bytes(previous).hex(), bytes(root).hex(), bytes(digest).hex(), sealed_at,
    )  # fmt: skip
