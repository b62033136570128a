"""The channel to a bank believes only a clear answer."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from entrepot.kernel.banking import BankRefused, BankUnreachable, HttpBank

PAYMENT = {"amount_minor": 12_345, "currency": "CNY", "debtor": "org_trader", "creditor": "org_yard"}


def test_an_odd_answer_is_no_answer():
    answers = [
        (500, b"{}"), (503, b""), (429, b"{}"), (401, b"{}"), (200, b"<html>"), (200, b"[]"), (200, b"7"),
        (200, b'{"state": "perhaps"}'), (200, b'{"state": []}'), (200, b"\xff"), (409, b"{}"),
        (200, b'{"state": "confirmed", "reference": 5}'),
    ]  # fmt: skip
    left = iter(answers)

    class Odd(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status, content = next(left)
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Odd)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    channel = HttpBank(f"http://127.0.0.1:{server.server_address[1]}")
    try:
        for _ in answers[:-2]:
            with pytest.raises(BankUnreachable):
                channel.instruct("i1", PAYMENT)
        with pytest.raises(BankRefused):
            channel.instruct("i1", PAYMENT)
        assert channel.instruct("i1", PAYMENT) == {"state": "confirmed", "reference": "5"}
    finally:
        channel.close()
        server.shutdown()
        thread.join()
        server.server_close()
