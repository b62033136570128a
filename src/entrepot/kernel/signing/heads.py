"""Heads of the sealed chain, and the keeper who signs them outside of the database.

A head is the newest block's header: its hash covers everything sealed before. The keeper signs heads with the
operator's key and appends them to a file of its own. It signs only what continues the last head in that file, block by
block. So a chain that a database administrator rewrote, with every hash computed anew, gets no signature any more, and
`verify` names the first head that no longer fits. Witnesses do the same from outside, see `Signing.witness_head`.
"""

import logging
import os
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from entrepot.kernel.database import Database, UnitOfWork
from entrepot.kernel.events.chain import Break, block_hash
from entrepot.kernel.signing import keys, statements
from entrepot.kernel.signing.suites import SigningKey, from_base64url, to_base64url, verify
from entrepot.kernel.signing.tables import signing_heads

log = logging.getLogger(__name__)
PAGE = 2_000
_HEADER = "height, first, last, previous, root, hash, sealed_at"


@dataclass(frozen=True, slots=True)
class Head:
    """A sealed block as head of the chain; `statement` is the text to sign."""

    tenant: str
    height: int
    last: int
    hash: str
    sealed_at_us: int

    @property
    def statement(self) -> str:
        """What the operator and witnesses sign."""
        return statements.head(self.tenant, self.height, self.last, self.hash, self.sealed_at_us)


def newest(uow: UnitOfWork, tenant: str) -> Head | None:
    """The newest block, None on an empty chain."""
    return _head(uow, tenant, "1 = 1 ORDER BY height DESC LIMIT 1")


def at(uow: UnitOfWork, tenant: str, height: int) -> Head | None:
    """The block of a height."""
    return _head(uow, tenant, "height = %s", height)


def _head(uow: UnitOfWork, tenant: str, condition: str, *parameters: int) -> Head | None:
    sql = f"SELECT height, last, hash, sealed_at FROM blocks WHERE tenant = %s AND {condition}"
    rows = uow.read(sql, (tenant, *parameters))
    return Head(tenant, rows[0][0], rows[0][1], bytes(rows[0][2]).hex(), rows[0][3]) if rows else None


class HeadKeeper:
    """Signs heads every `pause_s` seconds while blocks come, and on `stop`. One keeper for a file.

    `sealed` is a listener of the sealer. `breaks` holds, per tenant, why its chain is no longer signed.
    """

    def __init__(
        self, database: Database, signer: SigningKey, file: Path, now_us: Callable[[], int], pause_s: float = 10.0
    ) -> None:
        self._database = database
        self._signer = signer
        self._file = file
        self._now_us = now_us
        self._pause_s = pause_s
        self._guard = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="head-keeper", daemon=True)
        self.breaks: dict[str, Break] = {}
        self._kept: dict[str, dict[str, Any]] = {entry["tenant"]: entry for entry in _read(file)}

    def start(self) -> None:
        """Begin, with the heads that came while nobody signed."""
        self._wake.set()
        self._thread.start()

    def stop(self) -> None:
        """Sign the last heads, then end."""
        self._stop.set()
        self._wake.set()
        self._thread.join(timeout=30)

    def sealed(self, ends: dict[str, int]) -> None:
        """Listener of the sealer."""
        self._wake.set()

    def _work(self) -> None:
        while not self._stop.is_set():
            self._wake.wait()
            self._wake.clear()
            self._keep_quietly()
            self._stop.wait(self._pause_s)
        self._keep_quietly()

    def _keep_quietly(self) -> None:
        try:
            self.keep()
        except Exception:
            log.exception("heads were not signed; it is tried again")
            self._wake.set()

    def keep(self) -> list[Head]:
        """Sign the newest head of every tenant whose chain continues the last one kept."""
        signed = []
        with self._guard:
            with self._database.reader() as uow:
                tenants = uow.read("SELECT tenant, MAX(height) FROM blocks GROUP BY tenant")
                for tenant, height in tenants:
                    kept = self._kept.get(tenant)
                    if kept is not None and height <= kept["height"] and _fits(uow, kept):
                        continue
                    broken = next(_breaks(uow, tenant, kept), None)
                    if broken is not None:
                        if tenant not in self.breaks:
                            log.critical("%s: %s %s; its heads are no longer signed", tenant, broken.where, broken.what)
                        self.breaks[tenant] = broken
                        continue
                    head = newest(uow, tenant)
                    assert head is not None, "a tenant with blocks has a newest one"
                    signed.append(head)
            for head in signed:
                self._sign(head)
        return signed

    def _sign(self, head: Head) -> None:
        signature = to_base64url(self._signer.sign(head.statement.encode()))
        key = keys.operator_key(self._signer)
        entry = {
            "tenant": head.tenant, "height": head.height, "hash": head.hash, "key": key.id, "suite": key.suite,
            "public": to_base64url(key.public), "payload": head.statement, "signature": signature,
        }  # fmt: skip
        _append(self._file, entry)
        self._kept[head.tenant] = entry
        with self._database.unit() as uow:
            keys.ensure_operator(uow, head.tenant, self._signer)
            row = (head.tenant, head.height, key.id, head.statement, signature, self._now_us())
            uow.upsert(signing_heads, row)

    def verify(self) -> list[Break]:
        """Every kept head that the database no longer fits, and every head row that was changed."""
        return verify_heads(self._database, self._file, (self._signer.public,))


