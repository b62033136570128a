"""Sign-in through an issuer, as a browser does it: the served console, an issuer that speaks the protocol, Chromium."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.fernet import Fernet

from entrepot import local_tokens
from entrepot.console.openid import CALLBACK, COOKIE, PROBLEMS, START
from entrepot.kernel.operations import SystemClock
from entrepot.region.plan import DEMO_PASSWORD
from entrepot.settings import Settings
from tests.browser.driver import DESKTOP, PHONE, Browser, serving
from tests.support.issuer import CLIENT, SUBJECT, Habits, Issuer, running

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]
NAME = "Lanzhou Harbour ID"
SECRET = "of the console"


@dataclass
class Place:
    """The served console and its issuer."""

    base: str
    folder: Path
    issuer: Issuer

    def rest(self, person: str, organisation: str, method: str, path: str, **content: Any) -> httpx.Response:
        """One request in a person's name."""
        until = SystemClock().now_us() + 600_000_000
        token = local_tokens.issue(Settings(data_dir=self.folder / "data"), person, organisation, until)
        headers = {"authorization": f"Bearer {token}", "idempotency-key": f"test-{time.time_ns()}"}
        return httpx.request(method, f"{self.base}/v1{path}", headers=headers, **content)

    def link(self, subject: str, person: str = "per_chen", organisation: str = "org_huanghe") -> httpx.Response:
        """By the security administrator."""
        content = {
            "issuer": self.issuer.url,
            "subject": subject,
            "person_id": person,
            "organisation_id": organisation,
        }
        return self.rest("per_bai", "org_huozhan", "POST", "/parties/subjects", json=content)

    def event(self) -> dict[str, Any]:
        """The newest sealed event of a sign-in through the issuer."""
        end = time.monotonic() + 20
        while True:
            answer = self.rest("per_ye", "org_huozhan", "GET", "/events/latest", params={"limit": 100})
            events: list[dict[str, Any]] = answer.raise_for_status().json()["events"]
            found = [event for event in events if event["operation"] == "parties.sign_in_openid"]
            if found:
                return found[0]
            assert time.monotonic() < end, "no event was sealed"
            time.sleep(0.2)


class Visitor:
    """A browser without scripts."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.web = httpx.Client(base_url=place.base, follow_redirects=False, timeout=30)

    def start(self, target: str = "/facilities") -> str:
        """Press the button: where the issuer sends the browser back to."""
        begun = self.web.get(START, params={"next": target})
        assert begun.status_code == 303
        assert begun.headers["cache-control"] == "no-store"
        cookie = begun.headers["set-cookie"].lower()
        assert cookie.startswith(COOKIE)
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert f"path={START}" in cookie
        back = httpx.get(begun.headers["location"], follow_redirects=False)
        assert back.status_code == 302, back.text
        return back.headers["location"]

    def callback(self, url: str) -> str:
        """Follow the issuer's redirect; where the console sends the browser then."""
        answer = self.web.get(url)
        assert (answer.status_code, answer.headers["cache-control"]) == (303, "no-store"), answer.text
        return answer.headers["location"]

    def problem(self, url: str) -> str:
        """The problem that the callback ends with; the page that says so is shown, and nobody is signed in."""
        where = self.callback(url)
        page = self.web.get(where)
        assert page.status_code == 200
        found = parse_qs(urlsplit(where).query)["problem"][0]
        assert PROBLEMS[found][0][:40] in page.text
        assert not self.signed_in()
        return found

    def signed_in(self) -> bool:
        """Whether the overview is shown."""
        return self.web.get("/").status_code == 200


Another = Callable[[], Visitor]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("openid")
    with running(secret=SECRET) as issuer:
        with serving(
            folder, oidc_issuer=issuer.url, oidc_client_id=CLIENT, oidc_client_secret=SECRET, oidc_name=NAME
        ) as base:
            issuer.redirect_uri = f"{base}{CALLBACK}"
            place = Place(base, folder, issuer)
            end = time.monotonic() + 60
            while place.link(SUBJECT).status_code != 200:  # the region's people are registered while it serves
                assert time.monotonic() < end, "the security administrator may not link"
                time.sleep(0.3)
            yield place


@pytest.fixture
def place(served: Place) -> Place:
    served.issuer.habits = Habits()
    served.issuer.refusals.clear()
    return served


@pytest.fixture
def another(place: Place) -> Iterator[Another]:
    """Opens browsers."""
    opened: list[Visitor] = []

    def start() -> Visitor:
        opened.append(Visitor(place))
        return opened[-1]

    yield start
    for found in opened:
        found.web.close()


