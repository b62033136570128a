"""Inboxes and deliveries on both databases."""

import pytest

from entrepot.kernel.database import Database
from entrepot.kernel.notices import Deliverer, Notice, Notices
from entrepot.kernel.notices.delivery import MAX_ATTEMPTS
from entrepot.kernel.operations import NotFound
from tests.kernel.services import HOUR_US, Desk

TITLE, BODY = ("Margin call", "补足担保通知"), ("Top up by Friday.", "请于周五前补足。")


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


class Post:
    """A channel that fails as often as it is told, and keeps what it was given."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.given: list[tuple[str, str, str]] = []

    def deliver(self, address: str, notice: Notice, key: str) -> None:
        self.given.append((address, notice.title_zh, key))
        if self.failures:
            self.failures -= 1
            raise ConnectionError("no route")


def test_an_inbox_holds_the_own_messages_newest_first(desk):
    with desk.write() as scope:
        notices = Notices(scope)
        first = notices.send("org_1", "margin-call", TITLE, BODY, "fac_1")
        second = notices.send("per_1", "assigned", TITLE, BODY)
        notices.send("org_2", "margin-call", TITLE, BODY)
        assert [notice.id for notice in notices.inbox("org_1")] == [first]
    with desk.read() as scope:
        notices = Notices(scope)
        inbox = notices.inbox("org_1", person="per_1")
        assert [notice.id for notice in inbox] == [second, first]
        assert (inbox[1].title, inbox[1].title_zh, inbox[1].body_zh) == (*TITLE, BODY[1])
        assert inbox[1].state == "delivered"
        assert notices.unread("org_1", person="per_1") == 2
        assert notices.inbox("") == []


def test_the_first_receipt_counts_and_only_the_addressee_gives_it(desk):
    with desk.write() as scope:
        notice = Notices(scope).send("org_1", "x", TITLE, BODY)
    with desk.write("wang") as scope, pytest.raises(NotFound):
        Notices(scope).mark_read(notice, "org_2", person="wang")
    with desk.write("li") as scope:
        Notices(scope).mark_read(notice, "org_1")
    desk.now_us += HOUR_US
    with desk.write("wang") as scope:
        Notices(scope).mark_read(notice, "org_1")
    with desk.read() as scope:
        (read,) = Notices(scope).inbox("org_1")
        assert (read.state, read.read_by, read.read_us) == ("read", "li", desk.now_us - HOUR_US)
        assert Notices(scope).inbox("org_1", unread_only=True) == []
        assert Notices(scope).unread("org_1") == 0
    with desk.write() as scope, pytest.raises(NotFound):
        Notices(scope).mark_read("ntc_none", "org_1")


def test_a_channel_is_tried_until_it_works_and_holds_up_no_other(desk):
    mail, hook = Post(failures=2), Post()
    deliverer = Deliverer(desk.database, lambda: desk.now_us, {"mail": mail, "webhook": hook})
    with desk.write() as scope:
        notice = Notices(scope).send("org_1", "x", TITLE, BODY, channels={"mail": "a@example.org", "webhook": "u"})
        assert Notices(scope).deliveries(notice) == {"mail": "queued", "webhook": "queued"}
    assert deliverer.run_due() == 2
    with desk.read() as scope:
        assert Notices(scope).deliveries(notice) == {"mail": "queued", "webhook": "delivered"}
    assert deliverer.run_due() == 0, "not before the wait is over"
    for _ in range(2):
        desk.now_us += HOUR_US
        deliverer.run_due()
    with desk.read() as scope:
        assert Notices(scope).deliveries(notice) == {"mail": "delivered", "webhook": "delivered"}
    assert mail.given == [("a@example.org", TITLE[1], f"{notice}:mail")] * 3
    assert len(hook.given) == 1


def test_a_channel_that_never_works_is_given_up_and_the_inbox_keeps_the_notice(desk):
    deliverer = Deliverer(desk.database, lambda: desk.now_us, {})
    with desk.write() as scope:
        notice = Notices(scope).send("org_1", "x", TITLE, BODY, channels={"fax": "1"})
    for _ in range(MAX_ATTEMPTS + 3):
        deliverer.run_due()
        desk.now_us += HOUR_US
    with desk.read() as scope:
        assert Notices(scope).deliveries(notice) == {"fax": "failed"}
        assert len(Notices(scope).inbox("org_1")) == 1


def test_nothing_is_sent_by_an_operation_that_is_refused(desk):
    with desk.database.unit() as uow:
        uow.begin_operation()
        Notices(desk.scope(uow)).send("org_1", "x", TITLE, BODY, channels={"mail": "a"})
        uow.refuse_operation()
    with desk.read() as scope:
        assert Notices(scope).inbox("org_1") == []
    assert Deliverer(desk.database, lambda: desk.now_us, {}).run_due() == 0
