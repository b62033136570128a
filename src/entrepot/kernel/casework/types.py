"""Case types as data: states, actions between them, and who may act."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Title = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Action:
    """A step from one of `sources` to `target`.

    `relations` are what the actor's party must be to the case (empty: any who may act on cases); an action that
    `needs` a note or a document is refused without it.
    """

    name: str
    title: Title
    sources: tuple[str, ...]
    target: str
    relations: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseType:
    """`hours` gives working hours until a state is overdue, for the states that have a limit."""

    name: str
    title: Title
    first: str
    final: tuple[str, ...]
    actions: tuple[Action, ...]
    states: Mapping[str, Title] = field(default_factory=dict)
    hours: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {self.first, *self.final, *(a.target for a in self.actions)}
        for action in self.actions:
            unknown = set(action.sources) - known
            assert not unknown, f"{self.name}: no action leads to {sorted(unknown)}"

    def action(self, name: str) -> Action | None:
        """The action of that name."""
        return next((action for action in self.actions if action.name == name), None)


_types: dict[str, CaseType] = {}


def define(case_type: CaseType) -> CaseType:
    """Make a case type known, at import of the system that owns it."""
    known = _types.setdefault(case_type.name, case_type)
    assert known == case_type, f"two case types are named {case_type.name}"
    return known


def case_type(name: str) -> CaseType:
    """The case type of that name; KeyError when no system defined it."""
    return _types[name]


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
