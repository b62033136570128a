"""An OpenID Connect issuer on the loopback interface: discovery, authorisation, tokens, keys; it signs for real.

It holds its client to the protocol (RFC 6749, RFC 7636, OpenID Connect Core 1.0) and can be told to misbehave.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

CLIENT = "entrepot-console"
SUBJECT = "248289"
Fields = dict[str, str]


@dataclass
class Habits:
    """How the issuer behaves; by default as it should."""

    subject: str = SUBJECT
    claims: dict[str, Any] = field(default_factory=dict)  # put over the ID token's; None takes one out
    answer: dict[str, str | None] = field(default_factory=dict)  # put over the parameters of the redirect
    document: dict[str, Any] = field(default_factory=dict)  # put over the discovery document
    token_status: int = 200
    token_body: bytes | None = None
    codes_again: bool = False
    signing: RSAKey | ECKey | None = None


class Issuer:
    """A running issuer with one client; `redirect_uri` is set once the client's address is known."""

    def __init__(self, now_s: Callable[[], int] = lambda: int(time.time()), secret: str = "") -> None:
        self.key: RSAKey | ECKey = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"})
        self.now_s = now_s
        self.secret = secret
        self.redirect_uri = ""
        self.habits = Habits()
        self.codes: dict[str, Fields] = {}
        self.spent: set[str] = set()
        self.secrets_seen: list[str] = []  # codes and tokens: what no log may show
        self.refusals: list[str] = []
        self.asked: list[Fields] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End."""
        self.server.shutdown()
        self.server.server_close()

    def token(self, key: RSAKey | ECKey | None = None, algorithm: str = "", **changes: Any) -> str:
        """A signed token, good unless the changes make it otherwise."""
        now = self.now_s()
        claims = {"iss": self.url, "aud": CLIENT, "sub": SUBJECT, "exp": now + 600, "iat": now, **changes}
        kept = {name: value for name, value in claims.items() if value is not None}
        key = key or self.key
        algorithm = algorithm or ("ES256" if isinstance(key, ECKey) else "RS256")
        return jwt.encode({"alg": algorithm, "kid": key.kid or "one"}, kept, key, algorithms=[algorithm])

    # --- the endpoints -------------------------------------------------------------------------------------------

    def document(self) -> dict[str, Any]:
        """What discovery answers."""
        found = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "authorization_response_iss_parameter_supported": True,
            **self.habits.document,
        }
        return {name: value for name, value in found.items() if value is not None}

    def authorize(self, asked: Fields) -> str:
        """Where the browser is sent back to. Raises ValueError for what the browser must not be sent on with."""
        self.asked.append(asked)
        if (asked.get("client_id"), asked.get("redirect_uri")) != (CLIENT, self.redirect_uri):
            raise ValueError("unknown client or redirect URI")
        wrong = [name for name in ("state", "nonce", "code_challenge") if len(asked.get(name, "")) < 32]
        right = (asked.get("response_type"), asked.get("code_challenge_method")) == ("code", "S256")
        if wrong or not right or "openid" not in asked.get("scope", "").split():
            raise ValueError(f"invalid request {wrong}")
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        self.secrets_seen.append(code)
        answer = {"code": code, "state": asked["state"], "iss": self.url, **self.habits.answer}
        return self.redirect_uri + "?" + urlencode({k: v for k, v in answer.items() if v is not None})

    def exchange(self, form: Fields, authorization: str) -> tuple[int, dict[str, Any]]:
        """Status and JSON of the token endpoint."""
        problem = self._unauthenticated(form, authorization)
        asked = self.codes.get(form.get("code", ""), {})
        if problem:
            error = "invalid_client"
        elif form.get("grant_type") != "authorization_code" or not asked:
            error, problem = "invalid_grant", "no such code"
        elif form["code"] in self.spent and not self.habits.codes_again:
            error, problem = "invalid_grant", "the code was used"
        elif form.get("redirect_uri") != asked["redirect_uri"]:
            error, problem = "invalid_grant", "another redirect URI"
        elif _s256(form.get("code_verifier", "")) != asked["code_challenge"]:
            error, problem = "invalid_grant", "the verifier does not fit the challenge"
        else:
            self.spent.add(form["code"])
            claims = {"sub": self.habits.subject, "nonce": asked["nonce"], "preferred_username": "chen@issuer"}
            token = self.token(self.habits.signing, **{**claims, **self.habits.claims})
            self.secrets_seen += [token, form["code_verifier"]]
            return 200, {"access_token": secrets.token_urlsafe(8), "token_type": "Bearer", "id_token": token}
        self.refusals.append(problem)
        return 401 if error == "invalid_client" else 400, {"error": error}

    def _unauthenticated(self, form: Fields, authorization: str) -> str:
        if not self.secret:
            return "" if form.get("client_id") == CLIENT and not authorization else "not this public client"
        if authorization:
            pair = base64.b64decode(authorization.removeprefix("Basic ")).decode().split(":")
            given = tuple(unquote(part) for part in pair)
        else:
            given = (form.get("client_id", ""), form.get("client_secret", ""))
        return "" if given == (CLIENT, self.secret) else "wrong client secret"


def _handler(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            if url.path == "/authorize":
                try:
                    where = issuer.authorize(_fields(url.query))
                except ValueError as error:
                    issuer.refusals.append(str(error))
                    self.reply(400, str(error).encode())
                else:
                    self.reply(302, b"", location=where)
            elif url.path == "/.well-known/openid-configuration":
                self.reply(200, json.dumps(issuer.document()).encode())
            elif url.path == "/keys":
                self.reply(200, json.dumps(KeySet([issuer.key]).as_dict(private=False)).encode())
            else:
                self.reply(404, b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
            status, content = issuer.exchange(_fields(body), self.headers.get("authorization", ""))
            if issuer.habits.token_status != 200 or issuer.habits.token_body is not None:
                self.reply(issuer.habits.token_status, issuer.habits.token_body or b"")
            else:
                self.reply(status, json.dumps(content).encode())

        def reply(self, status: int, body: bytes, location: str = "") -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            if location:
                self.send_header("location", location)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


@contextlib.contextmanager
def running(now_s: Callable[[], int] = lambda: int(time.time()), secret: str = "") -> Iterator[Issuer]:
    """An issuer for the length of a with statement."""
    issuer = Issuer(now_s, secret)
    try:
        yield issuer
    finally:
        issuer.close()


def _fields(query: str) -> Fields:
    return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}


def _s256(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
