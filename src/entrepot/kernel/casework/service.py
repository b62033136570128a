"""Cases: something somebody must see to, with states, deadlines and a history that is never rewritten."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from entrepot.kernel.casework.catalogue import Catalogue
from entrepot.kernel.casework.tables import NO_DEADLINE, cases, entries
from entrepot.kernel.casework.types import Action, CaseType
from entrepot.kernel.database import Scope
from entrepot.kernel.notices.service import Notices
from entrepot.kernel.operations.canonical import canonical
from entrepot.kernel.operations.errors import Conflict, Forbidden, Invalid, NotFound
from entrepot.kernel.parties.relations import Relations
from entrepot.kernel.reference.service import Reference
from entrepot.kernel.reference.worktime import HOUR_US, OFFICE, working_time
from entrepot.kernel.timers.service import Timers

Title = tuple[str, str]
CaseRows = list["Case"]
WATCH = "casework.mark_overdue"
NO_TIME_LEFT = -1
RELATIONS = ("party", "assignee", "supervisor", "creditor", "owner", "custodian", "insurer")


@dataclass(frozen=True, slots=True)
class Case:
    """A case; `due_us` is None where its state has no limit, or the clock is stopped."""

    id: str
    type: str
    state: str
    closed: bool
    title: str
    title_zh: str
    subject: str
    party: str
    assignee: str
    opened_us: int
    due_us: int | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a case's history."""

    at_us: int
    actor: str
    action: str
    state: str
    note: str
    document: str


class _Row(NamedTuple):
    tenant: str
    id: str
    type: str
    state: str
    closed: int
    title: str
    title_zh: str
    subject: str
    party: str
    assignee: str
    opened_at: int
    due_at: int
    left_us: int
    entries: int
    data: str

    def case(self) -> Case:
        return Case(
            self.id, self.type, self.state, bool(self.closed), self.title, self.title_zh, self.subject, self.party,
            self.assignee, self.opened_at, None if self.due_at == NO_DEADLINE else self.due_at, json.loads(self.data),
        )  # fmt: skip


