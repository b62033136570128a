"""Case types as data: states, actions between them, deadlines, and who may act."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from entrepot.kernel.operations.canonical import canonical
from entrepot.kernel.operations.errors import Invalid

Title = tuple[str, str]
ClockEffect = Literal["restart", "keep", "extend", "suspend", "resume"]


@dataclass(frozen=True, slots=True)
class Action:
    """A step from one of `sources` (empty: every state that is not final) to `target` (empty: the state stays).

    An actor needs one of `relations` to the case or one of `roles` (both empty: any who may act on cases). An action
    that `needs` a "note" or a "document" is refused without it. `clock` says what becomes of the deadline: "restart" by
    the new state's limit, "keep" it, "extend" it by `extra_hours` (延期), "suspend" it (挂账), "resume" what was left.
    """

    name: str
    title: Title
    sources: tuple[str, ...] = ()
    target: str = ""
    relations: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    clock: ClockEffect = "restart"
    extra_hours: int = 0


CLOSE = Action("close", ("Close", "结案"), target="closed", needs=("note",))


@dataclass(frozen=True, slots=True)
class CaseType:
    """A kind of case. `hours` gives the time until a state is overdue, for the states that have a limit.

    They are working hours of the `calendar` (legal, bank, exchange), hours of the clock for "natural". With `watch` a
    timer marks a case that is overdue, and tells its party and supervisors.
    """

    name: str
    title: Title = ("Case", "办件")
    first: str = "open"
    final: tuple[str, ...] = ("closed",)
    actions: tuple[Action, ...] = (CLOSE,)
    states: Mapping[str, Title] = field(default_factory=dict)
    hours: Mapping[str, int] = field(default_factory=dict)
    calendar: str = "legal"
    watch: bool = False

    def __post_init__(self) -> None:
        known = self.known_states
        for action in self.actions:
            if set(action.sources) - known:
                _refuse(self, f"no action leads to {', '.join(sorted(set(action.sources) - known))}")
            if set(action.sources) & set(self.final):
                _refuse(self, f"{action.name} starts in a final state")
            if set(action.needs) - {"note", "document"}:
                _refuse(self, f"{action.name} may need a note and a document, nothing else")
        if len({action.name for action in self.actions}) < len(self.actions):
            _refuse(self, "two actions have one name")
        if set(self.hours) - (known - set(self.final)) or any(hours <= 0 for hours in self.hours.values()):
            _refuse(self, "limits belong to states that are not final, and are above zero")

    @property
    def known_states(self) -> frozenset[str]:
        """Every state that a case of this type can be in."""
        return frozenset({self.first, *self.final, *(action.target for action in self.actions if action.target)})

    def action(self, name: str) -> Action | None:
        """The action of that name."""
        return next((action for action in self.actions if action.name == name), None)

    def steps(self, state: str) -> list[Action]:
        """The actions that start in a state."""
        if state in self.final:
            return []
        return [action for action in self.actions if not action.sources or state in action.sources]

    def to_json(self) -> str:
        """The type as canonical JSON."""
        return canonical(asdict(self))

    @staticmethod
    def from_json(text: str) -> "CaseType":
        """The type of its JSON. Raises Invalid."""
        return CaseType.from_dict(json.loads(text))

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "CaseType":
        """The type of a JSON object. Raises Invalid for one that is not consistent."""
        actions = tuple(Action(**{key: _frozen(value) for key, value in one.items()}) for one in values["actions"])
        states = {state: (title[0], title[1]) for state, title in values.get("states", {}).items()}
        rest = {key: _frozen(value) for key, value in values.items() if key not in {"actions", "states"}}
        return CaseType(**rest, actions=actions, states=states)


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _refuse(kind: CaseType, why: str) -> None:
    raise Invalid("case/type", f"The case type {kind.name} is not consistent: {why}.")


_types: dict[str, CaseType] = {}


def define(case_type: CaseType) -> CaseType:
    """Make a case type known to every tenant, at import of the system that owns it; a tenant may override it."""
    known = _types.setdefault(case_type.name, case_type)
    assert known == case_type, f"two case types are named {case_type.name}"
    return known


def case_type(name: str) -> CaseType:
    """The case type of that name, as its system defined it. Raises Invalid for an unknown one."""
    try:
        return _types[name]
    except KeyError:
        raise Invalid("case/unknown-type", f"There is no case type {name!r}.") from None


def case_types() -> list[CaseType]:
    """Every case type that a system defined, by name."""
    return [_types[name] for name in sorted(_types)]


ALARM = define(
    CaseType(
        "alarm",
        ("Alarm", "告警"),
        "open",
        ("closed",),
        (
            Action("acknowledge", ("Acknowledge", "确认"), ("open",), "acknowledged"),
            Action("close", ("Close", "结案"), ("open", "acknowledged"), "closed", needs=("note",)),
        ),
        states={
            "open": ("Open", "待处理"),
            "acknowledged": ("Acknowledged", "已确认"),
            "closed": ("Closed", "已结案"),
        },
        hours={"open": 4},
    )
)
