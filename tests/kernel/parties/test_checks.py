"""Check digits: golden codes from public registers and the promises of the standards."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.operations import Invalid
from entrepot.kernel.parties.checks import (
    CREDIT_ALPHABET,
    credit_check,
    credit_code,
    identity_check,
    identity_number,
)


def test_published_credit_codes_pass():
    # Printed on the companies' own sites: Huawei Technologies, Alibaba (China), Tencent Computer Systems.
    for code in ("914403001922038216", "91330100799655058B", "9144030071526726XG"):
        assert credit_code(code.lower()) == code


def test_the_identity_number_of_the_standards_examples():
    # GB 11643-1999 prints 11010519491231002X and 440524188001010014 as its examples.
    assert identity_number("11010519491231002x") == "11010519491231002X"
    assert identity_number("440524188001010014") == "440524188001010014"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("91440300192203821", "party/credit-code-length"),
        ("91440300192203821I", "party/credit-code-character"),
        ("91440300192203821X", "party/credit-code-check"),
        ("91AA0300192203821X", "party/credit-code-region"),
    ],
)
def test_wrong_credit_codes_say_why(text: str, code: str):
    with pytest.raises(Invalid) as refused:
        credit_code(text)
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1101051949123100", "18 characters, not 16"),
        ("1101051949123100²X", "Character 17 "),
        ("１10105194912310021", "Character 1 "),
        ("11010519491231X021", "Character 15 "),
        ("011010519491231002"[:18], "begins with 0"),
    ],
)
def test_wrong_identity_numbers_say_where(text: str, told: str):
    with pytest.raises(Invalid) as refused:
        identity_number(text)
    assert told in refused.value.detail


def test_an_identity_number_needs_a_real_date():
    body = "11010519490231002"
    with pytest.raises(Invalid) as refused:
        identity_number(body + identity_check(body))
    assert refused.value.code == "party/identity-date"
    assert body not in refused.value.detail, "an identity number is never repeated in an error"


@given(
    st.text("0123456789", min_size=8, max_size=8),
    st.text(CREDIT_ALPHABET, min_size=9, max_size=9),
    st.integers(0, 17),
    st.sampled_from(CREDIT_ALPHABET),
)
def test_every_single_mistyped_character_is_found(head: str, tail: str, place: int, other: str):
    code = head + tail + credit_check(head + tail)
    mistyped = code[:place] + other + code[place + 1 :]
    if mistyped == code:
        assert credit_code(code) == code
        return
    with pytest.raises(Invalid):
        credit_code(mistyped)


IDENTITY_BODIES = st.builds(
    lambda division, born, serial: f"{division}{born:%Y%m%d}{serial:03d}",
    st.integers(110_000, 659_999),
    st.dates(date(1900, 1, 1), date(2025, 12, 31)),
    st.integers(0, 999),
)


@given(IDENTITY_BODIES, st.integers(0, 17), st.sampled_from("0123456789X"))
def test_every_single_mistyped_character_of_an_identity_number_is_found(body: str, place: int, other: str):
    number = body + identity_check(body)
    mistyped = number[:place] + other + number[place + 1 :]
    if mistyped == number:
        assert identity_number(number) == number
        return
    with pytest.raises(Invalid):
        identity_number(mistyped)


@given(IDENTITY_BODIES, st.integers(0, 16))
def test_two_neighbours_changed_about_are_found_in_an_identity_number(body: str, place: int):
    # ISO 7064 MOD 11-2 promises to find every transposition of neighbours.
    number = body + identity_check(body)
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    if swapped == number:
        return
    with pytest.raises(Invalid):
        identity_number(swapped)
