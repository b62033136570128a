"""Messages that are wrong before any rule of the business is asked, health, and what every answer carries."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import schemathesis

from entrepot.kernel.doors.rest import route_path
from entrepot.web import SECURITY_HEADERS
from tests.generated.region import OPERATIONS, Region, sign_in, web

LARGEST_BODY = 1_048_576
PRICES = "/v1/reference/prices/brent-cny-t"


class Browser:
    """Requests to the application in process, signed in as the price clerk."""

    def __init__(self, region: Region) -> None:
        self.region = region
        self._app = web(region)
        self._token = sign_in(region, "per_he")

    def ask(self, method: str, path: str, *, signed_in: bool = True, **sent: Any) -> httpx.Response:
        """One request."""
        headers = {"idempotency-key": self.region.key(), "content-type": "application/json"}
        if signed_in:
            headers["authorization"] = f"Bearer {self._token}"
        headers.update(sent.pop("headers", {}))

        async def asked() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, headers=headers, **sent)

        return asyncio.run(asked())

    def prices(self, body: bytes, **sent: Any) -> httpx.Response:
        """Send prices."""
        return self.ask("POST", PRICES, content=body, **sent)


@pytest.fixture
def browser(region: Region) -> Browser:
    return Browser(region)


def body(**changes: Any) -> bytes:
    """A price in JSON, with changes to the point."""
    return json.dumps({"prices": [{"day": "2008-07-03", "value": 700_000, **changes}], "confirm_jump": True}).encode()


def problem(response: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal, which is a problem document in two languages and without the input."""
    content = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert content["status"] == response.status_code
    assert all(content[name] for name in ("title", "title_zh", "detail"))
    return response.status_code, content["type"].partition("/problems/")[2]


def test_wrong_messages_are_refused_in_words(browser: Browser):
    assert browser.prices(body()).status_code == 200
    before = browser.region.snapshot()
    invalid, unreadable = (422, "request/invalid"), (400, "http/not-json")
    value: Any
    for value in ("700000", 7e5 + 0.5, True, None, [], {}, 2**63, -(2**63) - 1, 10**40):
        assert problem(browser.prices(body(value=value))) == invalid, value
    for day in ("2008-07-32", "yesterday", 20080703, "2008-07-03T00:00:00Z\u0000"):
        assert problem(browser.prices(body(day=day))) == invalid, day
    for content in (b'{"prices": [', b"\xff\xfe", b"{'prices': 1}", b'{"prices": NaN}', b'{"note": "\\ud800"}'):
        assert problem(browser.prices(content)) in {unreadable, invalid}, content
    for depth in (200, 100_000):
        assert problem(browser.prices(b'{"note":' * depth))[0] == 400
        assert problem(browser.prices(b'{"prices":' + b"[" * depth + b"]" * depth + b"}"))[0] in {400, 422}
    assert problem(browser.prices(b"[]")) == (400, "http/not-an-object")
    assert problem(browser.prices(body(), headers={"content-type": "text/plain"})) == (400, "http/media-type")
    assert problem(browser.prices(b" " * (LARGEST_BODY + 1))) == (413, "http/body-too-large")
    other = json.dumps({**json.loads(body()), "series": "copper-sh"}).encode()
    assert problem(browser.prices(other)) == (422, "http/path-differs")
    assert problem(browser.ask("POST", f"{PRICES}?note=x", content=body())) == (422, "http/query-not-taken")
    assert problem(browser.prices(json.dumps({**json.loads(body()), "unknown": 1}).encode())) == invalid
    assert problem(browser.ask("GET", f"{PRICES}/history?since=2008-06-01&since=2008-06-02&until=2008-07-01"))[0] == 422
    for token in ("Basic abc", "Bearer ", "Bearer", "Bearer x\u00e9"):
        assert problem(browser.prices(body(), headers={"authorization": token.encode("latin-1")}))[0] == 401
    assert browser.region.snapshot() == before


