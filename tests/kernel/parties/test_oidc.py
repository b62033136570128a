"""OpenID Connect against a small issuer on the loopback that speaks discovery and signs for real."""

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from entrepot.kernel.database import Database, Scope
from entrepot.kernel.operations import ManualClock, Unauthorised
from entrepot.kernel.parties import Parties
from entrepot.kernel.parties.checks import credit_check
from entrepot.kernel.parties.oidc import OpenIdConnect
from entrepot.kernel.parties.resolve import Resolver
from entrepot.systems import build_registry
from tests.support.issuer import CLIENT, SUBJECT, Issuer, running

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
NOW_S = int(NOW.timestamp())


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with running(lambda: NOW_S) as found:
        yield found


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
        parties.link_subject(issuer.url, SUBJECT, "per_1", organisation)
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
