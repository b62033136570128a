"""Judging messages, without I/O: is it well-formed and authentic, and where does it stand in the device's sequence?"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from entrepot.kernel.things.message import (
    MAX_SEQ,
    VALUE_NAME,
    Malformed,
    device_of,
    instant_us,
    parse,
    signature_bytes,
    signed_json,
    verify,
)
from entrepot.kernel.things.rules import Rule

LATE, FUTURE, OUT_OF_RANGE, AFTER_GAP, FILLED, CLOCK_BACK = 1, 2, 4, 8, 16, 32
FLAG_NAMES: Mapping[int, tuple[str, str]] = {
    LATE: ("late", "迟到"),
    FUTURE: ("ahead of time", "超前"),
    OUT_OF_RANGE: ("out of range", "超量程"),
    AFTER_GAP: ("after a gap", "缺号之后"),
    FILLED: ("out of order", "乱序补到"),
    CLOCK_BACK: ("clock went back", "时钟回拨"),
}
LATE_AFTER_US = 600_000_000
FUTURE_AFTER_US = 300_000_000
EARLIEST_US, LATEST_US = 631_152_000_000_000, 4_102_444_800_000_000  # 1990 and 2100
MAX_VALUES = 64
MAX_GAPS = 64

# Refusal reasons, with what a person reads.
REASONS: Mapping[str, tuple[str, str]] = {
    "wrong-topic": ("not a telemetry topic of this tenant", "主题不属于本租户"),
    "too-large": ("larger than a message may be", "报文过大"),
    "not-utf8": ("not UTF-8", "非 UTF-8 编码"),
    "not-json": ("not strict JSON", "非严格 JSON"),
    "not-a-message": ("not a telemetry message", "非遥测报文"),
    "unknown-device": ("the device is not registered", "设备未注册"),
    "retired-device": ("the device is retired", "设备已停用"),
    "bad-signature": ("the signature does not fit the registered key", "签名不符"),
    "bad-instant": ("`at` is no instant between 1990 and 2100", "时间无效"),
    "bad-values": ("values are not a few finite numbers", "数值无效"),
    "unknown-value": ("a value that the device's model does not have", "型号中没有该数值"),
    "cloned": ("other content under a sequence number already used", "同一序号内容不同，疑似克隆"),
    "replayed": ("a sequence number that is past and not open", "重放的旧序号"),
}


@dataclass(frozen=True, slots=True)
class ValueModel:
    """One value that a device measures: unit (UCUM), and the range outside which the sensor itself is in doubt."""

    unit: str
    minimum: float = -math.inf
    maximum: float = math.inf


@dataclass(frozen=True, slots=True)
class Device:
    """What ingest must know of a registered device. `values` empty: any value is taken."""

    id: str
    suite: str
    key: bytes
    values: Mapping[str, ValueModel] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    retired: bool = False
    registered_us: int = 0


@dataclass(slots=True)
class Examined:
    """A message after examination. `reason` empty: it is authentic and sound.

    `authentic` with a reason: the device did sign it, but its content is unusable; its number is used up, so that the
    device need not send it for ever.
    """

    topic: str
    payload: bytes
    received_us: int
    device: str = ""
    reason: str = ""
    authentic: bool = False
    seq: int = 0
    at_us: int = 0
    flags: int = 0
    values: Mapping[str, float] = field(default_factory=dict)
    body: bytes = b""
    signature: bytes = b""


def examine(topic: str, payload: bytes, received_us: int, tenant: str, devices: Mapping[str, Device]) -> Examined:
    """Judge one message by itself. Never raises, whatever the bytes."""
    result = Examined(topic, payload, received_us)
    name = device_of(topic, tenant)
    if name is None:
        result.reason = "wrong-topic"
        return result
    try:
        message = parse(payload)
    except Malformed as error:
        result.reason = error.reason
        return result
    device = devices.get(name)
    if device is None:
        result.reason = "unknown-device"
        return result
    result.device = name
    if device.retired:
        result.reason = "retired-device"
        return result
    signature = signature_bytes(message["sig"])
    try:
        body = signed_json(message)
    except ValueError:
        result.reason = "not-json"
        return result
    if signature is None or not verify(topic, body, signature, device.suite, device.key):
        result.reason = "bad-signature"
        return result
    result.authentic, result.seq, result.body, result.signature = True, message["seq"], body, signature
    _examine_content(result, message, device)
    return result


def _examine_content(result: Examined, message: Mapping[str, Any], device: Device) -> None:
    at_us, values = instant_us(message["at"]), message["values"]
    if at_us is None or not EARLIEST_US <= at_us < LATEST_US:
        result.reason = "bad-instant"
        return
    result.at_us = at_us
    if at_us > result.received_us + FUTURE_AFTER_US:
        result.flags |= FUTURE
    elif at_us < result.received_us - LATE_AFTER_US:
        result.flags |= LATE
    if not isinstance(values, dict) or not 1 <= len(values) <= MAX_VALUES:
        result.reason = "bad-values"
        return
    for name, value in values.items():
        sound = (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) <= MAX_SEQ)
        if not sound or not VALUE_NAME.fullmatch(name):
            result.reason = "bad-values"
            return
        if device.values:
            model = device.values.get(name)
            if model is None:
                result.reason = "unknown-value"
                return
            if not model.minimum <= value <= model.maximum:
                result.flags |= OUT_OF_RANGE
    result.values = values


Place = Literal["next", "after-gap", "fills", "past"]


@dataclass(slots=True)
class DeviceState:
    """Where a device's sequence stands, and what came of its messages.

    Sequences start at 1. `gaps` are the open ranges (first, last) of numbers that were passed over, in order: a
    reading that arrives late may still fill them. At most MAX_GAPS are kept open; the oldest is given up first.
    """

    last_seq: int = 0
    last_at_us: int = 0
    last_received_us: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    accepted: int = 0
    duplicates: int = 0
    filled: int = 0
    late: int = 0
    refused: int = 0
    given_up: int = 0

    def place(self, seq: int) -> Place:
        """Where a number stands, changing nothing."""
        if seq == self.last_seq + 1:
            return "next"
        if seq > self.last_seq:
            return "after-gap"
        return "fills" if any(first <= seq <= last for first, last in self.gaps) else "past"

    def take(self, seq: int) -> Place:
        """Use up a number, unless it is past.

        >>> state = DeviceState()
        >>> state.take(1), state.take(4), state.gaps
        ('next', 'after-gap', [(2, 3)])
        >>> state.take(2), state.gaps, state.take(2)
        ('fills', [(3, 3)], 'past')
        """
        place = self.place(seq)
        if place == "after-gap":
            self.gaps.append((self.last_seq + 1, seq - 1))
            if len(self.gaps) > MAX_GAPS:
                first, last = self.gaps.pop(0)
                self.given_up += last - first + 1
        elif place == "fills":
            self.gaps = [part for gap in self.gaps for part in _without(gap, seq)]
            if len(self.gaps) > MAX_GAPS:
                first, last = self.gaps.pop(0)
                self.given_up += last - first + 1
        self.last_seq = max(self.last_seq, seq)
        return place

    def acknowledgement(self) -> dict[str, Any]:
        """What the device is told: it may forget what is at or below `seq`, except what is `missing`."""
        ack: dict[str, Any] = {"seq": self.last_seq}
        if self.gaps:
            ack["missing"] = [list(gap) for gap in self.gaps]
        return ack


def _without(gap: tuple[int, int], seq: int) -> list[tuple[int, int]]:
    first, last = gap
    if not first <= seq <= last:
        return [gap]
    return [part for part in ((first, seq - 1), (seq + 1, last)) if part[0] <= part[1]]