def verify_heads(database: Database, file: Path, operator_publics: Collection[bytes]) -> list[Break]:
    """Compare the keeper's file with the chain, and the chain with the head rows.

    A line that none of the operator's public keys (of now and of before a rotation) signed is reported too.
    """
    found: list[Break] = []
    with database.reader() as uow:
        for number, entry in enumerate(_read(file), 1):
            where = f"{file.name} line {number}"
            try:
                public, signature = from_base64url(entry["public"]), from_base64url(entry["signature"])
                payload = entry["payload"].encode()
                true = public in operator_publics and verify(entry["suite"], public, payload, signature)
            except (KeyError, ValueError, AttributeError, TypeError):
                true = False
            if not true:
                found.append(Break(str(entry.get("tenant")), where, "is not signed by the operator's key"))
            elif not _fits(uow, entry):
                found.append(
                    Break(entry["tenant"], f"blocks {entry['height']}", "is not the block that was signed: the chain "
                          "was rewritten")
                )  # fmt: skip
        rows = uow.read("SELECT tenant, height, key, payload FROM signing_heads ORDER BY tenant, height, key")
        for tenant, height, key_id, payload in rows:
            head = at(uow, tenant, height)
            if head is None or head.statement != payload:
                found.append(Break(tenant, f"blocks {height}", f"is not the block that {key_id} signed"))
    return found


def _fits(uow: UnitOfWork, entry: dict[str, Any]) -> bool:
    head = at(uow, entry["tenant"], entry["height"])
    return head is not None and head.statement == entry["payload"]


def _breaks(uow: UnitOfWork, tenant: str, kept: dict[str, Any] | None) -> Iterator[Break]:
    """Where the headers after the kept head do not chain."""
    height, previous = (kept["height"], bytes.fromhex(kept["hash"])) if kept else (0, bytes(32))
    if kept is not None and not _fits(uow, kept):
        yield Break(tenant, f"blocks {height}", "is not the block that was signed: the chain was rewritten")
        return
    while rows := uow.read(
        f"SELECT {_HEADER} FROM blocks WHERE tenant = %s AND height > %s ORDER BY height LIMIT {PAGE}",
        (tenant, height),
    ):
        for found, first, last, before, root, digest, sealed_at in rows:
            expected = block_hash(tenant, found, first, last, previous, bytes(root), sealed_at)
            if found != height + 1 or bytes(before) != previous or bytes(digest) != expected:
                yield Break(tenant, f"blocks {found}", "does not continue the chain")
                return
            height, previous = found, bytes(digest)


def _read(file: Path) -> list[dict[str, Any]]:
    """The kept heads; a last line that a crash cut off is dropped. Raises ValueError for any other damage."""
    if not file.exists():
        return []
    raw = file.read_bytes()
    whole = raw[: raw.rfind(b"\n") + 1]
    if len(whole) < len(raw):
        with file.open("r+b") as out:
            out.truncate(len(whole))
    return [orjson.loads(line) for line in whole.splitlines()]


def _append(file: Path, entry: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as out:
        out.write(orjson.dumps(entry) + b"\n")
        out.flush()
        os.fsync(out.fileno())
