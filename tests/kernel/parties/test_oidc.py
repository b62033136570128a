"""OpenID Connect against a small issuer on the loopback that speaks discovery and signs for real."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from entrepot.kernel.database import Database, Scope
from entrepot.kernel.operations import ManualClock, Unauthorised
from entrepot.kernel.parties import Parties
from entrepot.kernel.parties.checks import credit_check
from entrepot.kernel.parties.oidc import OpenIdConnect
from entrepot.kernel.parties.resolve import Resolver
from entrepot.systems import build_registry

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())
CLIENT = "entrepot-console"


class Issuer:
    """Discovery document, key set, tokens."""

    def __init__(self) -> None:
        self.key = RSAKey.generate_key(2048, parameters={"kid": "one", "use": "sig"})
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                found = {
                    "/.well-known/openid-configuration": {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"},
                    "/keys": KeySet([issuer.key]).as_dict(private=False),
                }.get(self.path)
                body = json.dumps(found or {}).encode()
                self.send_response(200 if found else 404)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, key: RSAKey | ECKey | None = None, algorithm: str = "RS256", **changes: Any) -> str:
        """A signed token, good unless the changes make it otherwise."""
        claims = {"iss": self.url, "aud": CLIENT, "sub": "248289", "exp": NOW_S + 600, "iat": NOW_S, **changes}
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": algorithm, "kid": "one"}, kept, key or self.key, algorithms=[algorithm])


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    running = Issuer()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def resolver(database: Database, issuer: Issuer) -> Resolver:
    """A resolver for whom subject 248289 is a person."""
    clock = ManualClock(NOW)
    registry = build_registry([])
    body = "91620100MA72BK001"
    with database.unit() as uow:
        scope = Scope(uow, "test", clock.now_us(), Random(1), lambda prefix: f"{prefix}_1", "sec", lambda *_: None)
        parties = Parties(scope)
        organisation = parties.register_organisation(body + credit_check(body), "Bank", "银行", "bank")
        parties.decide_organisation(organisation, "verified", "seen")
        parties.register_person("c", "", person_id="per_1")
        parties.grant("per_1", organisation, "audit_admin", 0, 1 << 61)
        parties.link_subject(issuer.url, "248289", "per_1", organisation)
    openid = OpenIdConnect(database, clock, "test", issuer.url, CLIENT)
    openid.refresh()
    return Resolver(database, registry, clock, (openid.resolver_hook,))


def test_a_good_token_is_the_person_with_the_roles_held_here(resolver: Resolver, issuer: Issuer):
    actor = resolver.actor(issuer.token())
    assert (actor.id, actor.party, "events:read" in actor.scopes) == ("per_1", "org_1", True)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW_S - 600},
        {"exp": None},
        {"aud": "another-client"},
        {"aud": None},
        {"iss": "https://elsewhere.example"},
        {"sub": None},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(resolver: Resolver, issuer: Issuer, changes: dict[str, Any]):
    with pytest.raises(Unauthorised):
        resolver.actor(issuer.token(**changes))


def test_forged_and_unsigned_tokens_are_refused(resolver: Resolver, issuer: Issuer):
    forged = issuer.token(RSAKey.generate_key(2048, parameters={"kid": "one"}))
    head, body, _ = issuer.token().split(".")
    unsigned = "eyJhbGciOiJub25lIn0." + body + "."
    for token in (forged, unsigned, f"{head}.{body}.AAAA", "a.b.c"):
        with pytest.raises(Unauthorised):
            resolver.actor(token)


def test_a_subject_that_is_linked_to_nobody_is_refused(resolver: Resolver, issuer: Issuer):
    with pytest.raises(Unauthorised) as refusal:
        resolver.actor(issuer.token(sub="somebody else"))
    assert refusal.value.code == "sign-in/unknown-subject"


def test_keys_come_by_themselves_and_an_absent_issuer_does_not_stop_anything(database: Database, issuer: Issuer):
    absent = OpenIdConnect(database, ManualClock(NOW), "test", "http://127.0.0.1:9", CLIENT)
    absent.start()
    with pytest.raises(Unauthorised):
        absent.resolver_hook(issuer.token())
    absent.stop()
    assert absent.resolver_hook("es_not.a.jwt") is None
