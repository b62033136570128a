"""The edge of every operation: one answer for a key, groups that do not harm one another, permission, events."""

import json
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from entrepot.kernel.database import Database, open_database
from entrepot.kernel.operations import Actor, Conflict, Forbidden, Invalid, System, Unauthorised
from entrepot.kernel.parties.relations import Relations
from tests.kernel.operations.shelf import (
    SCOPES,
    TENANT,
    Add,
    Approve,
    Count,
    ForParty,
    Hashed,
    Issue,
    Own,
    Put,
    Shop,
    Sly,
    Someone,
    Tell,
    memory,
    open_shop,
    turnstile,
)  # fmt: skip
from tests.kernel.operations.yard import MANIFEST as YARD
from tests.kernel.operations.yard import Fetch, Loop
from tests.kernel.services import Desk


@pytest.fixture
def shop(database: Database) -> Iterator[Shop]:
    with open_shop(database, writers=1) as made:
        yield made


# ------------------------------------------------------------------------------------------------------- idempotency


def test_the_same_key_gets_the_same_answer_and_changes_nothing_again(shop: Shop):
    first = shop.run(Add(name="oil", weight=5), "k")
    assert shop.run(Add(name="oil", weight=5), "k") == first
    assert shop.rows() == [("oil", 5)]
    assert len(shop.events()) == 1
    assert shop.run(Add(name="oil", weight=5), "other").weight == 10


def test_the_answer_of_a_key_outlives_a_restart(database: Database):
    with open_shop(database) as shop:
        first = shop.run(Add(name="oil", weight=5), "k")
    with open_shop(database, seed=7) as shop:
        assert shop.run(Add(name="oil", weight=5), "k") == first
        assert shop.rows() == [("oil", 5)]


def test_a_key_with_other_content_or_another_operation_is_a_conflict(shop: Shop):
    shop.run(Add(name="oil", weight=5), "k")
    for other in (Add(name="oil", weight=6), Put(name="oil", weight=5)):
        with pytest.raises(Conflict) as refused:
            shop.run(other, "k")
        assert refused.value.code == "idempotency/other-content"
    assert shop.rows() == [("oil", 5)]


def test_keys_of_different_actors_do_not_meet(shop: Shop):
    shop.run(Add(name="oil", weight=5), "k")
    assert shop.run(Add(name="oil", weight=6), "k", shop.actor("wang")).weight == 11


def test_a_key_twice_in_one_group_works_once(shop: Shop):
    same = Add(name="oil", weight=5)
    outcomes = shop.together(same, same, Add(name="oil", weight=6), same, keys=("k", "k", "k", "k2"))
    assert [outcome.status for outcome in outcomes] == [200, 200, 409, 200]
    assert outcomes[0].json == outcomes[1].json
    assert shop.rows() == [("oil", 10)]


def test_a_refusal_is_the_answer_of_its_key(shop: Shop):
    shop.outcome(Put(name="oil", mode="refuse"), "k")
    again = shop.outcome(Put(name="oil", mode="refuse"), "k")
    assert (again.status, again.replayed) == (409, True)
    assert len(shop.events()) == 1


def test_what_may_succeed_later_is_tried_again_under_the_same_key(shop: Shop):
    nobody = Actor.anonymous(TENANT)
    weak = shop.actor(scopes=frozenset())
    assert shop.outcome(Put(name="a"), "k", nobody).status == 401
    assert shop.outcome(Put(name="a"), "k", weak).status == 403
    assert shop.run(Put(name="a"), "k").id == "a"
    # A failure of ours changed nothing: after the repair the same key does the work.
    assert shop.outcome(Add(name="b", weight=2**63), "n").status == 500
    assert shop.outcome(Add(name="b", weight=2**63), "n").replayed is False


def add_everywhere(url: str, number: int) -> list[tuple[int, str]]:
    """Commands 0 to 39 with their keys, in an order of this process's own."""
    database = open_database(url, durable=False)
    with open_shop(database, writers=3, seed=number) as shop:
        order = [(place * 7 + number * 11) % 40 for place in range(40)]
        futures = [
            (place, shop.executor.submit(Add(name=f"n{place % 5}"), shop.actor(), f"k{place}")) for place in order
        ]
        done = [(place, future.result(60)) for place, future in futures]
    database.close()
    assert all(outcome.status == 200 for _, outcome in done), done
    return sorted((place, outcome.json) for place, outcome in done)


def test_a_key_in_two_processes_works_once(database_url: str):
    if database_url.startswith("sqlite"):
        pytest.skip("one process owns a SQLite file")
    database = open_database(database_url, durable=False)
    Shop(database)
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        one, other = [future.result() for future in [pool.submit(add_everywhere, database_url, n) for n in (1, 2)]]
    assert one == other
    with database.reader() as uow:
        assert [row[0] for row in uow.read("SELECT weight FROM shelf_goods ORDER BY id")] == [8] * 5
        assert uow.read("SELECT COUNT(*) FROM answered") == [(40,)]
        assert uow.read("SELECT COUNT(*) FROM events") == [(40,)]
    database.close()