class Cases:
    """The tenant's cases."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uow = scope.uow
        self._types: Catalogue | None = None

    @property
    def types(self) -> Catalogue:
        """The case types that hold in this tenant."""
        if self._types is None:
            self._types = Catalogue(self._scope)
        return self._types

    def define(self, kind: CaseType) -> None:
        """Make a case type the tenant's own, in place of a system's. Raises Conflict where it would strand a case."""
        self.types.define(kind)

    def open(
        self, type: str, subject: str, title: Title, *, party: str = "", data: Mapping[str, Any] | None = None,
        due_us: int | None = None, parties: tuple[tuple[str, str], ...] = (), assignee: str = "",
    ) -> str:  # fmt: skip
        """Open a case about an object; its id.

        `party` is whose inbox it lies in; `parties` adds (relation, party) pairs who may see it. Without `due_us` the
        first state's limit counts in working time. Raises Invalid for an unknown type.
        """
        scope = self._scope
        kind = self.types.get(type)
        identifier = scope.new_id("cas")
        due = due_us if due_us is not None else self._due(kind, kind.first)
        self._uow.insert(
            cases,
            (scope.tenant, identifier, type, kind.first, 0, title[0], title[1], subject, party, assignee, scope.now_us,
             due, 0, 0, canonical(dict(data)) if data else "{}"),
        )  # fmt: skip
        if parties:
            relations = Relations(scope)
            for relation, related in parties:
                if related:
                    relations.add(identifier, relation, related, fresh=True)
        if kind.watch and due != NO_DEADLINE:
            self._watch(identifier, due, fresh=True)
        return identifier

    def get(self, case_id: str) -> Case:
        """One case. Raises NotFound."""
        return self._row(case_id).case()

    def history(self, case_id: str) -> list[Entry]:
        """What was done to a case, oldest first."""
        rows = self._uow.fetch(
            "SELECT at, actor, action, state, note, document FROM case_entries "
            "WHERE tenant = %s AND case_id = %s ORDER BY number",
            (self._scope.tenant, case_id),
        )
        return [Entry(*row) for row in rows]

    def held(self, case_id: str, party: str, person: str = "") -> frozenset[str]:
        """The relations that a party, or a person acting for it, has to a case; none to a case that is not there."""
        row = self._uow.row(cases, (self._scope.tenant, case_id))
        if row is None:
            return frozenset()
        case, relations = _Row(*row), Relations(self._scope)
        found = {name for name in RELATIONS if party and relations.has(case_id, name, party)}
        if party and case.party == party:
            found.add("party")
        if person and case.assignee == person:
            found.add("assignee")
        return frozenset(found)

    def act(
        self, case_id: str, action: str, note: str = "", *, document: str = "",
        relations: frozenset[str] | None = None, roles: frozenset[str] = frozenset(),
    ) -> Case:  # fmt: skip
        """Take a case one step further.

        `relations` are what the actor is to the case, None for the kernel's own steps; `roles` are the actor's. Raises
        Conflict for a step that does not start here, Forbidden where another must take it, Invalid where something is
        missing.
        """
        row = self._row(case_id, lock=True)
        kind = self.types.get(row.type)
        step = next((one for one in kind.steps(row.state) if one.name == action), None)
        if step is None:
            possible = [one.name for one in kind.steps(row.state)]
            raise Conflict(
                "case/step",
                f"The case is {row.state}; possible steps: {', '.join(possible) or 'none'}.",
                possible=possible,
            )
        allowed = {*step.relations, *step.roles}
        if relations is not None and allowed and not allowed & (relations | roles):
            raise Forbidden("case/not-yours", f"Only {' or '.join(sorted(allowed))} may {action} this case.")
        for needed, given in (("note", note), ("document", document)):
            if needed in step.needs and not given:
                raise Invalid(f"case/{needed}-missing", f"The step {action} needs a {needed}.")
        state = step.target or row.state
        due, left = self._clock(kind, row, step)
        changed = row._replace(state=state, closed=int(state in kind.final), due_at=due, left_us=left)
        changed = self._enter(changed, action, note, document)
        if kind.watch and due != row.due_at:
            self._watch(case_id, due)
        self._scope.emit("casework.acted", {"case": case_id, "action": action, "state": state}, case_id)
        return changed.case()

    def note(self, case_id: str, note: str, *, document: str = "") -> None:
        """Add a remark without a step. Raises NotFound."""
        self._enter(self._row(case_id, lock=True), "note", note, document)

    def assign(self, case_id: str, person: str) -> Case:
        """Give a case to a person. Raises NotFound, Conflict when it is closed."""
        row = self._row(case_id, lock=True)
        if row.closed:
            raise Conflict("case/closed", "The case is closed.")
        changed = self._enter(row._replace(assignee=person), "assign", person)
        self._scope.emit("casework.assigned", {"case": case_id, "assignee": person}, case_id)
        return changed.case()

    def merge_data(self, case_id: str, **changes: Any) -> None:
        """Change what a case carries. Raises NotFound."""
        row = self._row(case_id, lock=True)
        self._uow.upsert(cases, row._replace(data=canonical({**json.loads(row.data), **changes})))

    def mark_overdue(self, case_id: str, due_us: int) -> Case:
        """Note that a deadline has passed and tell the party, the assignee and the supervisors.

        Nothing happens for a deadline that was moved, or a case that was closed meanwhile. Raises NotFound.
        """
        row = self._row(case_id, lock=True)
        if row.closed or row.due_at != due_us:
            return row.case()
        row = self._enter(row, "overdue")
        self._scope.emit("casework.overdue", {"case": case_id, "state": row.state, "due_us": due_us}, case_id)
        supervisors = [party for relation, party in Relations(self._scope).of(case_id) if relation == "supervisor"]
        notices = Notices(self._scope)
        for party in sorted({row.party, row.assignee, *supervisors} - {""}):
            notices.send(
                party, "overdue", (f"Overdue: {row.title}", f"已超期：{row.title_zh}"),
                (f"The deadline of case {case_id} has passed.", f"办件 {case_id} 已超过办理期限。"), case_id,
            )  # fmt: skip
        return row.case()

    def list(
        self, *, party: str | None = None, open_only: bool = True, type: str = "", subject: str = "", state: str = "",
        assignee: str = "", due_before_us: int | None = None, limit: int = 200,
    ) -> list[Case]:  # fmt: skip
        """Cases, the newest first, with `due_before_us` the most urgent first.

        `party` keeps those that lie in the party's inbox or to which it has any relation.
        """
        tenant = self._scope.tenant
        conditions, values = ["tenant = %s"], [tenant]
        if open_only:
            conditions.append("closed = 0")
        for column, wanted in (("type", type), ("subject", subject), ("state", state), ("assignee", assignee)):
            if wanted:
                conditions.append(f"{column} = %s")
                values.append(wanted)
        if party is not None:
            conditions.append(
                "id IN (SELECT id FROM cases WHERE tenant = %s AND party = %s UNION "
                "SELECT object_id FROM relations WHERE tenant = %s AND party = %s AND substr(object_id, 1, 4) = 'cas_')"
            )
            values += [tenant, party, tenant, party]
        if due_before_us is not None:
            conditions.append(f"due_at < {int(min(due_before_us, NO_DEADLINE))}")
        order = "id DESC" if due_before_us is None else "due_at, id"
        columns = ", ".join(column.name for column in cases.columns)
        rows = self._uow.fetch(
            f"SELECT {columns} FROM cases WHERE {' AND '.join(conditions)} ORDER BY {order} LIMIT {int(limit)}", values
        )
        return [_Row(*row).case() for row in rows]

    def overdue(self, *, party: str | None = None, limit: int = 200) -> CaseRows:
        """Open cases whose deadline has passed, the longest overdue first."""
        return self.list(party=party, due_before_us=self._scope.now_us, limit=limit)

    def _row(self, case_id: str, *, lock: bool = False) -> _Row:
        key = (self._scope.tenant, case_id)
        row = self._uow.lock(cases, key) if lock else self._uow.row(cases, key)
        if row is None:
            raise NotFound("case/unknown", f"There is no case {case_id}.")
        return _Row(*row)

    def _enter(self, row: _Row, action: str, note: str = "", document: str = "") -> _Row:
        """Write the case with one more line of history; the row's counter orders what happens at one instant."""
        scope = self._scope
        counted = row._replace(entries=row.entries + 1)
        self._uow.upsert(cases, counted)
        self._uow.insert(
            entries,
            (scope.tenant, row.id, counted.entries, scope.now_us, scope.actor_id, action, row.state, note, document),
        )
        return counted

    # --- deadlines -------------------------------------------------------------------------------------------------

    def _clock(self, kind: CaseType, row: _Row, step: Action) -> tuple[int, int]:
        """Deadline and remaining time after a step."""
        now_us, state = self._scope.now_us, step.target or row.state
        if state in kind.final:
            return NO_DEADLINE, 0
        if step.clock == "keep":
            return row.due_at, row.left_us
        if step.clock == "extend":
            if row.due_at == NO_DEADLINE:
                raise Conflict("case/no-deadline", "A case without a deadline cannot be given more time.")
            return self._after(kind, row.due_at, step.extra_hours * HOUR_US), 0
        if step.clock == "suspend":
            if row.due_at == NO_DEADLINE:
                return NO_DEADLINE, row.left_us or NO_TIME_LEFT
            return NO_DEADLINE, self._between(kind, now_us, row.due_at)
        if step.clock == "resume" and row.left_us != NO_TIME_LEFT:
            return self._after(kind, now_us, row.left_us), 0
        return self._due(kind, state), 0

    def _due(self, kind: CaseType, state: str) -> int:
        hours = kind.hours.get(state)
        return self._after(kind, self._scope.now_us, hours * HOUR_US) if hours else NO_DEADLINE

    def _after(self, kind: CaseType, start_us: int, work_us: int) -> int:
        if kind.calendar == "natural":
            return start_us + work_us
        return working_time(Reference(self._scope).calendar(kind.calendar), OFFICE).deadline_us(start_us, work_us)

    def _between(self, kind: CaseType, start_us: int, end_us: int) -> int:
        if kind.calendar == "natural":
            return max(end_us - start_us, 0)
        return working_time(Reference(self._scope).calendar(kind.calendar), OFFICE).between_us(start_us, end_us)

    def _watch(self, case_id: str, due_us: int, *, fresh: bool = False) -> None:
        timers, key = Timers(self._scope), f"case:{case_id}"
        if due_us == NO_DEADLINE:
            timers.cancel(key)
        else:
            request = canonical({"case_id": case_id, "due_us": due_us})
            timers.set(key, due_us, WATCH, request, fresh=fresh)
