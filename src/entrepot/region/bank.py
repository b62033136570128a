"""A simulated bank, as a process of its own: `python -m entrepot.region.bank --port 8090 --store bank.sqlite`.

It takes payments idempotently by instruction id and decides them a moment later. With `--flaky SEED` it lets callers
time out after it took the payment, so that they send it twice, and decides late, by the seed; a payment whose creditor
is `reject` fails. It keeps its books in its own file, so that killing it loses nothing.
"""

import argparse
import contextlib
import hashlib
import json
import random
import sqlite3
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MAX_BODY = 65_536
FIELDS = {"instruction_id": str, "amount_minor": int, "currency": str, "debtor": str, "creditor": str}


class Bank:
    """Payments in SQLite. `delay_s` passes until a payment is decided."""

    def __init__(self, store: Path, *, delay_s: float = 0.3, flaky: int | None = None) -> None:
        self._lock = threading.Lock()
        self._delay_s = delay_s
        self._chance = None if flaky is None else random.Random(flaky)
        self._db = sqlite3.connect(store, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS payments (id TEXT PRIMARY KEY, body TEXT NOT NULL, outcome TEXT NOT NULL, "
            "decided_at REAL NOT NULL, reference TEXT NOT NULL)"
        )

    def instruct(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Take a payment once; another payment under a known id is refused."""
        for name, kind in FIELDS.items():
            if type(body.get(name)) is not kind:
                return 422, {"error": f"{name} must be {kind.__name__}"}
        if body["amount_minor"] <= 0:
            return 422, {"error": "amount_minor must be above zero"}
        text = json.dumps({name: body[name] for name in FIELDS}, sort_keys=True)
        with self._lock:
            known = self._db.execute("SELECT body FROM payments WHERE id = ?", (body["instruction_id"],)).fetchone()
            if known is None:
                late = self._delay_s * (8 if self._happens(0.15) else 1)
                outcome = "failed" if body["creditor"] == "reject" else "confirmed"
                self._db.execute(
                    "INSERT INTO payments VALUES (?, ?, ?, ?, ?)",
                    (body["instruction_id"], text, outcome, _now() + late, _reference(text)),
                )
            elif known[0] != text:
                return 409, {"error": "this instruction_id stands for another payment"}
        if self._happens(0.2):
            time.sleep(6)  # the caller has given up by then, but the payment was taken
        return 202, self.status(body["instruction_id"])[1]

    def status(self, instruction_id: str) -> tuple[int, dict[str, Any]]:
        """How a payment stands."""
        with self._lock:
            row = self._db.execute(
                "SELECT outcome, decided_at, reference FROM payments WHERE id = ?", (instruction_id,)
            ).fetchone()
        if row is None:
            return 404, {"error": "unknown instruction"}
        state = row[0] if _now() >= row[1] else "pending"
        return 200, {"instruction_id": instruction_id, "state": state, "reference": row[2]}

    def statement(self) -> tuple[int, dict[str, Any]]:
        """Every decided payment: what a reconciliation compares with."""
        with self._lock:
            rows = self._db.execute("SELECT body, outcome, reference FROM payments WHERE decided_at <= ?", (_now(),))
            entries = [{**json.loads(body), "state": state, "reference": ref} for body, state, ref in rows]
        return 200, {"payments": entries}

    def _happens(self, share: float) -> bool:
        return self._chance is not None and self._chance.random() < share


def _reference(text: str) -> str:
    return f"BK{int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) % 10**12:012d}"


def _now() -> float:
    return time.time()  # noqa: TID251 - the bank is another firm with its own clock


class _Handler(BaseHTTPRequestHandler):
    bank: Bank
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Status of a payment, or the statement."""
        if self.path.startswith("/payments/"):
            self._answer(*self.bank.status(self.path.removeprefix("/payments/")))
        elif self.path == "/statement":
            self._answer(*self.bank.statement())
        else:
            self._answer(404, {"error": "unknown path"})

    def do_POST(self) -> None:
        """A payment."""
        given = self.headers.get("content-length") or ""
        length = int(given) if given.isascii() and given.isdigit() else 0
        if self.path != "/payments" or not 0 < length <= MAX_BODY:
            self._answer(404 if self.path != "/payments" else 413, {"error": "POST /payments with a JSON body"})
            return
        try:
            body = json.loads(self.rfile.read(length))
        except ValueError:
            self._answer(400, {"error": "not JSON"})
            return
        self._answer(*(self.bank.instruct(body) if isinstance(body, dict) else (422, {"error": "not an object"})))

    def _answer(self, status: int, content: dict[str, Any]) -> None:
        payload = json.dumps(content).encode()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the caller may have given up
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def serve(bank: Bank, port: int, host: str = "127.0.0.1") -> ThreadingHTTPServer:
    """A server for a bank, not yet running; port 0 takes a free one."""
    handler = type("Handler", (_Handler,), {"bank": bank})
    server = ThreadingHTTPServer((host, port), handler)
    server.daemon_threads = True
    return server


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A simulated bank for demos and tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--delay", type=float, default=0.3, help="seconds until a payment is decided")
    parser.add_argument("--flaky", type=int, help="seed of time-outs and late answers")
    options = parser.parse_args()
    server = serve(Bank(options.store, delay_s=options.delay, flaky=options.flaky), options.port)
    print(f"bank ready on {server.server_address[1]}", flush=True)  # noqa: T201 - who starts it reads the port here
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
