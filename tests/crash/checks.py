"""What must be true of the data after any crash, and what else once everything has finished: findings, in words."""

import json
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from entrepot.kernel.database import Database, UnitOfWork, open_database
from entrepot.kernel.events import verify_chain
from entrepot.kernel.ledger import verify
from entrepot.kernel.operations import Registry
from entrepot.kernel.things.store import TelemetryStore, telemetry_url
from entrepot.region.plan import DEVICE
from tests.crash.journal import Promise

TENANT = "lanzhou"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the data is held against: the journal, and the bank's statement by instruction."""

    operations: dict[str, str]  # name of the request's class → name of the operation
    promises: dict[str, Promise]
    readings: set[int]
    paid: dict[str, dict[str, Any]]

    @classmethod
    def collect(cls, registry: Registry, journal: tuple[dict[str, Promise], set[int]], bank_url: str) -> "Evidence":
        """Ask the bank for its statement."""
        with urllib.request.urlopen(f"{bank_url}/statement", timeout=10) as answer:
            payments = json.loads(answer.read())["payments"]
        assert len({payment["instruction_id"] for payment in payments}) == len(payments)
        names = {operation.request.__name__: operation.name for operation in registry}
        return cls(names, *journal, {payment["instruction_id"]: payment for payment in payments})


def findings(url: str, evidence: Evidence, now_us: int, *, finished: bool) -> list[str]:
    """Everything that is wrong with a database that no worker is changing, and with its readings.

    Unless `finished`, commands, payments and timers may be under way, but none half done.
    """
    found: list[str] = []
    database = open_database(url)
    try:
        found += [f"ledger: {difference}" for difference in verify(database, TENANT, now_us)]
        found += [f"chain: {broken.where} {broken.what}" for broken in verify_chain(database, TENANT)]
        with database.reader() as uow:
            for check in CHECKS:
                found += [f"{check.__name__.strip('_')}: {what}" for what in check(uow, evidence, finished)]
    finally:
        database.close()
    return found + [f"readings: {what}" for what in _readings(url, evidence)]


def _sums(uow: UnitOfWork, evidence: Evidence, finished: bool) -> Iterator[str]:
    for asset, total in uow.read("SELECT asset, SUM(posted) FROM ledger_accounts GROUP BY asset"):
        if total:
            yield f"{asset} sums to {total}"


def _positions(uow: UnitOfWork, evidence: Evidence, finished: bool) -> Iterator[str]:
    count, first, last = uow.read("SELECT COUNT(*), MIN(position), MAX(position) FROM seals WHERE tenant = %s",
                                  (TENANT,))[0]  # fmt: skip
    if count and (first, last) != (1, count):
        yield f"{count} positions from {first} to {last}"
    if finished and (waiting := uow.read("SELECT COUNT(*) FROM unsealed")[0][0]):
        yield f"{waiting} rows are not sealed"


def _promises(uow: UnitOfWork, evidence: Evidence, finished: bool) -> Iterator[str]:
    """Each answer stands, and as many commands happened as were answered: none lost, none twice."""
    happened = dict(uow.read(
        "SELECT type, COUNT(*) FROM events WHERE tenant = %s AND status = 200 AND type = operation "
        "AND door = 'inprocess' GROUP BY type", (TENANT,),
    ))  # fmt: skip
    done: Counter[str] = Counter()
    under_way: Counter[str] = Counter()
    ids: Counter[str] = Counter()
    for promise in evidence.promises.values():
        name = evidence.operations[promise.operation]
        if any(answer != promise.answers[0] for answer in promise.answers):
            yield f"{promise.key} has different answers: {promise.answers}"
        done[name] += promise.done
        under_way[name] += not promise.answers
        if promise.done and promise.operation in {"IssueReceipt", "RequestLoan", "PledgeGoods", "Repay"}:
            ids[promise.answers[0][1]["id"]] += 1
    yield from (f"{identifier} was answered to {count} keys" for identifier, count in ids.items() if count > 1)
    for name in sorted({*done, *under_way, *happened}):
        least, most = done[name], done[name] + under_way[name]
        if not least <= happened.get(name, 0) <= most:
            yield f"{name} happened {happened.get(name, 0)} times, {least} to {most} were promised"
    if finished and (open_keys := [p.key for p in evidence.promises.values() if not p.answers]):
        yield f"never decided: {open_keys[:5]}"


