"""Cases on both databases: steps, who may take them, stopped and moved clocks, a tenant's own types."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.casework import Action, Cases, CaseType
from entrepot.kernel.database import Database
from entrepot.kernel.database.schema import to_us
from entrepot.kernel.notices import Notices
from entrepot.kernel.operations import Conflict, Forbidden, Invalid, NotFound
from entrepot.kernel.parties import Relations
from entrepot.kernel.timers import Timers
from tests.kernel.services import HOUR_US, Desk, local

TITLE = ("Manhole cover missing", "井盖丢失")
GRID = CaseType(
    "grid",
    ("City grid case", "网格案件"),
    "reported",
    ("closed", "void"),
    (
        Action("accept", ("Accept", "受理"), ("reported",), "accepted", roles=("grid_desk",)),
        Action("register", ("Register", "立案"), ("accepted",), "registered", roles=("grid_desk",)),
        Action("dispatch", ("Dispatch", "派遣"), ("registered",), "dispatched", roles=("grid_desk",)),
        Action("handle", ("Handle", "处置"), ("dispatched",), "handled", ("party",), ("note", "document")),
        Action("verify", ("Verify", "核查"), ("handled",), "verified", ("supervisor",)),
        Action("rework", ("Rework", "返工"), ("handled",), "dispatched", ("supervisor",), ("note",)),
        Action("close", ("Close", "结案"), ("verified",), "closed", roles=("grid_desk",)),
        Action("return", ("Return", "退回"), ("dispatched",), "registered", ("party",), ("note",)),
        Action("extend", ("Extend", "延期"), ("dispatched",), clock="extend", extra_hours=8, needs=("note",)),
        Action("suspend", ("Suspend", "挂账"), ("dispatched",), "suspended", clock="suspend", needs=("note",)),
        Action("resume", ("Resume", "恢复"), ("suspended",), "dispatched", clock="resume"),
        Action("urge", ("Supervise", "督办"), clock="keep", relations=("supervisor",)),
        Action("void", ("Void", "作废"), target="void", roles=("grid_desk",), needs=("note",)),
    ),
    hours={"reported": 1, "dispatched": 16},
    watch=True,
)


@pytest.fixture
def desk(database: Database) -> Desk:
    """Tuesday 1 July 2008, 10:00; the grid's types are the tenant's own."""
    desk = Desk(database)
    with desk.write() as scope:
        Cases(scope).define(GRID)
    return desk


def opened(desk: Desk, type: str = "grid") -> str:
    with desk.write() as scope:
        return Cases(scope).open(
            type, "place_1", TITLE, party="org_team", data={"lot": 3}, parties=(("supervisor", "org_city"),)
        )


def act(desk: Desk, case: str, *actions: str) -> None:
    for action in actions:
        with desk.write() as scope:
            Cases(scope).act(case, action, "seen on site", document="sha256-1")


def test_a_case_carries_what_it_is_about(desk):
    case = opened(desk)
    with desk.read() as scope:
        found = Cases(scope).get(case)
    assert (found.type, found.state, found.closed, found.title, found.title_zh) == ("grid", "reported", False, *TITLE)
    assert (found.subject, found.party, found.assignee, found.data) == ("place_1", "org_team", "", {"lot": 3})
    assert found.opened_us == to_us(local("2008-07-01 10:00"))
    assert found.due_us == to_us(local("2008-07-01 11:00"))


def test_from_report_to_close_with_rework(desk):
    case = opened(desk)
    path = ["accept", "register", "dispatch", "handle", "rework", "handle", "verify", "urge", "close"]
    act(desk, case, *path)
    with desk.read() as scope:
        cases = Cases(scope)
        assert [entry.action for entry in cases.history(case)] == path
        assert [entry.state for entry in cases.history(case)][-3:] == ["verified", "verified", "closed"]
        assert (cases.get(case).closed, cases.get(case).due_us) == (True, None)
        assert cases.list() == []
        assert [found.id for found in cases.list(open_only=False)] == [case]
    assert [kind for kind, _, _ in desk.events] == ["casework.acted"] * len(path)


def test_a_step_that_does_not_start_here_is_refused(desk):
    case = opened(desk)
    with desk.write() as scope:
        with pytest.raises(Conflict) as refused:
            Cases(scope).act(case, "close")
        assert refused.value.extras["possible"] == ["accept", "urge", "void"]
        with pytest.raises(Conflict):
            Cases(scope).act(case, "fly")
        with pytest.raises(NotFound):
            Cases(scope).act("cas_none", "accept")
    act(desk, case, "void")
    with desk.write() as scope, pytest.raises(Conflict) as refused:
        Cases(scope).act(case, "urge")
    assert refused.value.extras["possible"] == []


def test_role_or_relation_decides_who_may_act(desk):
    case = opened(desk)
    with desk.write() as scope:
        cases, team = Cases(scope), frozenset({"party"})
        with pytest.raises(Forbidden):
            cases.act(case, "accept", relations=team)
        with pytest.raises(Forbidden):
            cases.act(case, "accept", relations=frozenset(), roles=frozenset({"teller"}))
        cases.act(case, "accept", relations=frozenset(), roles=frozenset({"grid_desk"}))
        with pytest.raises(Forbidden):
            cases.act(case, "urge", relations=team)
        cases.act(case, "urge", relations=frozenset({"supervisor"}))


def test_note_and_document_are_needed(desk):
    case = opened(desk)
    act(desk, case, "accept", "register", "dispatch")
    with desk.write() as scope:
        for note, document, code in (("", "d", "case/note-missing"), ("n", "", "case/document-missing")):
            with pytest.raises(Invalid) as refused:
                Cases(scope).act(case, "handle", note, document=document)
            assert refused.value.code == code


def test_the_clock_is_kept_extended_stopped_and_goes_on(desk):
    """16 working hours from Tuesday 10:00 end on Thursday 10:00; National Day week is used for the stop."""
    case = opened(desk)
    act(desk, case, "accept", "register", "dispatch")

    def due() -> int | None:
        with desk.read() as scope:
            return Cases(scope).get(case).due_us

    assert due() == to_us(local("2008-07-03 10:00"))
    act(desk, case, "urge")
    assert due() == to_us(local("2008-07-03 10:00"))
    act(desk, case, "extend")
    assert due() == to_us(local("2008-07-04 10:00"))
    desk.move_to("2008-07-03 16:00")  # two working hours are left: one today, one on Friday
    act(desk, case, "suspend")
    assert due() is None
    desk.move_to("2008-09-28 16:30")  # a make-up Sunday before National Day, 29 September to 5 October
    act(desk, case, "resume")
    assert due() == to_us(local("2008-10-06 10:30"))


def test_a_watched_deadline_is_a_timer_that_moves_with_it(desk):
    case = opened(desk)

    def timer() -> int | None:
        with desk.read() as scope:
            return Timers(scope).due_us(f"case:{case}")

    assert timer() == to_us(local("2008-07-01 11:00"))
    act(desk, case, "accept")
    assert timer() is None
    act(desk, case, "register", "dispatch")
    assert timer() == to_us(local("2008-07-03 10:00"))
    act(desk, case, "return")
    assert timer() is None


def test_an_overdue_case_tells_party_assignee_and_supervisor_once(desk):
    case = opened(desk)
    with desk.write() as scope:
        Cases(scope).assign(case, "per_1")
    due_us = to_us(local("2008-07-01 11:00"))
    desk.now_us = due_us
    with desk.write("system:casework") as scope:
        cases = Cases(scope)
        assert [found.id for found in cases.overdue()] == []
        cases.mark_overdue(case, due_us - 1)  # a deadline that was moved
        assert cases.history(case)[-1].action == "assign"
        cases.mark_overdue(case, due_us)
        assert cases.history(case)[-1].action == "overdue"
    desk.now_us += 1
    with desk.read() as scope:
        assert [found.id for found in Cases(scope).overdue(party="org_city")] == [case]
        for who in ("org_team", "per_1", "org_city"):
            assert [notice.kind for notice in Notices(scope).inbox(who)] == ["overdue"]
    act(desk, case, "void")
    with desk.write() as scope:
        Cases(scope).mark_overdue(case, due_us)
        assert len(Notices(scope).inbox("org_team")) == 1


def test_lists_by_party_type_state_subject_and_assignee(desk):
    mine, alarm = opened(desk), opened(desk, "alarm")
    act(desk, mine, "accept")
    with desk.write() as scope:
        cases = Cases(scope)
        other = cases.open("alarm", "dev_9", TITLE, party="org_other", assignee="per_2")
        listed = lambda **how: [case.id for case in cases.list(**how)]  # noqa: E731
        assert listed() == [other, alarm, mine]
        assert listed(party="org_team") == listed(party="org_city") == [alarm, mine]
        assert listed(party="org_other") == [other]
        assert listed(party="") == []
        assert listed(type="alarm") == [other, alarm]
        assert listed(state="accepted") == [mine]
        assert listed(subject="dev_9") == listed(assignee="per_2") == [other]
        assert listed(limit=1) == [other]
        Relations(scope).end(alarm, "supervisor", "org_city")
        assert listed(party="org_city") == [mine]
    with Desk(desk.database, tenant="xining").read() as scope:
        assert Cases(scope).list() == []


def test_relations_held(desk):
    case = opened(desk)
    with desk.write() as scope:
        cases = Cases(scope)
        cases.assign(case, "per_1")
        assert cases.held(case, "org_team") == {"party"}
        assert cases.held(case, "org_team", "per_1") == {"party", "assignee"}
        assert cases.held(case, "org_city") == {"supervisor"}
        assert cases.held(case, "org_none", "per_2") == cases.held(case, "", "") == frozenset()
        assert cases.held("cas_none", "org_team") == frozenset()


def test_notes_assignments_and_data(desk):
    case = opened(desk)
    with desk.write("wang") as scope:
        cases = Cases(scope)
        cases.note(case, "called the keeper", document="sha256-2")
        cases.assign(case, "per_1")
        cases.merge_data(case, lot=4, weight_kg=12)
        assert cases.get(case).data == {"lot": 4, "weight_kg": 12}
        entries = cases.history(case)
        assert [(e.actor, e.action, e.note, e.document, e.state) for e in entries] == [
            ("wang", "note", "called the keeper", "sha256-2", "reported"),
            ("wang", "assign", "per_1", "", "reported"),
        ]
        cases.act(case, "void", "by mistake")
        with pytest.raises(Conflict):
            cases.assign(case, "per_2")


class TestTypes:
    def test_a_tenant_has_its_own_type_in_place_of_a_system_s(self, desk, database):
        slow = CaseType("alarm", ("Alarm", "告警"), "open", hours={"open": 40})
        with desk.write() as scope:
            Cases(scope).define(slow)
        with desk.write() as scope:
            case = Cases(scope).open("alarm", "dev_1", TITLE)
            assert Cases(scope).get(case).due_us == to_us(local("2008-07-08 10:00"))
        with Desk(database, tenant="xining").write() as scope:
            case = Cases(scope).open("alarm", "dev_1", TITLE)
            assert Cases(scope).get(case).due_us == to_us(local("2008-07-01 14:00"))
            with pytest.raises(Invalid) as refused:
                Cases(scope).open("grid", "place_1", TITLE)
            assert refused.value.code == "case/unknown-type"

    def test_a_change_that_strands_an_open_case_is_refused(self, desk):
        case = opened(desk)
        act(desk, case, "accept")
        with desk.write() as scope, pytest.raises(Conflict) as refused:
            Cases(scope).define(CaseType("grid", first="reported"))
        assert "accepted: 1" in refused.value.detail
        act(desk, case, "void")
        with desk.write() as scope:
            Cases(scope).define(CaseType("grid", first="reported"))

    def test_a_refused_definition_leaves_no_trace(self, desk):
        with desk.database.unit() as uow:
            uow.begin_operation()
            Cases(desk.scope(uow)).define(CaseType("pothole"))
            uow.refuse_operation()
            uow.begin_operation()
            with pytest.raises(Invalid):
                Cases(desk.scope(uow)).types.get("pothole")

    def test_a_limit_by_the_clock_on_the_wall(self, desk):
        desk.move_to("2008-07-04 16:00")
        with desk.write() as scope:
            cases = Cases(scope)
            cases.define(CaseType("urgent", hours={"open": 24}, calendar="natural"))
            assert cases.get(cases.open("urgent", "x", TITLE)).due_us == desk.now_us + 24 * HOUR_US

    def test_a_limit_in_an_unknown_year_is_refused_not_guessed(self, desk):
        desk.move_to("2026-12-31 16:30")
        with desk.write() as scope, pytest.raises(Invalid) as refused:
            Cases(scope).open("grid", "x", TITLE)
        assert refused.value.code == "calendar/unknown-year"

    @pytest.mark.parametrize(
        "wrong",
        [
            {"actions": (Action("a", TITLE, ("nowhere",), "closed"),)},
            {"actions": (Action("a", TITLE, ("closed",), "open"),)},
            {"actions": (Action("a", TITLE, target="closed"), Action("a", TITLE, target="open"))},
            {"actions": (Action("a", TITLE, target="closed", needs=("money",)),)},
            {"hours": {"nowhere": 1}},
            {"hours": {"closed": 1}},
            {"hours": {"open": 0}},
        ],
    )
    def test_an_inconsistent_type_is_refused(self, wrong):
        with pytest.raises(Invalid) as refused:
            CaseType("x", **wrong)
        assert refused.value.code == "case/type"

    def test_a_type_is_data(self):
        assert CaseType.from_json(GRID.to_json()) == GRID
        assert json.loads(GRID.to_json())["calendar"] == "legal"

    @given(st.lists(st.sampled_from([action.name for action in GRID.actions]), max_size=12))
    def test_any_walk_stays_in_known_states_and_ends_in_final_ones(self, names):
        state = GRID.first
        for name in names:
            step = next((one for one in GRID.steps(state) if one.name == name), None)
            if step is not None:
                assert state not in GRID.final
                state = step.target or state
                assert state in GRID.known_states


def test_opening_many_is_cheap(database):
    """The case of every operation: under 10 microseconds of service time (a bound that two busy cores still meet)."""
    import time

    desk = Desk(database)
    with desk.write() as scope:
        cases, rounds = Cases(scope), 3_000
        cases.open("alarm", "x", TITLE, party="org_1", due_us=desk.now_us)
        best = 1.0
        for _ in range(5):
            started = time.perf_counter()
            for _ in range(rounds // 5):
                cases.open("alarm", "x", TITLE, party="org_1")
            best = min(best, (time.perf_counter() - started) / (rounds // 5))
        assert len(cases.list(limit=10_000)) == rounds + 1
    assert best < 40e-6, f"{best * 1e6:.1f} us"


def test_times_are_exact_microseconds(desk):
    desk.now_us = to_us(datetime(2008, 7, 1, 2, 0, 0, 123_457, tzinfo=UTC))
    case = opened(desk)
    with desk.read() as scope:
        assert Cases(scope).get(case).due_us == desk.now_us + HOUR_US