@pytest.fixture
def visitor(another: Another) -> Visitor:
    return another()


def test_signed_in_through_the_issuer(place: Place, visitor: Visitor) -> None:
    assert not visitor.signed_in()
    assert visitor.callback(visitor.start("/facilities")) == "/facilities"
    page = visitor.web.get("/facilities")
    assert page.status_code == 200
    assert "Huanghe Energy Trading" in page.text
    assert COOKIE not in visitor.web.cookies
    newest = place.event()
    assert (newest["subject"], newest["actor"], newest["door"], newest["status"]) == (
        "per_chen", "system:console", "console", 200,
    )  # fmt: skip
    assert newest["position"] > 0, "sealed into the chain"
    assert place.issuer.refusals == []


def test_a_callback_that_is_opened_again(place: Place, visitor: Visitor, another: Another) -> None:
    back = visitor.start()
    sealed = visitor.web.cookies[COOKIE]
    assert visitor.callback(back) == "/facilities"
    assert "problem=state" in visitor.callback(back)  # the cookie went with the first
    other = another()
    other.web.cookies.set(COOKIE, sealed)
    assert other.problem(back) == "refused"
    assert place.issuer.refusals == ["the code was used"]
    place.issuer.habits.codes_again = True  # even if the issuer minds no more, a state opens one session
    other.web.cookies.set(COOKIE, sealed)
    assert other.problem(back) == "used"
    place.issuer.habits.subject = "somebody else"
    other.web.cookies.set(COOKIE, sealed)
    assert other.problem(back) == "used"


def test_a_code_and_state_of_another_browser(visitor: Visitor, another: Another) -> None:
    other = another()
    stolen = other.start()
    assert visitor.problem(stolen) == "state"  # nothing was begun here
    visitor.start()
    assert visitor.problem(stolen) == "state"  # something else was begun here
    assert COOKIE in visitor.web.cookies, "a stranger's link must not end what is under way"
    assert other.callback(stolen) == "/facilities"


def test_an_injected_code_fails_at_the_verifier(place: Place, visitor: Visitor, another: Another) -> None:
    stolen = parse_qs(urlsplit(another().start()).query)["code"][0]
    mine = re.sub(r"code=[^&]*", f"code={stolen}", visitor.start())
    assert visitor.problem(mine) == "refused"
    assert place.issuer.refusals == ["the verifier does not fit the challenge"]


