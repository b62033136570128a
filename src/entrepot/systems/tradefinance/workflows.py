"""Durable work of trade finance: asking the bank until it has answered, and following the price."""

from typing import Any

from entrepot.kernel import banking
from entrepot.kernel.events import Event, Subscription
from entrepot.kernel.operations import Conflict
from entrepot.kernel.workflows import Flow, workflow
from entrepot.systems.tradefinance.monitoring import Revalue
from entrepot.systems.tradefinance.operations import SettleInstruction

PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0, 15.0, 60.0)


@workflow("tradefinance.settle")
def settle(flow: Flow, arguments: dict[str, Any]) -> dict[str, Any]:
    """Instruct the bank once (by our id), ask until it has decided, book what it says.

    A bank that answers twice or late is met by the first answer that was booked.
    """
    instruction_id = str(arguments["instruction_id"])
    payment = {name: arguments[name] for name in ("amount_minor", "currency", "debtor", "creditor")}
    answer = flow.outside("instruct", banking.instruct, instruction_id, payment)
    turn = 0
    while answer["state"] == "pending":
        flow.sleep(PAUSES_S[min(turn, len(PAUSES_S) - 1)])
        answer = flow.outside(f"ask-{turn}", banking.status, instruction_id)
        turn += 1
    try:
        return flow.command(
            "book",
            SettleInstruction(
                instruction_id=instruction_id,
                outcome=answer["state"],
                bank_reference=str(answer.get("reference", "")),
            ),
        )
    except Conflict as conflict:
        return {"id": instruction_id, "state": conflict.code}


def _revalue(event: Event) -> Revalue | None:
    return Revalue(series=event.subject) if event.status == 200 else None


SUBSCRIPTIONS = (Subscription("tradefinance.revalue", "tradefinance", ("reference.set_prices",), _revalue),)
