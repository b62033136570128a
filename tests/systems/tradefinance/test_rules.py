"""Rules of lending: conservation, monotony, and interest that does not depend on how often it is booked."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.systems.tradefinance.rules import (
    accrue,
    advance_limit,
    amount_to_cure,
    collateral_value,
    level,
    loan_to_value_bp,
    waterfall,
)

FEN = st.integers(0, 10**14)


@given(FEN, FEN, FEN, FEN)
def test_the_waterfall_conserves_every_fen(proceeds: int, costs: int, interest: int, principal: int):
    flow = waterfall(proceeds, costs, interest, principal)
    assert flow.costs + flow.interest + flow.principal + flow.surplus == proceeds
    assert flow.deficiency == interest + principal - flow.interest - flow.principal
    assert flow.surplus == 0 or flow.deficiency == 0
    assert min(flow.costs, flow.interest, flow.principal, flow.surplus, flow.deficiency) >= 0
    assert flow.interest == 0 or flow.costs == costs, "interest is paid after all costs"
    assert flow.principal == 0 or flow.interest == interest, "principal is paid after all interest"


def test_the_order_of_the_civil_code():
    # Civil Code of the PRC, article 561: costs of realisation, then interest, then principal.
    flow = waterfall(100, 10, 20, 100)
    assert (flow.costs, flow.interest, flow.principal, flow.surplus, flow.deficiency) == (10, 20, 70, 0, 30)


@given(st.integers(1, 10**13), st.integers(1, 10**13), st.integers(1, 10**13))
def test_more_value_is_never_a_higher_loan_to_value(debt: int, value: int, more: int):
    assert loan_to_value_bp(debt, value + more) <= loan_to_value_bp(debt, value)


@given(st.integers(0, 10**12), st.integers(1, 10**12), st.integers(1, 10_000))
def test_after_the_cure_the_debt_is_under_the_cap(debt: int, value: int, cap_bp: int):
    left = debt - amount_to_cure(debt, value, cap_bp)
    assert left <= max(advance_limit(value, cap_bp), 0) or left == debt


def test_lines_are_reached_exactly():
    assert [level(ltv, 7_000, 7_500, 8_500) for ltv in (6_999, 7_000, 7_499, 7_500, 8_499, 8_500)] == [
        "ok", "warning", "warning", "top_up", "top_up", "disposal",
    ]  # fmt: skip


def test_value_of_ten_thousand_tonnes():
    assert collateral_value(10_000_000, 753_471) == 7_534_710_000
    assert loan_to_value_bp(4_500_000_000, 7_534_710_000) == 5_973  # 59.7236… %, rounded up


@given(
    st.integers(0, 10**12), st.integers(0, 2_400), st.lists(st.integers(0, 60), min_size=1, max_size=12),
    st.sampled_from(["ACT/360", "ACT/365F"]),
)  # fmt: skip
def test_interest_booked_in_any_steps_is_the_same(principal: int, rate_bp: int, steps: list[int], day_count):
    start = day = date(2008, 7, 1)
    total = carry = 0
    for days in steps:
        part = accrue(principal, rate_bp, day, day + timedelta(days=days), day_count, carry)
        total, carry, day = total + part.interest, part.carry, day + timedelta(days=days)
    once = accrue(principal, rate_bp, start, day, day_count, 0)
    assert (total, carry) == (once.interest, once.carry)


@pytest.mark.parametrize(("day_count", "expected"), [("ACT/360", 60_000), ("ACT/365F", 59_178)])
def test_thirty_days_of_interest(day_count, expected: int):
    # 100,000 yuan at 7.2 %: 100000 × 0.072 × 30/360 = 600.00; 30/365 gives 591.78.
    assert accrue(100_000_00, 720, date(2008, 7, 1), date(2008, 7, 31), day_count, 0).interest == expected