@pytest.mark.parametrize("text", ["a\u0000b", "\u0000", "\ud800", "\udfff x"], ids=ascii)
def test_text_that_a_database_cannot_keep_is_refused(browser: Browser, text: str):
    # Not as 500, and not after half of the work: PostgreSQL knows neither NUL nor a lone surrogate in a text.
    escaped = json.dumps({**json.loads(body()), "note": text}).encode()
    assert problem(browser.prices(escaped))[0] in {400, 422}
    if text.isprintable() or "\u0000" in text:
        path = "/v1/reference/prices/" + "".join(f"%{byte:02x}" for byte in text.encode())
        assert problem(browser.ask("GET", path))[0] in {400, 404, 422}


def test_numbers_in_a_path_and_a_query_are_read_as_numbers(browser: Browser):
    notice = {"days_off": ["2010-01-01"], "make_up": [], "source": "test"}
    sent = browser.ask("POST", "/v1/reference/calendars/exchange/2010", content=json.dumps(notice).encode())
    assert sent.status_code == 200, sent.text
    for year in ("MMX", "2010.0", "9" * 30, "-0", "١٩٩٩"):
        wrong = browser.ask("POST", f"/v1/reference/calendars/exchange/{year}", content=json.dumps(notice).encode())
        assert problem(wrong)[0] == 422, year
    assert browser.ask("GET", "/v1/parties/organisations?limit=2").json()["organisations"][1:2]
    for limit in ("two", "2.5", "0", "9" * 30):
        assert problem(browser.ask("GET", f"/v1/parties/organisations?limit={limit}"))[0] == 422, limit


def test_health_metrics_and_paths_that_lead_nowhere(browser: Browser):
    answers = {path: browser.ask("GET", path, signed_in=False) for path in ("/healthz", "/readyz", "/metrics")}
    assert {path: answer.status_code for path, answer in answers.items()} == dict.fromkeys(answers, 200)
    assert answers["/healthz"].json()["status"] == "ok"
    assert answers["/readyz"].json()["database"] == "up"
    # What has happened is counted: the sign-in, and more that the seeding did.
    assert 'entrepot_operations_total{operation="parties.sign_in",status="200"} 1.0' in answers["/metrics"].text
    lost = [browser.ask(*way) for way in (("GET", "/v1/nothing"), ("DELETE", "/v1/parties/me"), ("POST", "/v1/"))]
    assert [problem(answer) for answer in lost] == [(404, "http/unknown-path")] * 3
    for answer in (*answers.values(), *lost, browser.ask("GET", "/nothing"), browser.prices(b"{")):
        assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS


def test_the_database_going_away_is_seen_by_readiness(browser: Browser, monkeypatch: pytest.MonkeyPatch):
    def away() -> None:
        raise OSError("the database is away")

    monkeypatch.setattr(browser.region.application.database, "reader", away)
    answer = browser.ask("GET", "/readyz", signed_in=False)
    assert (answer.status_code, answer.json()["database"]) == (503, "down")


def test_the_api_description_is_valid_and_complete(region: Region):
    browser = Browser(region)
    document = browser.ask("GET", "/openapi.json", signed_in=False).json()
    assert document["openapi"].startswith("3.1")
    schemathesis.openapi.from_dict(document).validate()
    described = {
        (path, method.upper()): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert {key: value["operationId"] for key, value in described.items()} == {
        (route_path(operation), operation.method): operation.name for operation in OPERATIONS
    }
    for operation in OPERATIONS:
        found = described[route_path(operation), operation.method]
        assert ("security" in found) == (not operation.public)
        assert {"200", "400", "401", "403", "404", "409", "422", "429", "503"} <= found["responses"].keys()
        keys = [p for p in found["parameters"] if p["name"] == "Idempotency-Key"]
        assert len(keys) == (operation.kind == "command")
