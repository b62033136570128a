"""The operations of casework, notices and reference through the executor: who may, and what comes back."""

from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from entrepot.kernel.casework.manifest import manifest as casework_manifest
from entrepot.kernel.casework.operations import ActOnCase, AssignCase, DefineType, GetCase, ListCases, NoteOnCase
from entrepot.kernel.casework.service import Cases
from entrepot.kernel.database import Database
from entrepot.kernel.notices.manifest import manifest as notices_manifest
from entrepot.kernel.notices.operations import ListNotices, MarkRead
from entrepot.kernel.notices.service import Notices
from entrepot.kernel.operations import (
    Actor,
    Conflict,
    Executor,
    Forbidden,
    Invalid,
    ManualClock,
    NotFound,
    Registry,
    Request,
    Runtime,
)
from entrepot.kernel.parties import Parties
from entrepot.kernel.reference.manifest import manifest as reference_manifest
from entrepot.kernel.reference.operations import DefineSeries, GetDay, GetPrice, ImportNotice, ListPrices, SetPrices
from entrepot.kernel.timers.firing import fire_with
from entrepot.kernel.timers.runner import TimerRunner
from tests.kernel.services import Desk, local

NOW = "2026-02-13 16:00"
SCOPES = frozenset({"casework:read", "casework:act", "parties:self", "reference:read"})
TITLE = ("Level falls", "液位下降")


def example(request: type[Request[Any]]) -> dict[str, Any]:
    assert request.operation is not None
    return dict(request.operation.example)


class Office:
    """An executor with the three systems, one alarm case of `org_team`, and actors by name of their party."""

    def __init__(self, database: Database) -> None:
        self.desk = Desk(database, NOW)
        self.clock = ManualClock(local(NOW))
        self.registry = Registry((casework_manifest, notices_manifest, reference_manifest))
        self.executor = Executor(Runtime(database, self.registry, self.clock), seed=1).start()
        self._keys = count(1)
        with self.desk.write() as scope:
            self.case = Cases(scope).open(
                "alarm", "dev_1", TITLE, party="org_team", parties=(("supervisor", "org_city"),)
            )
            Parties(scope).register_person("a", "b", person_id="per_1")

    def run(self, request: Any, party: str = "org_team", *, more: tuple[str, ...] = (), person: str = "li") -> Any:
        actor = Actor("lanzhou", person, party, "person", SCOPES | set(more))
        return self.executor.run(request, actor, key=f"k{next(self._keys)}")


@pytest.fixture
def office(database: Database) -> Iterator[Office]:
    office = Office(database)
    yield office
    office.executor.stop()


def test_the_inbox_shows_own_cases_and_all_of_them_to_who_reads_all(office):
    for party in ("org_team", "org_city"):
        assert [case.id for case in office.run(ListCases(), party).cases] == [office.case]
    assert office.run(ListCases(), "org_stranger").cases == []
    assert len(office.run(ListCases(), "org_audit", more=("casework:read_all",)).cases) == 1
    detail = office.run(GetCase(case_id=office.case))
    assert (detail.state_title, detail.state_title_zh) == ("Open", "待处理")
    assert [step.action for step in detail.steps] == ["acknowledge", "close"]
    assert detail.case.due_at == local("2026-02-14 12:00"), "four working hours into a make-up Saturday"
    assert not detail.case.overdue
    assert office.run(GetCase(case_id=office.case), "org_audit", more=("casework:read_all",)).case.id == office.case


@pytest.mark.parametrize("make", [GetCase, lambda case_id: ActOnCase(case_id=case_id, action="acknowledge"),
                                  lambda case_id: NoteOnCase(case_id=case_id, note="x"),
                                  lambda case_id: AssignCase(case_id=case_id, person="per_1")])  # fmt: skip
def test_strangers_are_refused_and_nothing_changes(office, make):
    for case_id, party in ((office.case, "org_stranger"), ("cas_none", "org_team")):
        with pytest.raises(Forbidden):
            office.run(make(case_id=case_id), party)
    with office.desk.read() as scope:
        assert Cases(scope).history(office.case) == []


def test_who_reads_all_may_not_act(office):
    with pytest.raises(Forbidden):
        office.run(ActOnCase(case_id=office.case, action="acknowledge"), "org_audit", more=("casework:read_all",))