def _receipts(uow: UnitOfWork, evidence: Evidence, finished: bool) -> Iterator[str]:
    """The goods of each receipt lie where its state says, all of them, and nowhere else."""
    free = {
        (owner, purpose.removeprefix("receipt:")): posted
        for owner, purpose, posted in uow.read(
            "SELECT owner, purpose, posted FROM ledger_accounts WHERE tenant = %s AND purpose LIKE %s AND posted <> 0",
            (TENANT, "receipt:%"),
        )
    }
    claims = {
        identifier: (amount, creditor)
        for identifier, amount, creditor in uow.read(
            "SELECT id, amount, creditor FROM ledger_encumbrances WHERE tenant = %s AND closed_at = 0", (TENANT,)
        )
    }
    faces = {
        promise.answers[0][1]["id"]: promise.answers[0][1]["quantity_kg"]
        for promise in evidence.promises.values()
        if promise.operation == "IssueReceipt" and promise.done
    }
    seen = set()
    for identifier, owner, state, claim, pledgee in uow.read(
        "SELECT id, owner, state, encumbrance, pledgee FROM wh_receipts WHERE tenant = %s", (TENANT,)
    ):
        seen.add(identifier)
        lying = free.pop((owner, identifier), 0)
        amount, creditor = claims.pop(claim, (0, "")) if claim else (0, "")
        goods = {"issued": lying, "pledged": amount}.get(state, 0)
        if lying + amount != goods or creditor != pledgee or (state in {"issued", "pledged"} and not goods):
            yield f"{identifier} is {state}, {lying} kg lie free and {amount} kg in favour of {creditor!r}"
        if goods and goods != faces.get(identifier, goods):
            yield f"{identifier} stands for {faces[identifier]} kg and holds {goods}"
    yield from (f"{identifier} was issued and is lost" for identifier in faces.keys() - seen)
    yield from (f"{left} kg of {key} have no receipt" for key, left in free.items())
    yield from (f"claim {claim} has no receipt" for claim in claims)


def _pledges(uow: UnitOfWork, evidence: Evidence, finished: bool) -> Iterator[str]:
    pledged = Counter(row[0] for row in uow.read("SELECT receipt_id FROM tf_pledges WHERE state = 'active'"))
    held = {row[0] for row in uow.read("SELECT id FROM wh_receipts WHERE state = 'pledged'")}
    yield from (f"{receipt} is pledged {count} times" for receipt, count in pledged.items() if count > 1)
    yield from (f"{receipt} is pledged in one book only" for receipt in pledged.keys() ^ held)


HOLD_OF = {"instructed": "open", "confirmed": "captured", "failed": "released", "returned": "released"}
LOAN_OF = {"instructed": "instructed", "confirmed": "booked", "failed": "failed", "returned": "failed"}


def _money(uow: UnitOfWork, evidence: Evidence, finished: bool) -> Iterator[str]:
    """Instructions, holds, loans, claims, cash and the bank's statement tell one story."""
    rows = uow.read("SELECT id, kind, loan_id, amount, debtor, creditor, hold, state, facility_id FROM tf_instructions")
    opened = uow.read("SELECT id, amount, status FROM ledger_holds WHERE tenant = %s", (TENANT,))
    holds = {str(hold): (amount, status) for hold, amount, status in opened}
    loans = {row[0]: row[1:] for row in uow.read("SELECT id, state, amount, instruction_id FROM tf_loans")}
    claims: Counter[str] = Counter()
    for identifier, kind, loan_id, amount, debtor, creditor, hold, state, facility in rows:
        if holds.pop(hold, None) != (amount, HOLD_OF[state]):
            yield f"{identifier} over {amount} is {state}, its hold is not"
        if loan_id and loans.pop(loan_id, None) != (LOAN_OF[state], amount, identifier):
            yield f"{identifier} is {state}, its loan {loan_id} is not"
        if state == "confirmed":
            claims[facility] += amount if kind == "payout" else -amount
        payment = evidence.paid.get(identifier)
        if payment is None:
            if state != "instructed":
                yield f"{identifier} is {state}, the bank knows nothing of it"
        elif (payment["amount_minor"], payment["debtor"], payment["creditor"]) != (amount, debtor, creditor):
            yield f"{identifier} is another payment at the bank: {payment}"
        elif state not in {"instructed", payment["state"]}:
            yield f"{identifier} is {state}, at the bank {payment['state']}"
        if finished and state == "instructed":
            yield f"{identifier} was never settled"
    yield from (f"the bank has paid {i}, which nobody instructed" for i in evidence.paid.keys() - {r[0] for r in rows})
    yield from (f"hold {hold} has no instruction" for hold in holds)
    yield from (f"loan {i} is {loan[0]} and has no instruction" for i, loan in loans.items() if loan[0] != "requested")
    for facility, lender_claim in uow.read(
        "SELECT f.id, COALESCE(SUM(a.posted), 0) FROM tf_facilities f LEFT JOIN ledger_accounts a ON a.asset = f.asset "
        "AND a.owner = f.lender AND a.purpose IN ('principal', 'interest') GROUP BY f.id"
    ):
        interest = uow.read(
            "SELECT COALESCE(SUM(amount), 0) FROM ledger_transfers WHERE reference = %s", (f"interest {facility}",)
        )[0][0]
        if lender_claim != claims[facility] + interest:
            yield f"{facility} owes {lender_claim}, payouts and repayments leave {claims[facility]} + {interest}"


