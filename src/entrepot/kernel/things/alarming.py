"""Alarm turns from the telemetry store into the main database, as commands of the system, each exactly once."""

import logging

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Actor, Executor, Request
from entrepot.kernel.things.operations import ClearAlarm, RaiseAlarm
from entrepot.kernel.things.store import AlarmTurn, TelemetryStore
from entrepot.kernel.things.views import AlarmTurned

SCOPES = frozenset({"things:alarm"})
TRY_AGAIN = frozenset({429, 500, 503})

log = logging.getLogger(__name__)


def deliver_turns(executor: Executor, store: TelemetryStore, tenant: str) -> int:
    """Run the command of every pending turn; how many were settled. Stops at the first that must be tried again.

    Call it from a thread that is neither the event loop nor a writer. The key says what turned, so that a turn that
    was delivered before a crash is not delivered twice.
    """
    actor = Actor.system(tenant, "things", SCOPES)
    settled: list[AlarmTurn] = []
    for turn in store.pending_turns(tenant):
        key = f"alarm:{turn.device}:{turn.rule}:{turn.seq}:{turn.turn}"
        outcome = executor.submit(command_of(turn), actor, key, "telemetry").result()
        if outcome.status in TRY_AGAIN:
            break
        if outcome.status != 200:
            log.warning("the alarm %s was refused: %s", key, outcome.json)
        settled.append(turn)
    if settled:
        store.settled(tenant, settled)
    return len(settled)


def command_of(turn: AlarmTurn) -> Request[AlarmTurned]:
    """The command that records a turn."""
    at = from_us(turn.at_us)
    if turn.turn == "raised":
        return RaiseAlarm(device_id=turn.device, rule=turn.rule, seq=turn.seq, at=at, detail=dict(turn.detail))
    return ClearAlarm(device_id=turn.device, rule=turn.rule, seq=turn.seq, at=at)
