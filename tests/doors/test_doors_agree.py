"""One operation by REST, MCP, command line and in process: the same answer, event and refusal."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrepot.kernel.doors.mcp import tool_name
from tests.doors.serving import Said, Served, serving, without_ids

PRICES = {"series": "brent-cny-t", "since": "2008-06-01", "until": "2008-07-03"}
DOORS: dict[str, Callable[[Served, str, str, dict[str, Any], str], Said]] = {
    "inprocess": Served.in_process,
    "rest": Served.rest,
    "mcp": Served.mcp,
    "cli": Served.command_line,
}


@pytest.fixture
def served(database_url: str, tmp_path: Path) -> Iterator[Served]:
    """The region behind a server."""
    with serving(database_url, tmp_path) as running:
        yield running


def test_the_doors_agree(served: Served):
    receipt = {"tank_id": "tk-101", "owner": "org_huanghe", "quantity_kg": 1_000}
    agree(served, "warehousing.issue_receipt", "per_wang", receipt, 200)
    agree(
        served,
        "reference.prices",
        "per_chen",
        {"series": "brent-cny-t", "since": "2008-06-01", "until": "2008-07-03"},
        200,
    )
    # Refused by permission, by relation, by a rule of the business, and for want of a sign-in.
    agree(served, "things.inspect", "per_chen", {}, 403)
    agree(served, "tradefinance.request_loan", "per_chen", {"facility_id": "fac_0", "amount": 100}, 403)
    refused = agree(served, "warehousing.issue_receipt", "per_wang", {**receipt, "quantity_kg": 10**9}, 409, 422)
    assert "996000 available, 1000000000 needed" in refused["detail"]
    served.tokens["nobody"] = "ek_of_nobody"
    for name, content in (("reference.prices", PRICES), ("warehousing.issue_receipt", receipt)):
        earlier = len(served.events(name))
        by_rest, by_mcp = (door(served, name, "nobody", content, "k") for door in (Served.rest, Served.mcp))
        assert by_rest == by_mcp
        assert by_rest[0] == 401
        assert len(served.events(name, earlier + 2)) == earlier + 2
    the_tools_are_what_the_actor_may_call(served)


def agree(served: Served, name: str, person: str, content: dict[str, Any], *statuses: int) -> dict[str, Any]:
    """Send the same through every door; what all of them said."""
    before = served.events(name)
    with ThreadPoolExecutor(len(DOORS)) as pool:
        calls = {
            door: pool.submit(call, served, name, person, content, f"{door}-{len(before)}")
            for door, call in DOORS.items()
        }
        said = {door: call.result() for door, call in calls.items()}
    status, answer = said["inprocess"]
    assert status in statuses, answer
    for door, (other_status, other) in said.items():
        assert (other_status, without_ids(other)) == (status, without_ids(answer)), door
    if served.operation(name).kind == "command" or status in {401, 403}:
        events = [row for key, row in served.events(name, len(before) + len(DOORS)).items() if key not in before]
        assert {event[0] for event in events} == set(DOORS)
        assert len({(*event[1:5], str(without_ids(event[5]))) for event in events}) == 1, events
    return answer


def the_tools_are_what_the_actor_may_call(served: Served) -> None:
    operations = list(served.application.registry)
    chen = served.application.resolver.actor(served.tokens["per_chen"])
    offered = {tool.name: tool for tool in served.tools("per_chen")}
    assert offered.keys() == {tool_name(o) for o in operations if o.public or o.scope in chen.scopes}
    assert {tool.name for tool in served.tools("")} == {tool_name(o) for o in operations if o.public}
    for operation in operations:
        tool = offered.get(tool_name(operation))
        if tool is not None:
            fields = set(operation.request.model_fields)
            keys = {"idempotency_key"} if operation.kind == "command" else set()
            assert set(tool.input_schema.get("properties", {})) == fields | keys
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint == (operation.kind == "query")


def test_keys_and_limits_over_http(served: Served):
    wang, receipt = served.tokens["per_wang"], {"tank_id": "tk-101", "owner": "org_huanghe", "quantity_kg": 1_000}
    name = "warehousing.issue_receipt"
    first, again = (served.send(name, receipt, token=wang, key="once") for _ in range(2))
    assert (first.status_code, "idempotency-replayed" in first.headers) == (200, False)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (200, "true")
    assert again.json() == first.json()
    other = served.send(name, {**receipt, "quantity_kg": 2_000}, token=wang, key="once")
    assert (other.status_code, other.json()["type"].rpartition("/")[2]) == (409, "other-content")
    assert served.send("notices.mark_read", {"notice_id": "ntc_0"}, token=wang, key="once").status_code == 409
    theirs = served.send(name, receipt, token=served.tokens["per_chen"], key="once")
    assert theirs.status_code == 403, "a key belongs to its actor"
    assert served.send(name, receipt, token=wang).json()["type"].endswith("idempotency/key-missing")
    for wrong in ("k" * 256, "a\tb", "a b"):
        assert served.send(name, receipt, token=wang, key=wrong).status_code == 400

    # Sign-in is declared with 120 a minute, in bursts of 20; who is not signed in is counted by address.
    def guess(number: int) -> httpx.Response:
        return served.send("parties.sign_in", {"user_name": f"no{number}", "password": "wrong"}, key=f"guess-{number}")

    earlier = len(served.events("parties.sign_in"))
    with ThreadPoolExecutor(8) as crowd:
        limited = [answer for answer in crowd.map(guess, range(60)) if answer.status_code != 401]
    assert limited
    assert {(a.status_code, a.json()["type"].rpartition("/")[2]) for a in limited} == {(429, "limit")}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in limited)
    events = served.events("parties.sign_in", earlier + 60).values()
    assert sum(event[4] == 429 for event in events) == len(limited), "each refusal leaves an event"
