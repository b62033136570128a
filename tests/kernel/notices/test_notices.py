"""Inboxes and deliveries on both databases."""

import pytest

from entrepot.kernel.database import Database
from entrepot.kernel.notices import Notices
from entrepot.kernel.operations import NotFound
from tests.kernel.services import HOUR_US, Desk

TITLE, BODY = ("Margin call", "补足担保通知"), ("Top up by Friday.", "请于周五前补足。")


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


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


def test_nothing_is_sent_by_an_operation_that_is_refused(desk):
    with desk.database.unit() as uow:
        uow.begin_operation()
        Notices(desk.scope(uow)).send("org_1", "x", TITLE, BODY, address="adr_1")
        uow.refuse_operation()
    with desk.read() as scope:
        assert Notices(scope).inbox("org_1") == []
        assert scope.uow.read("SELECT * FROM notice_deliveries") == []
