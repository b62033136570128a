"""Cases: something somebody must see to, with states, deadlines and a history that is never rewritten."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrepot.kernel.casework.tables import cases, entries
from entrepot.kernel.casework.types import CaseType, case_type
from entrepot.kernel.database import Scope
from entrepot.kernel.operations.canonical import canonical
from entrepot.kernel.operations.errors import Conflict, Forbidden, Invalid, NotFound

Title = tuple[str, str]
NO_DEADLINE = (1 << 62) - 1


@dataclass(frozen=True, slots=True)
class Case:
    """A case; `due_us` is None where its state has no limit."""

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


class Cases:
    """The tenant's cases."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._uow = scope.uow

    def open(
        self, type: str, subject: str, title: Title, *, party: str = "", data: Mapping[str, Any] | None = None,
        due_us: int | None = None, parties: tuple[tuple[str, str], ...] = (),
    ) -> str:  # fmt: skip
        """Open a case about an object; its id.

        `party` is whose inbox it lies in; `parties` adds (relation, party) pairs who may see it. Without `due_us` the
        first state's limit counts in working hours.
        """
        kind = case_type(type)
        identifier = self._scope.new_id("cas")
        due = due_us if due_us is not None else self._due(kind, kind.first)
        tenant, now_us = self._scope.tenant, self._scope.now_us
        self._uow.insert(
            cases,
            (tenant, identifier, type, kind.first, 0, title[0], title[1], subject, party, "", now_us, due,
             canonical(dict(data)) if data else "{}"),
        )  # fmt: skip
        if party or parties:
            from entrepot.kernel.parties.relations import Relations

            relations = Relations(self._scope)
            for relation, related in (("party", party), *parties):
                if related:
                    relations.add(identifier, relation, related, fresh=True)
        return identifier

    def get(self, case_id: str) -> Case:
        """One case. Raises NotFound."""
        return _case(self._row(case_id))

    def history(self, case_id: str) -> list[Entry]:
        """What was done to a case, oldest first."""
        rows = self._uow.fetch(
            "SELECT at, actor, action, state, note, document FROM case_entries "
            "WHERE tenant = %s AND case_id = %s ORDER BY id",
            (self._scope.tenant, case_id),
        )
        return [Entry(*row) for row in rows]

    def act(
        self, case_id: str, action: str, note: str = "", *, document: str = "", relations: frozenset[str] | None = None
    ) -> Case:
        """Take a case one step further.

        `relations` are what the actor's party is to the case; None for the kernel's own steps. Raises Conflict for a
        step that does not start here, Forbidden where another must take it, Invalid where something is missing.
        """
        row = self._row(case_id, lock=True)
        kind = case_type(row[2])
        step = kind.action(action)
        if step is None or row[3] not in step.sources:
            possible = [a.name for a in kind.actions if row[3] in a.sources]
            raise Conflict(
                "case/step",
                f"The case is {row[3]}; possible steps: {', '.join(possible) or 'none'}.",
                possible=possible,
            )
        if step.relations and relations is not None and not relations & set(step.relations):
            raise Forbidden("case/not-yours", f"Only {' or '.join(step.relations)} may {action} this case.")
        for needed, given in (("note", note), ("document", document)):
            if needed in step.needs and not given:
                raise Invalid(f"case/{needed}-missing", f"The step {action} needs a {needed}.")
        due = self._due(kind, step.target)
        changed = (*row[:3], step.target, int(step.target in kind.final), *row[5:11], due, row[12])
        self._uow.upsert(cases, changed)
        self._enter(case_id, action, step.target, note, document)
        self._scope.emit("casework.acted", {"case": case_id, "action": action, "state": step.target}, case_id)
        return _case(changed)

    def note(self, case_id: str, note: str, *, document: str = "") -> None:
        """Add a remark without a step. Raises NotFound."""
        row = self._row(case_id)
        self._enter(case_id, "note", row[3], note, document)

    def assign(self, case_id: str, person: str) -> Case:
        """Give a case to a person. Raises NotFound, Conflict when it is closed."""
        row = self._row(case_id, lock=True)
        if row[4]:
            raise Conflict("case/closed", "The case is closed.")
        changed = (*row[:9], person, *row[10:])
        self._uow.upsert(cases, changed)
        self._enter(case_id, "assign", row[3], person, "")
        return _case(changed)

    def merge_data(self, case_id: str, **changes: Any) -> None:
        """Change what a case carries. Raises NotFound."""
        row = self._row(case_id, lock=True)
        self._uow.upsert(cases, (*row[:12], canonical({**json.loads(row[12]), **changes})))

    def list(
        self, *, party: str | None = None, open_only: bool = True, type: str = "", subject: str = "", limit: int = 200
    ) -> list[Case]:
        """Cases, the newest first; `party` keeps those that the party has any relation to."""
        conditions, values = ["c.tenant = %s"], [self._scope.tenant]
        if open_only:
            conditions.append("c.closed = 0")
        for column, wanted in (("type", type), ("subject", subject)):
            if wanted:
                conditions.append(f"c.{column} = %s")
                values.append(wanted)
        if party is not None:
            conditions.append(
                "EXISTS (SELECT 1 FROM relations r WHERE r.tenant = c.tenant AND r.object_id = c.id AND r.party = %s)"
            )
            values.append(party)
        columns = ", ".join(f"c.{column.name}" for column in cases.columns)
        rows = self._uow.fetch(
            f"SELECT {columns} FROM cases c WHERE {' AND '.join(conditions)} ORDER BY c.id DESC LIMIT {int(limit)}",
            values,
        )
        return [_case(row) for row in rows]

    def _row(self, case_id: str, *, lock: bool = False) -> tuple[Any, ...]:
        key = (self._scope.tenant, case_id)
        row = self._uow.lock(cases, key) if lock else self._uow.row(cases, key)
        if row is None:
            raise NotFound("case/unknown", f"There is no case {case_id}.")
        return row

    def _enter(self, case_id: str, action: str, state: str, note: str, document: str) -> None:
        self._uow.insert(
            entries,
            (self._scope.tenant, case_id, self._scope.new_id("cse"), self._scope.now_us, self._scope.actor_id, action,
             state, note, document),
        )  # fmt: skip

    def _due(self, kind: CaseType, state: str) -> int:
        hours = kind.hours.get(state)
        if not hours:
            return NO_DEADLINE
        from entrepot.kernel.database.schema import to_us
        from entrepot.kernel.reference.worktime import working_deadline

        return to_us(working_deadline(self._scope.now, hours=hours))


def _case(row: tuple[Any, ...]) -> Case:
    return Case(
        id=row[1], type=row[2], state=row[3], closed=bool(row[4]), title=row[5], title_zh=row[6], subject=row[7],
        party=row[8], assignee=row[9], opened_us=row[10], due_us=None if row[11] == NO_DEADLINE else row[11],
        data=json.loads(row[12]),
    )  # fmt: skip