def _bells(uow: UnitOfWork, evidence: Evidence, finished: bool) -> Iterator[str]:
    """Each timer that was promised fires once."""
    rung = Counter(row[0] for row in uow.read("SELECT subject FROM events WHERE type = 'bells.ring' AND status = 200"))
    known = {p.key: p.done for p in evidence.promises.values() if p.operation == "SetBell"}
    yield from (f"bell {bell} rang {count} times" for bell, count in rung.items() if count > 1)
    yield from (f"bell {bell} was never set" for bell in rung.keys() - known.keys())
    if finished:
        yield from (f"bell {bell} did not ring" for bell, was_set in known.items() if was_set and not rung[bell])
    for key, state in uow.read("SELECT key, state FROM timers WHERE state = 'failed' OR attempts >= 5"):
        yield f"timer {key} is {state}"


def _cases(uow: UnitOfWork, evidence: Evidence, finished: bool) -> Iterator[str]:
    """The history of a case has no gap, and each note is in it once."""
    for case, entries, count, first, last in uow.read(
        "SELECT c.id, c.entries, COUNT(e.number), MIN(e.number), MAX(e.number) FROM cases c LEFT JOIN case_entries e "
        "ON e.tenant = c.tenant AND e.case_id = c.id GROUP BY c.id, c.entries"
    ):
        if entries != count or (count and last - first + 1 != count):
            yield f"{case} has {count} of {entries} entries, from {first} to {last}"
    notes = Counter(row[0] for row in uow.read("SELECT note FROM case_entries WHERE note <> ''"))
    for promise in evidence.promises.values():
        if promise.operation in {"NoteOnCase", "ActOnCase"} and promise.answers:
            note = json.loads(promise.body)["note"]
            told = notes[note]
            if told != promise.done:
                yield f"{promise.key} was answered {promise.answers[0][0]}, its note stands {told} times"


def _readings(url: str, evidence: Evidence) -> Iterator[str]:
    """Every reading that was acknowledged is kept once."""
    store = TelemetryStore(telemetry_url("", url))
    try:
        with store.database.reader() as uow:
            kept = [row[0] for row in uow.read("SELECT seq FROM telemetry_readings WHERE device = %s", (DEVICE,))]
        state = store.state(TENANT, DEVICE)
    finally:
        store.close()
    if lost := evidence.readings - set(kept):
        yield f"lost: {sorted(lost)[:5]}"
    if len(kept) != len(set(kept)) or state.last_seq != max(kept, default=0) or state.accepted != len(kept):
        yield f"{len(kept)} readings are kept, {state.accepted} were accepted, the last is {state.last_seq}"


def unfinished(database: Database, now_us: int) -> dict[str, int]:
    """What is still to be done by workers, by kind; empty when all is finished."""
    status = "workflow_status" if database.dialect == "sqlite" else "dbos.workflow_status"
    with database.reader() as uow:
        counts = {
            "instructions": uow.read("SELECT COUNT(*) FROM tf_instructions WHERE state = 'instructed'")[0][0],
            "unsealed": uow.read("SELECT COUNT(*) FROM unsealed")[0][0],
            "timers": uow.read("SELECT COUNT(*) FROM timers WHERE state = 'pending' AND due_at <= %s", (now_us,))[0][0],
            "workflows": uow.read(f"SELECT COUNT(*) FROM {status} WHERE status <> 'SUCCESS'")[0][0],
            "subscriptions": uow.read(
                "SELECT COUNT(*) FROM seals s JOIN events e ON e.tenant = s.tenant AND e.id = s.row_id "
                "WHERE s.stream = 'events' AND e.type = 'reference.set_prices' AND s.position > COALESCE("
                "(SELECT MIN(position) FROM event_subscriptions WHERE name = 'tradefinance.revalue'), 0)"
            )[0][0],
        }  # fmt: skip
    return {kind: count for kind, count in counts.items() if count}


CHECKS: tuple[Callable[[UnitOfWork, Evidence, bool], Iterator[str]], ...] = (
    _sums, _positions, _promises, _receipts, _pledges, _money, _bells, _cases,
)  # fmt: skip
