"""The authorization code flow against an issuer on the loopback, and each way in which its answer can be wrong."""

import asyncio
import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from joserfc.jwk import ECKey, KeyParameters, RSAKey

from entrepot.kernel.database import Database, open_database
from entrepot.kernel.operations import ManualClock
from entrepot.kernel.parties.oidc import OpenIdConnect
from entrepot.kernel.parties.openid_flow import PENDING_S, CodeFlow, Identified, Provider, SignInTrouble, challenge
from tests.support.issuer import CLIENT, SUBJECT, Habits, Issuer, running

NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)
CALLBACK = "https://entrepot.example/sign-in/openid/callback"
KEY = b"k" * 32


class Client:
    """One browser and the flow behind it."""

    def __init__(self, database: Database, issuer: Issuer, clock: ManualClock, secret: str = "") -> None:
        self.clock = clock
        self.openid = OpenIdConnect(database, clock, "test", issuer.url, CLIENT)
        self.flow = CodeFlow(self.openid, clock, CALLBACK, client_secret=secret, key=KEY)

    def answer(self) -> tuple[str, dict[str, str]]:
        """To the issuer and back: the sealed cookie, and the parameters that came back."""
        begun = asyncio.run(self.flow.begin("/facilities"))
        back = httpx.get(begun.url, follow_redirects=False)
        assert back.status_code == 302, back.text
        assert back.headers["location"].startswith(f"{CALLBACK}?")
        return begun.sealed, dict(parse_qsl(urlsplit(back.headers["location"]).query))

    def finish(self, sealed: str, parameters: dict[str, str]) -> Identified:
        """The callback."""
        pending = self.flow.pending(sealed, parameters.get("state", ""))
        assert pending.target == "/facilities"
        return asyncio.run(self.flow.finish(pending, parameters))

    def sign_in(self) -> Identified:
        """All of it."""
        return self.finish(*self.answer())

    def trouble(self, **changes: str | None) -> str:
        """What goes wrong with the answer's parameters changed; None takes one out."""
        sealed, parameters = self.answer()
        changed = {k: v for k, v in {**parameters, **changes}.items() if v is not None}
        return trouble(lambda: self.finish(sealed, changed))


def trouble(run: Any) -> str:
    """What goes wrong."""
    with pytest.raises(SignInTrouble) as found:
        run()
    return found.value.trouble


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture(scope="module")
def loopback() -> Iterator[Issuer]:
    with running(lambda: int(NOW.timestamp())) as issuer:
        issuer.redirect_uri = CALLBACK
        yield issuer


@pytest.fixture
def issuer(loopback: Issuer) -> Issuer:
    """Well behaved again."""
    loopback.habits, loopback.secret = Habits(), ""
    loopback.refusals.clear()
    return loopback


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[Database]:
    """The flow itself asks no database."""
    database = open_database(f"sqlite:///{tmp_path / 'none.db'}")
    yield database
    database.close()


@pytest.fixture
def client(nowhere: Database, issuer: Issuer, clock: ManualClock) -> Client:
    found = Client(nowhere, issuer, clock)
    found.openid.refresh()
    return found


def test_the_issuer_vouches_for_its_subject(client: Client, issuer: Issuer):
    found = client.sign_in()
    assert (found.issuer, found.subject, found.shown) == (issuer.url, SUBJECT, "chen@issuer")
    asked = issuer.asked[-1]
    assert {"response_type", "scope", "client_id", "redirect_uri", "state", "nonce"} < asked.keys()
    assert issuer.refusals == []


def test_every_sign_in_has_its_own_state_nonce_and_verifier(client: Client, issuer: Issuer):
    client.answer()
    client.answer()
    first, second = issuer.asked[-2:]
    assert all(first[name] != second[name] for name in ("state", "nonce", "code_challenge"))


