"""Alarm rules: data in, raise or clear out. Windows run on event time; hysteresis keeps alarms from flapping. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Kind = Literal["above", "below", "rate", "silent", "frozen", "book"]
Severity = Literal["info", "warning", "critical"]
Turn = Literal["raised", "cleared"]

MAX_POINTS = 32  # a rate window keeps so many points, evenly spaced, however fast the device measures
HOUR_US = 3_600_000_000
SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of one device.

    | kind | raised when | `limit` is in |
    |---|---|---|
    | above, below | `value` is beyond `limit` for `window_s` | the value's unit |
    | rate | `value` changed faster than `limit`, up or down, over the last `window_s` | units an hour |
    | frozen | `value` stayed within a band of width `limit` for `window_s` | the value's unit |
    | silent | nothing was received for `window_s` | (no limit) |
    | book | the measured figure is off the book by more than `limit` for `window_s` | a share: 0.005 is 0.5 % |

    The `value` of a book rule names the unit that it is compared in, as the system that keeps the book offers it
    (`mass_t`, `mass_kg` for a tank); the book is that of the ledger, see `things.books`.
    Cleared when the value is back by more than `hysteresis` (same unit as `limit`).
    """

    name: str
    kind: Kind
    value: str = ""
    limit: float = 0.0
    hysteresis: float = 0.0
    window_s: int = 0
    severity: Severity = "warning"
    title: tuple[str, str] = ("", "")

    def __post_init__(self) -> None:
        if self.kind not in {"above", "below", "rate", "silent", "frozen", "book"}:
            raise ValueError(f"{self.kind!r} is no kind of rule")
        if self.hysteresis < 0 or self.window_s < 0:
            raise ValueError("hysteresis and window_s are not negative")
        if self.kind in {"rate", "frozen", "silent"} and self.window_s == 0:
            raise ValueError(f"a {self.kind} rule needs window_s")
        if self.kind in {"rate", "book"} and (self.limit <= 0 or self.hysteresis >= self.limit):
            raise ValueError(f"a {self.kind} rule needs limit > hysteresis")
        if self.kind != "silent" and not self.value:
            raise ValueError(f"a {self.kind} rule needs the name of a value")

    def data(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"title": list(self.title)}

    @staticmethod
    def from_data(data: Mapping[str, Any]) -> "Rule":
        """From JSON values. Raises ValueError."""
        try:
            return Rule(**{**data, "title": tuple(data.get("title", ("", "")))})
        except TypeError as error:
            raise ValueError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Figure:
    """What a book rule compares, in one unit: the difference is a share of the book, but of no less than `floor`."""

    measured: float
    booked: float
    floor: float = 0.0


@dataclass(frozen=True, slots=True)
class RuleState:
    """What a rule remembers between readings. `since_us` 0: its condition does not hold."""

    raised: bool = False
    since_us: int = 0
    points: tuple[tuple[int, float], ...] = ()
    low: float = 0.0
    high: float = 0.0

    def data(self) -> list[Any]:
        """As JSON values."""
        return [self.raised, self.since_us, [list(point) for point in self.points], self.low, self.high]

    @staticmethod
    def from_data(data: list[Any]) -> "RuleState":
        """From JSON values."""
        raised, since_us, points, low, high = data
        return RuleState(raised, since_us, tuple((at, value) for at, value in points), low, high)


@dataclass(frozen=True, slots=True)
class Judgement:
    """The next state of a rule, what turned if anything, and the figure that decided."""

    state: RuleState
    turn: Turn | None = None
    figure: float = 0.0
    detail: Mapping[str, float] = field(default_factory=dict)


