"""The ledger once more, as small as possible: what it must do, without regard for speed or storage."""

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from entrepot.kernel.ledger import Transfer

LIMIT = 2**63 - 1


@dataclass
class Model:
    """Balances by account; holds as [debit, credit, amount, expiry, state, captured]."""

    issuer: int
    caps: dict[int, int]
    asset: dict[int, str]
    posted: dict[int, int]
    frozen: set[int] = field(default_factory=set)
    holds: dict[int, list[Any]] = field(default_factory=dict)

    def held(self, account: int, now: int) -> int:
        return sum(h[2] for h in self.holds.values() if h[0] == account and self.state(h, now) == "open")

    @staticmethod
    def state(hold: list[Any], now: int) -> str:
        return "expired" if hold[4] == "open" and 0 < hold[3] <= now else hold[4]

    def batch(self, transfers: list[Transfer], now: int, new_ids: list[int], whole: bool) -> list[bool]:
        """Which of the transfers succeed, in order."""
        runs: list[list[int]] = []
        for number, transfer in enumerate(transfers):
            joins = number and (whole or (transfer.group and transfers[number - 1].group == transfer.group))
            (runs[-1].append(number) if joins else runs.append([number]))
        groups = [transfers[run[0]].group for run in runs]
        done = [False] * len(transfers)
        for run, group in zip(runs, groups, strict=True):
            before = deepcopy((self.posted, self.holds))
            split = not whole and group and groups.count(group) > 1
            if not split and all(self.one(transfers[n], now, new_ids[n]) for n in run):
                for n in run:
                    done[n] = True
            else:
                self.posted, self.holds = before
        return done

    def one(self, t: Transfer, now: int, new_id: int) -> bool:
        if t.action in ("capture", "release"):
            hold = self.holds.get(t.hold)
            amount = t.amount or (hold[2] if hold else 0)
            if hold is None or self.state(hold, now) != "open" or not 0 < amount <= hold[2] or t.expires_us:
                return False
            if t.debit not in (0, hold[0]) or t.credit not in (0, hold[1]):
                return False
            if t.action == "release":
                hold[4] = "released"
                return bool(amount == hold[2])
            hold[4:] = ["captured", amount]
            return self.move(hold[0], hold[1], amount)
        if not 0 < t.amount <= LIMIT or t.debit == t.credit or self.asset.get(t.debit) != self.asset.get(t.credit):
            return False
        if t.debit not in self.posted or t.credit not in self.posted:
            return False
        returned = self.holds.get(t.hold) if t.hold and t.action == "post" else None
        if t.debit in self.frozen and not returned:
            return False
        room = self.posted[t.debit] - self.held(t.debit, now) - t.amount
        if room < (-LIMIT if t.debit == self.issuer else 0):
            return False
        if t.action == "post":
            if t.hold and (not returned or returned[4] != "captured" or returned[5] != t.amount):
                return False
            if returned:
                if (returned[1], returned[0]) != (t.debit, t.credit):
                    return False
                returned[4] = "returned"
            return not t.expires_us and self.move(t.debit, t.credit, t.amount)
        if (t.expires_us and t.expires_us <= now) or (t.hold or new_id) in self.holds:
            return False
        self.holds[t.hold or new_id] = [t.debit, t.credit, t.amount, t.expires_us, "open", 0]
        return self.held(t.debit, now) <= LIMIT

    def move(self, debit: int, credit: int, amount: int) -> bool:
        self.posted[debit] -= amount
        self.posted[credit] += amount
        return self.posted[credit] <= self.caps.get(credit, LIMIT)