def test_the_challenge_is_that_of_the_standards_example():
    # RFC 7636, appendix B.
    assert challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize("document", [{}, {"token_endpoint_auth_methods_supported": ["client_secret_post"]}])
def test_a_confidential_client_shows_its_secret(
    nowhere: Database, issuer: Issuer, clock: ManualClock, document: dict[str, Any]
):
    issuer.secret, issuer.habits.document = "a:secret/with%signs+", document
    right, wrong = (Client(nowhere, issuer, clock, secret) for secret in (issuer.secret, "another"))
    right.openid.refresh()
    wrong.openid.refresh()
    assert right.sign_in().subject == SUBJECT
    assert trouble(wrong.sign_in) == "refused"
    assert issuer.refusals == ["wrong client secret"]


def test_the_issuer_refuses_a_verifier_that_is_not_ours(client: Client, issuer: Issuer):
    sealed, parameters = client.answer()
    stolen = client.flow.pending(sealed, parameters["state"])
    other, mine = client.answer()
    pending = client.flow.pending(other, mine["state"])
    # A code that was taken from somebody else's address does not fit the verifier of this browser.
    assert stolen.verifier != pending.verifier
    assert trouble(lambda: asyncio.run(client.flow.finish(pending, parameters))) == "refused"
    assert issuer.refusals == ["the verifier does not fit the challenge"]


def test_a_code_is_good_once(client: Client, issuer: Issuer):
    sealed, parameters = client.answer()
    client.finish(sealed, parameters)
    assert trouble(lambda: client.finish(sealed, parameters)) == "refused"
    assert issuer.refusals == ["the code was used"]


@pytest.mark.parametrize("state", [None, "", "another", "数", "\udcff"])
def test_another_state_is_refused(client: Client, state: str | None):
    assert client.trouble(state=state) == "state"


@pytest.mark.parametrize("sealed", ["", "junk", "数", "gAAAAAB" + "A" * 120])
def test_a_cookie_that_is_not_ours_is_refused(client: Client, sealed: str):
    _, parameters = client.answer()
    assert trouble(lambda: client.finish(sealed, parameters)) == "state"


def test_a_cookie_of_another_server_is_refused(client: Client):
    other = CodeFlow(client.openid, client.clock, CALLBACK, key=b"o" * 32)
    begun = asyncio.run(other.begin("/facilities"))
    assert trouble(lambda: client.finish(begun.sealed, {"state": "x"})) == "state"


def test_a_sign_in_must_be_finished_in_time(client: Client):
    sealed, parameters = client.answer()
    client.clock.move_to(NOW + timedelta(seconds=PENDING_S - 1))
    assert client.flow.pending(sealed, parameters["state"]).target == "/facilities"
    client.clock.move_to(NOW + timedelta(seconds=PENDING_S))
    assert trouble(lambda: client.finish(sealed, parameters)) == "expired"


def test_an_answer_that_names_another_issuer_is_refused(client: Client):
    assert client.trouble(iss="https://elsewhere.example") == "issuer"
    assert client.trouble(iss="") == "issuer"
    assert client.trouble(iss=None) == "issuer"  # this issuer says in its document that it names itself


def test_an_issuer_that_does_not_name_itself_need_not(client: Client, issuer: Issuer):
    issuer.habits.document = {"authorization_response_iss_parameter_supported": None}
    issuer.habits.answer = {"iss": None}
    client.openid.refresh()
    assert client.sign_in().subject == SUBJECT