@pytest.mark.parametrize(
    ("habits", "problem"),
    [
        (Habits(answer={"error": "access_denied", "code": None}), "denied"),
        (Habits(answer={"error": "temporarily_unavailable", "code": None}), "refused"),
        (Habits(answer={"state": "another"}), "state"),
        (Habits(answer={"state": None}), "state"),
        (Habits(answer={"iss": "https://elsewhere.example"}), "issuer"),
        (Habits(answer={"code": None}), "refused"),
        (Habits(answer={"code": "made-up"}), "refused"),
        (Habits(claims={"nonce": "another"}), "token"),
        (Habits(claims={"aud": "another-client"}), "token"),
        (Habits(claims={"exp": 1}), "token"),
        (Habits(subject="nobody here"), "unknown-subject"),
        (Habits(subject="nul\0"), "failed"),
        (Habits(token_status=503, token_body=b"down"), "unreachable"),
        (Habits(token_body=b"not JSON"), "unreachable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_goes_wrong_is_said_and_nobody_is_signed_in(
    place: Place, visitor: Visitor, habits: Habits, problem: str
) -> None:
    place.issuer.habits = habits
    assert visitor.problem(visitor.start()) == problem
    place.issuer.habits = Habits()
    assert visitor.callback(visitor.start()) == "/facilities", "the next try works"


def test_whoever_is_linked_to_nobody_sees_what_to_have_linked(place: Place, visitor: Visitor, another: Another) -> None:
    place.issuer.habits.subject = "<b>new & unlinked</b>"
    where = visitor.callback(visitor.start())
    page = visitor.web.get(where).text
    assert "new & unlinked" in page or "new &amp; unlinked" in page or "new \\u0026" in page
    assert "<b>new" not in page.replace("\\u003c", "")
    other = another()
    assert "unlinked<" not in other.web.get(where).text, "only the one who signed in sees the account"
    assert place.link("<b>new & unlinked</b>").status_code == 200
    assert visitor.callback(visitor.start()) == "/facilities"


def test_an_expired_sign_in(place: Place, visitor: Visitor) -> None:
    back = visitor.start()
    sealed = visitor.web.cookies[COOKIE]
    seal = Fernet(base64.urlsafe_b64encode((place.folder / "data" / "secrets" / "openid-state").read_bytes()))
    old = re.sub(rb'"until_s": \d+', b'"until_s": 1', seal.decrypt(sealed))
    visitor.web.cookies.clear()
    visitor.web.cookies.set(COOKIE, seal.encrypt(old).decode())
    assert visitor.problem(back) == "expired"


@pytest.mark.parametrize(
    "target",
    [
        "https://elsewhere.example",
        "//elsewhere.example",
        "/\\elsewhere.example",
        "/\t/elsewhere.example",
        "/\n/elsewhere.example",
        "javascript:alert(1)",
        "facilities",
        "/sign-in/openid",
        "",
    ],
)
def test_the_way_back_leads_nowhere_else(visitor: Visitor, target: str) -> None:
    assert visitor.callback(visitor.start(target)) == "/"


def test_a_way_back_with_signs_and_words_is_kept(visitor: Visitor) -> None:
    assert visitor.callback(visitor.start("/tanks/tk-101?a=b&c=罐")).startswith("/tanks/tk-101?a=b&c=")


def test_strange_requests_are_answered_plainly(place: Place, visitor: Visitor) -> None:
    for query in ("", "?state=%ff", "?state=a&state=b", "?code=" + "x" * 5000, "?error=%00&state=%ed%b3%bf"):
        assert "problem=state" in visitor.callback(f"{CALLBACK}{query}")
    assert visitor.web.post(CALLBACK).status_code == 405
    page = visitor.web.get("/sign-in?problem=%3Cscript%3Ealert(1)")
    assert page.status_code == 200
    assert "alert(1)" not in page.text
    answer = httpx.post(
        f"{place.base}/v1/parties/sessions/openid",
        json={"issuer": place.issuer.url, "subject": SUBJECT},
        headers={"idempotency-key": "outside"},
    )
    assert answer.status_code == 401
    content = {"issuer": place.issuer.url, "subject": SUBJECT}
    for person, organisation in (("per_bai", "org_huozhan"), ("per_chen", "org_huanghe")):
        assert place.rest(person, organisation, "POST", "/parties/sessions/openid", json=content).status_code == 403


def test_the_button_clicked_through(place: Place, tmp_path: Path) -> None:
    someone = Browser(place.base, tmp_path / "someone")
    try:
        for name, size in (("desktop", DESKTOP), ("phone", PHONE)):
            someone.size(*size)
            for language, words in (("en", f"Sign in with {NAME}"), ("zh", f"使用 {NAME} 登录")):
                someone.open("/facilities")
                _speak(someone, language)
                someone.says(words)
                assert someone.overflow() == []
                someone.shot(f"sign-in-openid-{language}-{name}")
        place.issuer.habits.answer = {"error": "access_denied", "code": None}
        someone.click(someone.mark("openid"))
        someone.says(PROBLEMS["denied"][1])
        assert someone.overflow() == []
        someone.shot("sign-in-openid-denied-zh-phone")
        _speak(someone, "en")
        someone.says(PROBLEMS["denied"][0])
        someone.size(*DESKTOP)
        someone.shot("sign-in-openid-denied-en-desktop")
        place.issuer.habits = Habits()
        someone.click(someone.mark("openid"))
        someone.until(lambda: someone.chrome.current_url == f"{place.base}/facilities", "the page that was wanted")
        someone.says("chen@issuer")
        someone.says("Huanghe Energy Trading")
        someone.click(someone.mark("sign-out"))
        someone.until(lambda: "/sign-in" in someone.chrome.current_url, "the sign-in page")
        someone.open("/facilities")
        assert "/sign-in" in someone.chrome.current_url
        someone.sign_in("chen.trader", DEMO_PASSWORD)  # local accounts work beside it
    finally:
        someone.close()
    assert someone.hosts <= {"127.0.0.1"}
    assert not someone.errors


def _speak(browser: Browser, language: str) -> None:
    """The sign-in page in a language."""
    words = {"en": "User name", "zh": "用户名"}[language]
    if words not in browser.text():
        browser.click(".signin .row button")
        browser.says(words)
    browser.until(lambda: browser.chrome.execute_script("return window.socket?.connected"), "the connection")


def test_nothing_secret_is_in_the_log(place: Place) -> None:
    """Runs last: after all the sign-ins above."""
    log = (place.folder / "server.log").read_text(encoding="utf-8")
    assert "a sign-in through the issuer failed: token" in log
    assert place.issuer.secrets_seen
    assert [secret for secret in [SECRET, *place.issuer.secrets_seen] if secret in log] == []
    assert "Traceback" not in log
    assert "es_" not in log