# ------------------------------------------------------------------------------------------------------------- groups


def test_a_refused_operation_takes_back_its_own_rows_and_memory_alone(shop: Shop):
    outcomes = shop.together(
        Put(name="a", weight=1), Put(name="b", weight=2, mode="refuse"), Put(name="c", weight=3, mode="refuse-late"),
        Put(name="d", weight=4, mode="gone"), Put(name="e", weight=5, mode="fetch"), Put(name="f", weight=6),
    )  # fmt: skip
    assert [outcome.status for outcome in outcomes] == [200, 409, 422, 404, 200, 200]
    assert shop.rows() == [("a", 1), ("e", 5), ("f", 6)]
    assert memory == {"a": 1, "e": 5, "f": 6}
    assert outcomes[4].answer.count == 2, "it sees what was staged before it, and its own row"
    left = sorted(status for kind, _, status, _ in shop.events() if kind == "shelf.put")
    assert left == [200, 200, 200, 404, 409, 422]


def test_an_error_in_a_group_harms_no_other(shop: Shop, caplog: pytest.LogCaptureFixture):
    outcomes = shop.together(
        Put(name="a"), Put(name="b", mode="crash"), Put(name="c", mode="clash"), Put(name="a"), Put(name="d")
    )
    assert [outcome.status for outcome in outcomes] == [200, 500, 409, 409, 200]
    assert shop.rows() == [("a", 1), ("d", 1)]
    assert memory == {"a": 1, "d": 1}
    assert "ZeroDivisionError" in caplog.text
    assert "ZeroDivision" not in outcomes[1].json, "a caller learns nothing of the inside"


def test_an_internal_error_leaves_an_event_and_nothing_else(shop: Shop):
    outcome = shop.outcome(Put(name="a", mode="crash"), "k")
    assert outcome.status == 500
    assert json.loads(outcome.json)["type"] == "https://entrepot.dev/problems/internal"
    assert shop.rows() == []
    assert memory == {}
    assert [(kind, status) for kind, _, status, _ in shop.events()] == [("shelf.put", 500)]


def test_the_writer_survives_whoever_gives_up_waiting(shop: Shop):
    shop.hold()
    given_up = shop.executor.submit(Put(name="a"), shop.actor())
    assert given_up.cancel()
    turnstile.set()
    assert shop.run(Put(name="b")).id == "b"
    assert shop.rows() == [("a", 1), ("b", 1)]


def test_too_much_waiting_work_is_refused_and_may_come_again(database: Database):
    with open_shop(database, writers=1, max_waiting=3) as shop:
        held = shop.hold()
        futures = [shop.executor.submit(Put(name=f"n{n}"), shop.actor(), f"k{n}") for n in range(5)]
        assert [future.result(1).status for future in futures[3:]] == [503, 503]
        turnstile.set()
        held.result(20)
        assert [future.result(20).status for future in futures[:3]] == [200] * 3
        assert shop.run(Put(name="n3"), "k3").id == "n3"


def test_a_stopped_executor_answers(database: Database):
    with open_shop(database) as shop:
        shop.run(Put(name="a"))
    assert shop.outcome(Put(name="b")).status == 503


# ------------------------------------------------------------------------------------------------- events and secrets


def test_an_event_says_what_was_asked_and_answered(shop: Shop):
    shop.run(Put(name="oil", weight=3), "k")
    (_, subject, status, data), extra = shop.events()
    assert (subject, status) == ("oil", 200)
    assert json.loads(data)["request"] == {"name": "oil", "weight": 3, "mode": "row"}
    assert json.loads(data)["answer"]["weight"] == 3
    assert extra == ("shelf.placed", "oil", 200, '{"weight":3}')


def test_a_refusal_leaves_no_event_but_its_own(shop: Shop):
    shop.outcome(Put(name="oil", mode="refuse"), "k")
    ((kind, _, status, data),) = shop.events()
    assert (kind, status) == ("shelf.put", 409)
    assert json.loads(data)["problem"]["type"].endswith("shelf/full")


@pytest.mark.parametrize("subject", ["told", "refused"])
def test_personal_and_secret_fields_are_written_nowhere(shop: Shop, subject: str):
    shop.outcome(
        Tell(subject=subject, note="xq-note", password="xq-word", nickname="xq-nick", people=[Someone(name="xq-who")]),
        "k",
    )
    issued = shop.run(Issue(name="xq-issue".upper()), "t")
    assert issued.token == "hush-XQ-ISSUE"
    assert shop.run(Issue(name="XQ-ISSUE"), "t").token == "", "a secret is shown once"
    written = str(shop.events()) + str(shop.rows("SELECT answer FROM answered"))
    assert "xq-" not in written
    assert "hush" not in written


def test_a_secret_is_shown_once_in_a_group_too(shop: Shop):
    same = Issue(name="a")
    outcomes = shop.together(same, same, keys=("k", "k"))
    assert [outcome.answer.token for outcome in outcomes] == ["hush-a", ""]


# ---------------------------------------------------------------------------------------------------------- permission


