"""Real receivers on the loopback interface: an SMTP server and an HTTP server that keep what they were given."""

import base64
import datetime as dt
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Certificate:
    """A certificate for loopback and hooks.example.org, with the contexts of a server and a client that trusts it."""

    def __init__(self, folder: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hooks.example.org")])
        now = dt.datetime.now(dt.UTC)
        names = [x509.DNSName("hooks.example.org"), x509.IPAddress(ip_address("127.0.0.1"))]
        signed = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName(names), False)
            .add_extension(x509.BasicConstraints(True, None), True)
            .sign(key, hashes.SHA256())
        )
        pem = folder / "certificate.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.server.load_cert_chain(pem)
        self.trusting = ssl.create_default_context(cafile=pem)


# --- mail -------------------------------------------------------------------------------------------------------------


@dataclass
class MailServer:
    """An SMTP server (RFC 5321): `answers` replaces the answer to a verb, once for each entry of its list."""

    port: int = 0
    certificate: Certificate | None = None
    from_start: bool = False
    user: str = ""
    password: str = ""
    answers: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    envelopes: list[tuple[str, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    @property
    def messages(self) -> list[EmailMessage]:
        """What was taken, parsed as a mail program would."""
        return [message_from_bytes(each, policy=policy.default) for each in self.raw]

    @contextmanager
    def running(self) -> Iterator["MailServer"]:
        """Listening on a free port."""
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            timeout = 10

            def handle(self) -> None:
                conversation = _Conversation(outer, self.request)
                try:
                    conversation.run()
                finally:
                    conversation.close()

        with _threading(socketserver.ThreadingTCPServer, Handler) as server:
            self.port = server.server_address[1]
            yield self


class _Conversation:
    def __init__(self, server: MailServer, connection: Any) -> None:
        self.server = server
        self.connection = connection
        self.secure = False
        self.sender = ""
        self.recipients: list[str] = []
        self.lines: Any = connection.makefile("rb")

    def run(self) -> None:
        if self.server.from_start:
            self._secure()
        self._say("220 mail.example.org")
        while line := self.lines.readline():
            text = line.decode("ascii").rstrip("\r\n")
            verb = text.split(" ")[0].upper()
            self.server.said.append(text)
            scripted = self.server.answers.get(verb)
            if scripted:
                self._say(scripted.pop(0))
            elif not self._answer(verb, text):
                return

    def close(self) -> None:
        """Hang up: TLS has taken the socket over from the server that would close it."""
        self.lines.close()
        self.connection.close()

    def _answer(self, verb: str, text: str) -> bool:
        server = self.server
        if verb == "EHLO":
            offers = ["STARTTLS"] if server.certificate and not self.secure else []
            offers += ["AUTH PLAIN"] if server.user and self.secure else []
            self._say("\r\n".join(["250-mail.example.org", *(f"250-{each}" for each in offers), "250 8BITMIME"]))
        elif verb == "STARTTLS":
            self._say("220 go ahead")
            self._secure()
        elif verb == "AUTH":
            given = base64.b64decode(text.split(" ")[2]).decode().split("\0")[1:]
            self._say("235 welcome" if given == [server.user, server.password] else "535 no")
        elif verb == "MAIL":
            self.sender, self.recipients = text[text.index("<") + 1 : text.index(">")], []
            self._say("250 ok")
        elif verb == "RCPT":
            self.recipients.append(text[text.index("<") + 1 : text.index(">")])
            self._say("250 ok")
        elif verb == "DATA":
            self._say("354 go on")
            self._take()
        elif verb == "QUIT":
            self._say("221 bye")
            return False
        else:
            self._say("250 ok")
        return True

    def _take(self) -> None:
        content = b""
        while (line := self.lines.readline()) not in (b".\r\n", b""):
            content += line[1:] if line.startswith(b".") else line
        scripted = self.server.answers.get("taken")
        if scripted:
            self._say(scripted.pop(0))
            return
        self.server.raw.append(content)
        self.server.envelopes += [(self.sender, each) for each in self.recipients]
        self._say("250 taken")

    def _secure(self) -> None:
        assert self.server.certificate is not None
        self.lines.close()
        self.connection = self.server.certificate.server.wrap_socket(self.connection, server_side=True)
        self.lines = self.connection.makefile("rb")
        self.secure = True

    def _say(self, text: str) -> None:
        self.connection.sendall(text.encode() + b"\r\n")


# --- webhooks ---------------------------------------------------------------------------------------------------------


@dataclass
class Hook:
    """A request that was received; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class HookServer:
    """An HTTP server: `statuses` are the next answers, 204 afterwards; a path in `slow` waits that many seconds."""

    certificate: Certificate | None = None
    port: int = 0
    statuses: list[int] = field(default_factory=list)
    slow: dict[str, float] = field(default_factory=dict)
    answer: bytes = b""
    location: str = ""
    received: list[Hook] = field(default_factory=list)

    def ids(self, path: str = "") -> list[str]:
        """The ids of what was received, at a path."""
        return [hook.headers["webhook-id"] for hook in self.received if hook.path == path or not path]

    @contextmanager
    def running(self) -> Iterator["HookServer"]:
        """Listening on a free port."""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            timeout = 10

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                time.sleep(outer.slow.get(self.path, 0))
                outer.received.append(Hook(self.path, headers, body))
                self.send_response(outer.statuses.pop(0) if outer.statuses else 204)
                if outer.location:
                    self.send_header("location", outer.location)
                if outer.answer:
                    self.send_header("content-length", str(len(outer.answer)))
                self.end_headers()
                self.wfile.write(outer.answer)

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test's output clean."""

        with _threading(ThreadingHTTPServer, Handler) as server:
            if self.certificate is not None:
                server.socket = self.certificate.server.wrap_socket(server.socket, server_side=True)
            self.port = server.server_address[1]
            yield self


class _Quiet:
    """A client that hangs up, or does not trust the certificate, is part of the test."""

    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


@contextmanager
def _threading(kind: Any, handler: Any) -> Iterator[Any]:
    server = type("Server", (_Quiet, kind), {})(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    try:
        thread.start()
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
