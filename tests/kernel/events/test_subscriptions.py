"""Each sealed event is handled once and in order: across batches, restarts, and a crash at the worst moment."""

import time
from typing import Any

import pytest

from entrepot.kernel.database import Database
from entrepot.kernel.events import Event, Sealer, Subscriber, Subscription
from entrepot.kernel.events import subscriptions as module
from entrepot.kernel.events.chain import seal_once
from entrepot.kernel.operations import Actor
from tests.kernel.operations.shelf import SCOPES, TENANT, Add, Put, Shop, open_shop


class Crash(BaseException):
    """The process ends here."""


def follow(event: Event) -> Any:
    return Put(name=f"after-{event.subject}")


FOLLOW = Subscription("follow", "shelf", ("shelf.add",), follow)


class Follower:
    """A subscriber over a shop, which counts what it ran; `crash_after` ends it between a command and its cursor."""

    def __init__(self, shop: Shop, *wanted: Subscription, crash_after: int = 0) -> None:
        self.shop = shop
        self.ran: list[str] = []
        self.crash_after = crash_after
        self.subscriber = Subscriber(shop.database, self.run, wanted or (FOLLOW,))

    def run(self, tenant: str, system: str, request: Any, key: str) -> None:
        outcome = self.shop.outcome(request, key, Actor.system(tenant, system, SCOPES))
        if outcome.status in {429, 500, 503}:
            raise RuntimeError(outcome.json)
        if not outcome.replayed:
            self.ran.append(request.name)
        if self.crash_after and len(self.ran) == self.crash_after:
            raise Crash

    def catch_up(self) -> bool:
        while seal_once(self.shop.database, self.shop.clock.now_us()):
            pass
        return self.subscriber.catch_up(TENANT)


def happen(shop: Shop, first: int, last: int) -> list[str]:
    """Commands whose events the follower follows; what it should then run."""
    return [f"after-{shop.run(Add(name=f'n{number}'), f'k{number}').id}" for number in range(first, last)]


def test_each_event_is_handled_once_and_in_order_across_restarts(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "BATCH", 4)  # several batches, and a last one that is exactly full
    with open_shop(database) as shop:
        expected = happen(shop, 0, 8)
        one = Follower(shop)
        one.catch_up()
        one.catch_up()
        assert one.ran == expected
    with open_shop(database) as shop:
        later = happen(shop, 8, 13)
        other = Follower(shop)
        other.catch_up()
        assert other.ran == later
        assert len(shop.rows()) == 13 * 2


@pytest.mark.parametrize("place", [1, 3, 4, 5])
def test_a_crash_between_command_and_cursor_repeats_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, place: int
):
    monkeypatch.setattr(module, "BATCH", 4)
    with open_shop(database) as shop:
        expected = happen(shop, 0, 6)
        crashed = Follower(shop, crash_after=place)
        with pytest.raises(Crash):
            crashed.catch_up()
    with open_shop(database) as shop:
        restarted = Follower(shop)
        restarted.catch_up()
        assert crashed.ran + restarted.ran == expected


def test_a_refused_command_is_done_and_a_failed_one_comes_again(database: Database, caplog: pytest.LogCaptureFixture):
    mode: list[Any] = ["crash"]
    with open_shop(database) as shop:
        happen(shop, 0, 2)
        refusing = Subscription("refusing", "shelf", ("shelf.add",), lambda event: Put(name="x", mode="refuse"))
        failing = Subscription("failing", "shelf", ("shelf.add",), lambda event: Put(name="y" + event.id, mode=mode[0]))
        broken = Subscription("broken", "shelf", ("shelf.add",), lambda event: 1 // 0)
        follower = Follower(shop, broken, failing, refusing, FOLLOW)
        assert follower.catch_up() is False
        # What fails holds up nobody else.
        assert [name[:6] for name in follower.ran if name.startswith("after-")] == ["after-"] * 2
        assert shop.rows("SELECT name FROM event_subscriptions ORDER BY name") == [("follow",), ("refusing",)]
        mode[0] = "row"  # repaired: the same key is tried, and works
        assert follower.catch_up() is False
        assert [name[0] for name in follower.ran].count("y") == 2
        assert "the subscription broken failed" in caplog.text


def test_two_workers_handle_each_event_once(database: Database):
    with open_shop(database) as shop:
        sealer = Sealer(database, shop.clock.now_us, shop.executor.committed, pause_s=0.005)
        followers = [Follower(shop), Follower(shop)]
        sealer.listeners += [follower.subscriber.sealed for follower in followers]
        sealer.start()
        for follower in followers:
            follower.subscriber.start()
        expected = happen(shop, 0, 20)
        deadline = time.monotonic() + 20
        while len(followers[0].ran) + len(followers[1].ran) < 20 and time.monotonic() < deadline:
            time.sleep(0.02)
        for follower in followers:
            follower.subscriber.stop()
        sealer.stop()
        assert sorted(followers[0].ran + followers[1].ran) == sorted(expected)
        placed = shop.rows("SELECT subject FROM events WHERE type = 'shelf.placed' ORDER BY at, id")
        assert [row[0] for row in placed] == expected