def test_a_nested_call_needs_the_manifest_or_the_scope(database: Database):
    yard = frozenset({"yard:act"})
    with open_shop(database, systems=(YARD,)) as shop:
        with pytest.raises(Forbidden) as refused:
            shop.run(Fetch(name="a"), "1", shop.actor(scopes=yard))
        assert refused.value.code == "call/not-listed"
        assert shop.run(Fetch(name="a"), "2", shop.actor(scopes=yard | SCOPES)).id == "a"
    listed = System(YARD.name, YARD.title, YARD.summary, YARD.operations, calls=("shelf.put",))
    with open_shop(database, systems=(listed,)) as shop:
        assert shop.run(Fetch(name="b"), "3", shop.actor(scopes=yard)).id == "b"
        kinds = [kind for kind, _, status, _ in shop.events() if status == 200]
        assert kinds[-3:] == ["yard.fetch", "shelf.placed", "shelf.put"]


def test_a_nested_refusal_takes_the_whole_operation_back(database: Database):
    with open_shop(database, systems=(YARD,)) as shop:
        everything = shop.actor(scopes=SCOPES | {"yard:act"})
        assert shop.outcome(Fetch(name="a", mode="refuse-late"), "1", everything).status == 422
        assert shop.outcome(Loop(), "2", everything).status == 500
        assert shop.rows() == []
        assert [(kind, status) for kind, _, status, _ in shop.events()] == [("yard.fetch", 422), ("yard.loop", 500)]


def test_relations_are_checked(shop: Shop):
    with Desk(shop.database).write() as scope:
        Relations(scope).add("rcp", "owner", "org_li")
        Relations(scope).add("app", "requester", "li")
    assert shop.run(Own(name="rcp"), "1").id == "rcp"
    for request in (Own(name="rcp"), Own(name=""), Own(name="unknown"), ForParty(party="org_li")):
        with pytest.raises(Forbidden):
            shop.run(request, "", shop.actor("wang"))
    assert shop.run(ForParty(party="org_li"), "2").id == "org_li"
    with pytest.raises(Forbidden) as refused:
        shop.run(Approve(name="app"), "3")
    assert refused.value.code == "permission/own-approval"
    assert shop.run(Approve(name="app"), "4", shop.actor("wang")).id == "app"
    # A system acts for its tenant, with its scopes only.
    assert shop.run(Own(name="rcp"), "5", Actor.system(TENANT, "shelf", SCOPES)).id == "rcp"
    with pytest.raises(Forbidden):
        shop.run(Own(name="rcp"), "6", Actor.system(TENANT, "shelf", frozenset()))
    statuses = [status for kind, _, status, _ in shop.events()]
    assert statuses.count(403) == 6, "what was not permitted is in the log"


def test_a_query_needs_its_scope_and_leaves_an_event_when_refused(shop: Shop):
    with pytest.raises(Unauthorised):
        shop.run(Count(), "", Actor.anonymous(TENANT))
    shop.run(Put(name="a"))
    assert shop.run(Count()).count == 1
    assert ("shelf.count", 401) in [(kind, status) for kind, _, status, _ in shop.events()]


@pytest.mark.parametrize("mode", ["insert", "session", "sql", "call"])
def test_a_query_cannot_write(shop: Shop, mode: Any):
    outcome = shop.outcome(Sly(mode=mode))
    assert outcome.status == 500 or mode == "session", "SQLite takes back what a session wrote, at the end of the query"
    assert shop.rows() == []
    assert memory == {}


# ---------------------------------------------------------------------------------------------- before the transaction


def test_the_slow_part_comes_before_the_transaction(shop: Shop):
    assert shop.run(Hashed(name="a"), "1").id == "lanzhou:a"
    with pytest.raises(Invalid):
        shop.run(Hashed(name="refused"), "2")
    assert shop.outcome(Hashed(name="refused"), "2").replayed
    assert shop.outcome(Hashed(name="crash"), "3").status == 500
    assert [status for _, _, status, _ in shop.events()] == [200, 422, 500]
    with pytest.raises(Unauthorised):  # whoever may not ask learns nothing of what the preparation found
        shop.run(Hashed(name="refused"), "4", Actor.anonymous(TENANT))


# --------------------------------------------------------------------------------------------------------- repetition


def test_a_replayed_clock_and_seed_give_the_same_identifiers(database: Database, tmp_path: Any):
    def course(place: Database) -> list[Any]:
        with open_shop(place, writers=1, seed=2008) as shop:
            for number in range(5):
                shop.run(Add(name="oil", weight=number), f"k{number}")
                shop.clock.move_to_us(shop.clock.now_us() + 1_000_000)
            return shop.rows("SELECT id, at, data, hash FROM events ORDER BY id")

    other = open_database(f"sqlite:///{tmp_path / 'other.db'}", durable=False)
    other.create_all()
    first, second = course(database), course(other)
    other.close()
    assert [(row[0], row[1], row[2], bytes(row[3])) for row in first] == [
        (row[0], row[1], row[2], bytes(row[3])) for row in second
    ]