def test_what_the_issuer_denies_or_refuses(client: Client):
    assert client.trouble(error="access_denied", code=None) == "denied"
    assert client.trouble(error="server_error", code=None) == "refused"
    assert client.trouble(error="<script>\n", code=None) == "refused"
    assert client.trouble(code=None) == "refused"
    assert client.trouble(code="made-up") == "refused"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"nonce": 7},
        {"aud": "another-client"},
        {"aud": [CLIENT, "another"]},
        {"aud": [CLIENT, "another"], "azp": "another"},
        {"azp": "another"},
        {"iss": "https://elsewhere.example"},
        {"sub": None},
        {"sub": ""},
        {"sub": f"{SUBJECT} "},
        {"sub": "x" * 256},
        {"sub": 248289},
        {"exp": int(NOW.timestamp()) - 60},
        {"exp": "soon"},
    ],
)
def test_an_id_token_with_a_wrong_claim_is_refused(client: Client, issuer: Issuer, claims: dict[str, Any]):
    issuer.habits.claims = claims
    assert trouble(client.sign_in) == "token"


def test_several_audiences_with_ours_as_the_authorised_one_are_good(client: Client, issuer: Issuer):
    issuer.habits.claims = {"aud": [CLIENT, "another"], "azp": CLIENT}
    assert client.sign_in().subject == SUBJECT


def test_a_forged_id_token_is_refused(client: Client, issuer: Issuer):
    issuer.habits.signing = RSAKey.generate_key(2048, parameters={"kid": "one"})
    assert trouble(client.sign_in) == "token"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, b"<html>"),
        (302, b""),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"id_token": 7}'),
        (200, b"\xff"),
        (404, b'["x"]'),
        (400, b'{"error": ["x"]}'),
    ],
)
def test_a_token_endpoint_that_answers_something_else(client: Client, issuer: Issuer, status: int, body: bytes):
    issuer.habits.token_status, issuer.habits.token_body = status, body
    assert trouble(client.sign_in) == "unreachable"


def test_a_token_endpoint_that_is_gone(client: Client, issuer: Issuer):
    issuer.habits.document = {"token_endpoint": "http://127.0.0.1:9/token"}
    client.openid.refresh()
    assert trouble(client.sign_in) == "unreachable"


def test_an_issuer_that_is_down_and_comes_up(nowhere: Database, issuer: Issuer, clock: ManualClock):
    absent = Client(nowhere, issuer, clock)
    absent.openid.issuer = "http://127.0.0.1:9"
    absent.openid.start()
    try:
        assert trouble(absent.sign_in) == "unreachable"
        absent.openid.issuer = issuer.url
        absent.openid._fetched = -1e9  # the pause between two tries is over
        assert absent.sign_in().subject == SUBJECT
    finally:
        absent.openid.stop()


@pytest.mark.parametrize("kind", ["RSA", "EC"])
def test_a_key_that_is_newer_than_ours_is_fetched(client: Client, issuer: Issuer, kind: str):
    before, named = issuer.key, KeyParameters(kid="two", use="sig")
    issuer.key = RSAKey.generate_key(2048, named) if kind == "RSA" else ECKey.generate_key("P-256", named)
    client.openid.start()
    try:
        assert client.sign_in().subject == SUBJECT
    finally:
        client.openid.stop()
        issuer.key = before


@pytest.mark.parametrize(
    "changes",
    [
        {"authorization_endpoint": None},
        {"authorization_endpoint": 7},
        {"token_endpoint": "ftp://issuer.example/token"},
        {"authorization_endpoint": "http://issuer.example/authorize"},
        {"token_endpoint": "javascript:alert(1)"},
    ],
)
def test_a_document_that_no_sign_in_can_be_built_on(client: Client, issuer: Issuer, changes: dict[str, Any]):
    issuer.habits.document = changes
    client.openid.refresh()
    with pytest.raises(ValueError, match="endpoint"):
        Provider.of(issuer.document())
    assert trouble(client.sign_in) == "unreachable"


def test_the_sealed_cookie_shows_nothing_and_fits_into_a_cookie(client: Client):
    sealed, parameters = client.answer()
    verifier = client.flow.pending(sealed, parameters["state"]).verifier
    content = base64.urlsafe_b64decode(sealed)
    assert verifier.encode() not in content
    assert parameters["state"].encode() not in content
    assert len(sealed) < 2000
