"""Ingest: batches of raw messages in, one durable transaction, acknowledgements out. MQTT, HTTP and replays share it.

Nothing that arrives stops it: a message is kept, is known already, or is counted and put apart with its reason.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

from entrepot.kernel.things.judgement import (
    AFTER_GAP,
    CLOCK_BACK,
    FILLED,
    FUTURE,
    LATE,
    Device,
    DeviceState,
    Examined,
    examine,
)
from entrepot.kernel.things.message import ED25519, device_of
from entrepot.kernel.things.rules import Figure, Judgement, Rule, RuleState, judge, judge_silence
from entrepot.kernel.things.store import AlarmTurn, TelemetryStore, TelemetryTransaction, is_race

Message = tuple[str, bytes, int]
"""Topic, payload, and when it was received in microseconds since the epoch."""
Books = Callable[[str, Rule, Mapping[str, float]], Figure | None]
"""Device, rule and values → what a book rule compares; None when there is no book to compare with."""
Refresh = Callable[[Iterable[str], int], None]
"""Called before the transaction with the devices of a batch that have a book rule, and the present. Never raises."""

MAX_BATCH = 2_000
WORTH_THREADS = 16  # an Ed25519 check takes 0.1 ms and frees the interpreter: fewer than this are checked at once
ATTEMPTS = 3


class Directory(Protocol):
    """Who is registered."""

    def devices(self, names: Iterable[str], now_us: int) -> Mapping[str, Device]:
        """The registered devices among these names."""
        ...

    def listening(self, now_us: int) -> Iterable[Device]:
        """The devices that have a silence rule."""
        ...


@dataclass(slots=True)
class Ingested:
    """What became of a batch. `acks`: what each device that proved itself is told."""

    accepted: int = 0
    duplicates: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    acks: dict[str, dict[str, Any]] = field(default_factory=dict)
    turns: list[AlarmTurn] = field(default_factory=list)


class Ingest:
    """The way into the store for one tenant. For one thread at a time."""

    def __init__(
        self, store: TelemetryStore, directory: Directory, tenant: str, books: Books | None = None, threads: int = 0,
        refresh: Refresh | None = None,
    ) -> None:  # fmt: skip
        self.store = store
        self.tenant = tenant
        self.started_us = 0  # before ingest listened, nobody could be heard: no device is silent since then
        self._directory = directory
        self._books = books or (lambda device, rule, values: None)
        self._refresh = refresh or (lambda devices, now_us: None)
        threads = threads or min(4, os.cpu_count() or 1)
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="verify") if threads > 1 else None

    def close(self) -> None:
        """Stop the verifying threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def ingest(self, batch: Sequence[Message]) -> Ingested:
        """Judge and commit a batch; when this returns, what is acknowledged is durable.

        Raises only what the database raises; then nothing was kept and the batch may be given again.
        """
        examined = self._examine(batch)
        for attempt in range(ATTEMPTS):
            try:
                with self.store.transaction(self.tenant) as transaction:
                    return _Batch(self, transaction, examined).run()
            except Exception as error:
                if attempt == ATTEMPTS - 1 or not is_race(error):
                    raise
        raise AssertionError("the last attempt returns or raises")

    def tick(self, now_us: int) -> list[AlarmTurn]:
        """Judge silence at a time: alarms of devices that should have spoken by now."""
        rules = [
            (device, rule)
            for device in self._directory.listening(now_us)
            for rule in device.rules
            if rule.kind == "silent" and not device.retired
        ]
        if not rules:
            return []
        heard = self.store.states(self.tenant)
        overdue = []
        for device, rule in rules:
            state = heard.get(device.id, DeviceState())
            since_us = max(state.last_received_us, device.registered_us, self.started_us)
            if now_us - since_us >= rule.window_s * 1_000_000:
                overdue.append((device, rule))
        return self._raise_silence(overdue, now_us) if overdue else []

    def _raise_silence(self, overdue: list[tuple[Device, Rule]], now_us: int) -> list[AlarmTurn]:
        turned = []
        with self.store.transaction(self.tenant) as transaction:
            names = {device.id for device, _ in overdue}
            states = transaction.lock_states(names)
            remembered = transaction.rule_states(names)
            for device, rule in overdue:
                state = states[device.id]
                since_us = max(state.last_received_us, device.registered_us, self.started_us)
                judgement = judge_silence(rule, remembered.get((device.id, rule.name), RuleState()), since_us, now_us)
                if judgement.turn is None:
                    continue
                turn = AlarmTurn(
                    device.id, rule.name, state.last_seq, judgement.turn, now_us, {"silent_s": judgement.figure}
                )
                transaction.put_rule_state(device.id, rule.name, judgement.state)
                transaction.put_turn(turn)
                turned.append(turn)
        return turned

    def _examine(self, batch: Sequence[Message]) -> list[Examined]:
        names = {name for topic, _, _ in batch if (name := device_of(topic, self.tenant)) is not None}
        now_us = max((received for _, _, received in batch), default=0)
        devices = self._directory.devices(names, now_us)
        self._refresh(
            [name for name, device in devices.items() if any(rule.kind == "book" for rule in device.rules)], now_us
        )

        def check(messages: Sequence[Message]) -> list[Examined]:
            return [examine(*message, self.tenant, devices) for message in messages]

        slow = any(device.suite == ED25519 for device in devices.values())
        if self._pool is None or len(batch) < WORTH_THREADS or not slow:
            return check(batch)
        size = -(-len(batch) // self._threads)
        parts = self._pool.map(check, [batch[start : start + size] for start in range(0, len(batch), size)])
        return [message for part in parts for message in part]

    def device(self, name: str, now_us: int) -> Device | None:
        """A registered device."""
        return self._directory.devices((name,), now_us).get(name)

    def figure(self, rule: Rule, message: Examined) -> Figure | None:
        """What the books say, for a book rule; nothing of a late reading: the book is that of now."""
        if rule.kind != "book" or message.flags & LATE:
            return None
        return self._books(message.device, rule, message.values)


class _Batch:
    """One batch inside its transaction."""

    def __init__(self, ingest: Ingest, transaction: TelemetryTransaction, messages: list[Examined]) -> None:
        self._ingest = ingest
        self._transaction = transaction
        self._messages = messages
        self._result = Ingested()
        self._refused: list[Examined] = []
        self._kept: dict[str, list[Examined]] = {}

    def run(self) -> Ingested:
        by_device: dict[str, list[Examined]] = {}
        for message in self._messages:
            if message.authentic:
                by_device.setdefault(message.device, []).append(message)
            else:
                self._refuse(message, message.reason)
        states = self._transaction.lock_states(by_device.keys())
        for name, messages in by_device.items():
            self._place(name, states[name], messages)
        self._judge_rules()
        self._transaction.refuse(self._refused)
        for name, state in states.items():
            self._transaction.put_state(name, state)
            self._result.acks[name] = state.acknowledgement()
        return self._result

    def _refuse(self, message: Examined, reason: str) -> None:
        message.reason = reason
        self._refused.append(message)
        self._result.refused[reason] += 1

    def _place(self, name: str, state: DeviceState, messages: list[Examined]) -> None:
        past = sorted({message.seq for message in messages if state.place(message.seq) == "past"})
        bodies = self._transaction.bodies(name, past) if past else {}
        for message in messages:
            state.last_received_us = max(state.last_received_us, message.received_us)
            known = bodies.get(message.seq)
            place = "past" if known is not None else state.take(message.seq)
            if place == "past":
                if known is None:
                    state.refused += 1
                    self._refuse(message, "replayed")
                elif known == message.body.decode():
                    state.duplicates += 1
                    self._result.duplicates += 1
                else:
                    state.refused += 1
                    self._refuse(message, "cloned")
            elif message.reason:  # authentic, but of no use: its number is used up
                state.refused += 1
                self._refuse(message, message.reason)
            else:
                bodies[message.seq] = message.body.decode()
                self._keep(state, message, place)

    def _keep(self, state: DeviceState, message: Examined, place: str) -> None:
        if place == "fills":
            message.flags |= FILLED
            state.filled += 1
        else:
            if place == "after-gap":
                message.flags |= AFTER_GAP
            if message.at_us < state.last_at_us:
                message.flags |= CLOCK_BACK
            if not message.flags & FUTURE:  # one wrong clock reading must not make all that follow look old
                state.last_at_us = message.at_us
        state.late += bool(message.flags & LATE)
        state.accepted += 1
        self._result.accepted += 1
        self._transaction.put_reading(message)
        self._kept.setdefault(message.device, []).append(message)

    def _judge_rules(self) -> None:
        # Readings out of order, or ahead of time, are kept but raise nothing: windows run on event time, forward.
        unordered = FILLED | FUTURE | CLOCK_BACK
        judged = []
        for name, messages in self._kept.items():
            device = self._ingest.device(name, messages[-1].received_us)
            if device is not None and device.rules:
                judged.append((device, [message for message in messages if not message.flags & unordered]))
        if not judged:
            return
        before = self._transaction.rule_states([device.id for device, _ in judged])
        for device, messages in judged:
            for rule in device.rules:
                known = before.get((device.id, rule.name))
                state = known or RuleState()
                for message in messages:
                    figure = self._ingest.figure(rule, message)
                    judgement = judge(rule, state, message.at_us, message.values, figure)
                    state = judgement.state
                    if judgement.turn is not None:
                        self._turn(device.id, rule, message, judgement)
                if state != (known or RuleState()):
                    self._transaction.put_rule_state(device.id, rule.name, state)

    def _turn(self, device: str, rule: Rule, message: Examined, judgement: Judgement) -> None:
        assert judgement.turn is not None, "nothing turned"
        detail = {"figure": judgement.figure, "limit": rule.limit, **judgement.detail}
        turn = AlarmTurn(device, rule.name, message.seq, judgement.turn, message.at_us, detail)
        self._transaction.put_turn(turn)
        self._result.turns.append(turn)
