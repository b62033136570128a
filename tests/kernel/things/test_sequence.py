"""A device's sequence: whatever the order of arrival, every number is taken once and every gap is known."""

from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.things.judgement import MAX_GAPS, DeviceState


@given(st.lists(st.integers(1, 60), max_size=200))
def test_any_arrivals_equal_a_set(arrivals: list[int]):
    state, taken = DeviceState(), set[int]()
    for seq in arrivals:
        place = state.take(seq)
        assert (place == "past") == (seq in taken)
        taken.add(seq)
        top = max(taken)
        missing = {number for first, last in state.gaps for number in range(first, last + 1)}
        assert state.last_seq == top
        assert missing == set(range(1, top)) - taken
        assert state.gaps == sorted(state.gaps)
        assert all(first <= last for first, last in state.gaps)
    assert state.given_up == 0


def test_gaps_are_bounded_and_what_is_given_up_is_counted():
    state = DeviceState()
    for seq in range(2, 2 * (MAX_GAPS + 10) + 1, 2):
        assert state.take(seq) == "after-gap"
    assert len(state.gaps) == MAX_GAPS
    assert state.given_up == 10
    assert state.take(1) == "past"
    assert state.take(state.gaps[0][0]) == "fills"


def test_a_huge_jump_costs_nothing():
    state = DeviceState()
    assert state.take((1 << 53) - 1) == "after-gap"
    assert state.take(1 << 40) == "fills"
    assert state.acknowledgement() == {
        "seq": (1 << 53) - 1,
        "missing": [[1, (1 << 40) - 1], [(1 << 40) + 1, (1 << 53) - 2]],
    }
