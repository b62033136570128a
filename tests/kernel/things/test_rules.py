"""Alarm rules: raised when they should, cleared when they should, quiet in between."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.things.rules import Figure, Rule, RuleState, Turn, judge, judge_silence

SECOND = 1_000_000


def turns(rule: Rule, series: Sequence[tuple[float, float]], book: Any = None) -> list[tuple[float, Turn]]:
    """(second, value) → (second, turn)."""
    state, found = RuleState(), []
    for second, value in series:
        figure = book(value) if book else None
        judgement = judge(rule, state, 1 + int(second * SECOND), {"level_mm": value}, figure)
        state = RuleState.from_data(judgement.state.data())
        assert state == judgement.state
        if judgement.turn:
            found.append((second, judgement.turn))
    return found


def test_threshold_with_hysteresis():
    rule = Rule("high", "above", "level_mm", limit=100.0, hysteresis=5.0)
    assert turns(rule, [(0, 99), (1, 101), (2, 99), (3, 96), (4, 95), (5, 101)]) == [
        (1, "raised"), (4, "cleared"), (5, "raised")]  # fmt: skip
    low = Rule("low", "below", "level_mm", limit=100.0, hysteresis=5.0)
    assert turns(low, [(0, 100), (1, 99), (2, 104), (3, 105)]) == [(1, "raised"), (3, "cleared")]


def test_a_window_wants_the_condition_to_last_in_event_time():
    rule = Rule("high", "above", "level_mm", limit=100.0, window_s=10)
    assert turns(rule, [(0, 101), (5, 101), (8, 99), (9, 101), (18, 101), (19, 101)]) == [(19, "raised")]


def test_rate_of_change_counts_both_ways():
    rule = Rule("fast", "rate", "level_mm", limit=3600.0, hysteresis=600.0, window_s=10)  # a millimetre a second
    draw = [(t, 1000.0 - 2 * max(0, t - 20)) for t in range(60)]
    rest = [(60 + t, draw[-1][1]) for t in range(30)]
    (raised_at, first), (cleared_at, second) = turns(rule, draw + rest)
    assert (first, second) == ("raised", "cleared")
    assert 25 <= raised_at <= 27
    assert 64 <= cleared_at <= 72
    assert turns(rule, [(t, 1000.0 + 0.9 * t) for t in range(60)]) == []


def test_two_noisy_neighbours_are_no_rate():
    rule = Rule("fast", "rate", "level_mm", limit=3600.0, window_s=60)
    assert turns(rule, [(0, 1000.0), (0.1, 1000.5), (0.2, 999.5)]) == []


def test_frozen_value():
    rule = Rule("frozen", "frozen", "level_mm", limit=0.1, window_s=10)
    alive = [(t, 1000.0 + (t % 3)) for t in range(30)]
    dead = [(30 + t, 1000.0) for t in range(20)]
    assert turns(rule, alive + dead + [(60, 1001.0)]) == [(40, "raised"), (60, "cleared")]


def test_silence():
    rule = Rule("silent", "silent", window_s=30)
    assert judge_silence(rule, RuleState(), 0, 29 * SECOND).turn is None
    raised = judge_silence(rule, RuleState(), 0, 30 * SECOND)
    assert (raised.turn, raised.figure) == ("raised", 30.0)
    assert judge_silence(rule, raised.state, 0, 60 * SECOND).turn is None
    cleared = judge(rule, raised.state, 61 * SECOND, {"level_mm": 1.0})
    assert (cleared.turn, cleared.state.raised) == ("cleared", False)


def test_range_against_the_book():
    rule = Rule("book", "book", "mass", limit=0.005, hysteresis=0.001)
    series = [(0, 1000.0), (1, 996.0), (2, 994.0), (3, 995.5), (4, 996.0), (5, 1006.0)]
    assert turns(rule, series, lambda value: Figure(value, 1000.0)) == [(2, "raised"), (4, "cleared"), (5, "raised")]
    assert turns(rule, series, lambda value: None) == []
    assert turns(rule, series, lambda value: Figure(value, 0.0)) == []
    assert turns(rule, series, lambda value: Figure(value, 0.0, floor=100.0)) == [(0, "raised")]
    assert turns(rule, series, lambda value: Figure(value - 995, 0.0, floor=1000.0)) == [(5, "raised")]


def test_a_reading_without_the_value_changes_nothing():
    rule = Rule("high", "above", "pressure", limit=1.0)
    assert judge(rule, RuleState(), 1, {"level_mm": 5.0}).state == RuleState()


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "sideways", "value": "v"},
        {"kind": "above"},
        {"kind": "rate", "value": "v", "limit": 1.0},
        {"kind": "rate", "value": "v", "window_s": 5},
        {"kind": "silent"},
        {"kind": "book", "value": "v", "limit": 0.1, "hysteresis": 0.1},
        {"kind": "above", "value": "v", "hysteresis": -1.0},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match=r"."):
        Rule.from_data({"name": "r", **wrong})


kinds = st.sampled_from(["above", "below", "rate", "frozen"])


@given(kinds, st.floats(0.5, 50), st.lists(st.tuples(st.integers(1, 20), st.floats(-100, 100)), max_size=60))
def test_turns_alternate_and_memory_is_bounded(kind: Any, limit: float, steps: list[tuple[int, float]]):
    rule = Rule("r", kind, "level_mm", limit=limit, hysteresis=limit / 4, window_s=30)
    second, series = 0, []
    for gap, value in steps:
        second += gap
        series.append((second, value))
    found = [turn for _, turn in turns(rule, series)]
    assert found[:1] in ([], ["raised"])
    assert all(before != after for before, after in pairwise(found))
    state = RuleState()
    for at, value in series:
        state = judge(rule, state, at * SECOND, {"level_mm": value}).state
        assert len(state.points) <= 33