def judge(
    rule: Rule, state: RuleState, at_us: int, values: Mapping[str, float], book: Figure | None = None
) -> Judgement:
    """Judge one reading, in order of event time. A reading without the rule's value changes nothing.

    >>> rule = Rule("full", "above", "level_mm", limit=14000.0, hysteresis=100.0)
    >>> judge(rule, RuleState(), 1, {"level_mm": 14001.0}).turn
    'raised'
    >>> judge(rule, RuleState(raised=True), 2, {"level_mm": 13950.0}).turn is None
    True
    """
    if rule.kind == "silent":
        return Judgement(replace(state, raised=False), "cleared" if state.raised else None)
    if rule.kind == "book":
        size = max(abs(book.booked), book.floor) if book is not None else 0.0
        if book is None or size == 0:
            return Judgement(state)
        share = (book.measured - book.booked) / size
        detail = {"measured": book.measured, "booked": book.booked}
        beyond, back = abs(share) > rule.limit, abs(share) <= rule.limit - rule.hysteresis
        return _hold(rule, state, at_us, share, beyond, back, detail)
    if rule.value not in values:
        return Judgement(state)
    value = float(values[rule.value])
    if rule.kind == "above":
        return _hold(rule, state, at_us, value, value > rule.limit, value <= rule.limit - rule.hysteresis)
    if rule.kind == "below":
        return _hold(rule, state, at_us, value, value < rule.limit, value >= rule.limit + rule.hysteresis)
    if rule.kind == "rate":
        return _rate(rule, state, at_us, value)
    return _frozen(rule, state, at_us, value)


def judge_silence(rule: Rule, state: RuleState, last_received_us: int, now_us: int) -> Judgement:
    """Judge the absence of readings at a time; a device that never spoke is silent from its registration on."""
    assert rule.kind == "silent", f"{rule.name} does not judge silence"
    silent_us = now_us - last_received_us
    if silent_us >= rule.window_s * SECOND_US and not state.raised:
        return Judgement(replace(state, raised=True), "raised", silent_us / SECOND_US)
    return Judgement(state, None, silent_us / SECOND_US)


def _hold(
    rule: Rule, state: RuleState, at_us: int, figure: float, beyond: bool, back: bool,
    detail: Mapping[str, float] | None = None,
) -> Judgement:  # fmt: skip
    """Raise once the condition held for the window, clear once the figure is back by the hysteresis."""
    detail = detail or {}
    if state.raised:
        if back:
            return Judgement(replace(state, raised=False, since_us=0), "cleared", figure, detail)
        return Judgement(state, None, figure, detail)
    if not beyond:
        return Judgement(replace(state, since_us=0), None, figure, detail)
    since_us = state.since_us or at_us
    if at_us - since_us >= rule.window_s * SECOND_US:
        return Judgement(replace(state, raised=True, since_us=since_us), "raised", figure, detail)
    return Judgement(replace(state, since_us=since_us), None, figure, detail)


def _rate(rule: Rule, state: RuleState, at_us: int, value: float) -> Judgement:
    window_us = rule.window_s * SECOND_US
    points = [point for point in state.points if at_us - window_us <= point[0] < at_us]
    figure = 0.0
    judged = False
    if points and at_us - points[0][0] >= window_us // 2:  # half a window says enough; two noisy neighbours do not
        figure = (value - points[0][1]) * HOUR_US / (at_us - points[0][0])
        judged = True
    if not points or at_us - points[-1][0] >= window_us // MAX_POINTS:
        points.append((at_us, value))
    state = replace(state, points=tuple(points[-MAX_POINTS - 1 :]))
    if not judged:
        return Judgement(state)
    if not state.raised and abs(figure) > rule.limit:
        return Judgement(replace(state, raised=True), "raised", figure)
    if state.raised and abs(figure) <= rule.limit - rule.hysteresis:
        return Judgement(replace(state, raised=False), "cleared", figure)
    return Judgement(state, None, figure)


def _frozen(rule: Rule, state: RuleState, at_us: int, value: float) -> Judgement:
    low, high = (min(state.low, value), max(state.high, value)) if state.since_us else (value, value)
    if high - low > rule.limit:  # it moved: a new band begins here
        turn: Turn | None = "cleared" if state.raised else None
        return Judgement(RuleState(False, at_us, (), value, value), turn, value)
    state = replace(state, since_us=state.since_us or at_us, low=low, high=high)
    if not state.raised and at_us - state.since_us >= rule.window_s * SECOND_US:
        return Judgement(replace(state, raised=True), "raised", value)
    return Judgement(state, None, value)