def test_a_case_is_taken_noted_assigned_and_closed(office):
    assert office.run(ActOnCase(case_id=office.case, action="acknowledge")).state == "acknowledged"
    office.run(NoteOnCase(case_id=office.case, note="gauge is dirty"), "org_city")
    with pytest.raises(NotFound):
        office.run(AssignCase(case_id=office.case, person="per_none"))
    assert office.run(AssignCase(case_id=office.case, person="per_1")).assignee == "per_1"
    assert len(office.run(ListCases(mine=True), person="per_1").cases) == 1
    assert office.run(ListCases(mine=True)).cases == []
    with pytest.raises(Invalid):
        office.run(ActOnCase(case_id=office.case, action="close"))
    assert office.run(ActOnCase(case_id=office.case, action="close", note="cleaned")).closed
    with pytest.raises(Conflict):
        office.run(ActOnCase(case_id=office.case, action="close", note="again"))
    history = office.run(GetCase(case_id=office.case)).history
    assert [entry.action for entry in history] == ["acknowledge", "note", "assign", "close"]
    assert office.run(ListCases()).cases == []
    assert len(office.run(ListCases(include_closed=True)).cases) == 1


def test_a_type_is_defined_watched_and_its_overdue_case_reported_by_the_timer(office):
    define = DefineType.model_validate(
        {**example(DefineType), "name": "pothole", "hours": {"reported": 1}, "watch": True}
    )
    with pytest.raises(Forbidden):
        office.run(define)
    assert office.run(define, more=("casework:define",)).states == ["closed", "reported"]
    with office.desk.write() as scope:
        case = Cases(scope).open("pothole", "place_1", ("Hole", "坑"), party="org_road")
    runner = TimerRunner(office.desk.database, office.clock.now_us, fire_with(office.executor))
    due_us = runner.next_due_us()
    assert due_us is not None
    office.clock.move_to_us(due_us)
    assert runner.run_due() == 1
    inbox = office.run(ListNotices(), "org_road")
    assert [(notice.kind, notice.subject, inbox.unread) for notice in inbox.notices] == [("overdue", case, 1)]
    assert office.run(GetCase(case_id=case), "org_road").history[-1].action == "overdue"
    assert [c.id for c in office.run(ListCases(overdue=True), "org_road").cases] == []
    office.clock.move_to_us(due_us + 1)
    assert [c.overdue for c in office.run(ListCases(overdue=True), "org_road").cases] == [True]


def test_an_inbox_is_the_own_one(office):
    with office.desk.write() as scope:
        notice = Notices(scope).send("org_team", "x", TITLE, TITLE)
    assert office.run(ListNotices(), "org_stranger").notices == []
    with pytest.raises(NotFound):
        office.run(MarkRead(notice_id=notice), "org_stranger")
    office.run(MarkRead(notice_id=notice))
    inbox = office.run(ListNotices())
    assert (inbox.notices[0].read, inbox.unread) == (True, 0)


def test_prices_are_written_by_who_may_and_read_with_their_label(office):
    writer = ("reference:write",)
    series = DefineSeries.model_validate(example(DefineSeries))
    with pytest.raises(Forbidden):
        office.run(series)
    office.run(series, more=writer)
    prices = SetPrices.model_validate(
        {"series": "copper-sh", "prices": [{"day": "2026-02-12", "value": 10}, {"day": "2026-02-13", "value": 11}]}
    )
    with pytest.raises(Forbidden):
        office.run(prices)
    assert office.run(prices, more=writer).count == 2
    price = office.run(GetPrice(series="copper-sh"))
    assert (price.value, price.currency, price.unit, price.stale_days) == (11, "CNY", "t", 0)
    span = ListPrices.model_validate({"series": "copper-sh", "since": "2026-01-01", "until": "2026-02-12"})
    history = office.run(span)
    assert [point.value for point in history.prices] == [10]


def test_days_and_imported_notices(office):
    def day(text: str) -> Any:
        return office.run(GetDay.model_validate({"day": text}))

    saturday = day("2026-02-14")
    assert (saturday.working_day, saturday.bank_day, saturday.exchange_day) == (True, True, False)
    assert saturday.next_bank_day.isoformat() == "2026-02-24"
    assert saturday.four_working_hours_end == local("2026-02-14 13:00")
    assert day("2026-02-17").holiday == "Spring Festival"
    for unknown in ("2027-01-04", "0001-01-01", "9999-12-31"):
        with pytest.raises(Invalid):
            day(unknown)
    notice = ImportNotice.model_validate(example(ImportNotice))
    with pytest.raises(Forbidden):
        office.run(notice)
    assert office.run(notice, more=("reference:write",)).days_off == 1
    assert not day("2027-01-01").working_day
    assert day("2027-01-04").bank_day


def test_every_example_is_a_valid_request(office):
    for operation in office.registry:
        assert operation.request.model_validate(dict(operation.example)), operation.name
        assert all(operation.title), operation.name
