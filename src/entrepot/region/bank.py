"""A simulated bank, as a process of its own: `python -m entrepot.region.bank --port 8090 --store bank.sqlite`.

It takes payments idempotently by instruction id and decides them a moment later. A payment to the creditor `reject`
fails, one to `return` comes back. `--notify URL` has it report each decision there as well, until it is received.
With `--flaky SEED` it takes a payment and gives no answer, breaks off before it takes one, reports twice and decides
late, by the seed and the instruction. It keeps its books in its own file, so that killing it loses nothing.
"""

import argparse
import contextlib
import hashlib
import json
import random
import sqlite3
import threading
import time
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

MAX_BODY = 65_536
MAX_AMOUNT = 2**63 - 1
FIELDS = {"instruction_id": str, "amount_minor": int, "currency": str, "debtor": str, "creditor": str}
OUTCOMES = {"reject": "failed", "return": "returned"}
LATE, SLOW = 8, 20  # times the usual delay
STALL_S = 6.0  # the caller has given up by then


class Bank:
    """Payments in SQLite. `delay_s` passes until one is decided, `stall_s` before an answer that comes too late."""

    def __init__(
        self, store: Path, *, delay_s: float = 0.3, flaky: int | None = None, stall_s: float = STALL_S, notify: str = ""
    ) -> None:
        self._lock = threading.Lock()
        self._delay_s = delay_s
        self._flaky = flaky
        self._stall_s = stall_s
        self._notify = notify
        self._asked: dict[str, int] = {}
        self._db = sqlite3.connect(store, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS payments (id TEXT PRIMARY KEY, body TEXT NOT NULL, outcome TEXT NOT NULL, "
            "decided_at REAL NOT NULL, reference TEXT NOT NULL, reported INTEGER NOT NULL DEFAULT 0)"
        )

    def instruct(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Take a payment once; another payment under a known id is refused."""
        for name, kind in FIELDS.items():
            if type(body.get(name)) is not kind:
                return 422, {"error": f"{name} must be {kind.__name__}"}
        if not 0 < body["amount_minor"] <= MAX_AMOUNT:
            return 422, {"error": "amount_minor must be above zero and fit 64 bits"}
        identifier = body["instruction_id"]
        text = json.dumps({name: body[name] for name in FIELDS}, sort_keys=True)
        if self._happens("break off", identifier, 0.15):
            return 503, {"error": "try again"}
        with self._lock:
            known = self._db.execute("SELECT body FROM payments WHERE id = ?", (identifier,)).fetchone()
            if known is None:
                late = self._delay_s * (LATE if self._happens("late", identifier, 0.15) else 1)
                outcome = OUTCOMES.get(body["creditor"], "confirmed")
                reference = f"BK{hashlib.sha256(text.encode()).hexdigest()[:12].upper()}"
                self._db.execute(
                    "INSERT INTO payments (id, body, outcome, decided_at, reference) VALUES (?, ?, ?, ?, ?)",
                    (identifier, text, outcome, _now() + late, reference),
                )
            elif known[0] != text:
                return 409, {"error": "this instruction_id stands for another payment"}
        if self._happens("stall", identifier, 0.2):
            time.sleep(self._stall_s)
        return 202, self.status(identifier)[1]

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

    def statement(self, day: str = "") -> tuple[int, dict[str, Any]]:
        """The payments decided on a day (ISO, UTC), or all: what a reconciliation compares with."""
        since, until = 0.0, _now()
        if day:
            try:
                since = datetime.fromisoformat(day).replace(hour=0, tzinfo=UTC).timestamp()
            except ValueError:
                return 422, {"error": "day must be an ISO date"}
            until = min(until, since + 86_400)
        with self._lock:
            rows = self._db.execute(
                "SELECT body, outcome, reference FROM payments WHERE decided_at >= ? AND decided_at <= ? "
                "ORDER BY decided_at, id",
                (since, until),
            ).fetchall()
        return 200, {
            "payments": [
                {**json.loads(body), "state": state, "reference": reference} for body, state, reference in rows
            ]
        }

    def report(self) -> None:
        """Report what was decided and not yet received; by the seed, twice."""
        if not self._notify:
            return
        with self._lock:
            rows = self._db.execute(
                "SELECT id, outcome, reference FROM payments WHERE reported = 0 AND decided_at <= ?", (_now(),)
            ).fetchall()
        for identifier, state, reference in rows:
            payload = json.dumps({"instruction_id": identifier, "state": state, "reference": reference}).encode()
            for _ in range(2 if self._happens("twice", identifier, 0.5) else 1):
                try:
                    request = urllib.request.Request(  # noqa: S310 - the address is the operator's own setting
                        self._notify, payload, {"content-type": "application/json"}
                    )
                    urllib.request.urlopen(request, timeout=5).close()  # noqa: S310
                except OSError:
                    return  # the whole report is made again
            with self._lock:
                self._db.execute("UPDATE payments SET reported = 1 WHERE id = ?", (identifier,))

    def close(self) -> None:
        """Close the books."""
        self._db.close()

    def _happens(self, what: str, identifier: str, share: float) -> bool:
        # By seed, instruction and attempt: the order in which threads come does not matter.
        if self._flaky is None:
            return False
        key = f"{self._flaky}:{what}:{identifier}"
        turn = self._asked[key] = self._asked.get(key, 0) + 1
        return random.Random(f"{key}:{turn}").random() < share


def _now() -> float:
    return time.time()  # noqa: TID251 - the bank is another firm with its own clock


class _Handler(BaseHTTPRequestHandler):
    bank: Bank
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Status of a payment, or the statement."""
        url = urlsplit(self.path)
        if url.path.startswith("/payments/"):
            self._answer(*self.bank.status(url.path.removeprefix("/payments/")))
        elif url.path == "/statement":
            self._answer(*self.bank.statement(parse_qs(url.query).get("day", [""])[0]))
        else:
            self._answer(404, {"error": "unknown path"})

    def do_POST(self) -> None:
        """A payment."""
        length = self.headers.get("content-length") or "0"
        if self.path != "/payments" or not length.isdecimal() or not 0 < int(length) <= MAX_BODY:
            self.close_connection = True  # the body stays unread
            self._answer(404 if self.path != "/payments" else 413, {"error": "POST /payments with a JSON body"})
            return
        try:
            body = json.loads(self.rfile.read(int(length)))
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


def _report_for_ever(bank: Bank) -> None:
    while True:
        bank.report()
        time.sleep(0.1)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="A simulated bank for demos and tests.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--delay", type=float, default=0.3, help="seconds until a payment is decided")
    parser.add_argument("--slow", action="store_true", help=f"take {SLOW} times as long")
    parser.add_argument("--flaky", type=int, help="seed of time-outs, broken-off, doubled and late answers")
    parser.add_argument("--stall", type=float, default=STALL_S, help="seconds that a flaky answer is held back")
    parser.add_argument("--notify", default="", help="http address to report decisions to")
    options = parser.parse_args()
    if options.notify and not options.notify.startswith(("http://", "https://")):
        parser.error("--notify takes an http address")
    delay_s = options.delay * (SLOW if options.slow else 1)
    bank = Bank(options.store, delay_s=delay_s, flaky=options.flaky, stall_s=options.stall, notify=options.notify)
    if options.notify:
        threading.Thread(target=_report_for_ever, args=(bank,), daemon=True).start()
    server = serve(bank, options.port)
    print(f"bank ready on {server.server_address[1]}", flush=True)  # noqa: T201 - who starts it reads the port here
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()


if __name__ == "__main__":
    main()
