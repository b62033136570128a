"""The pure rules: limits, holds, groups, overflow, and judging the same changes again on another balance."""

from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.ledger import INT64_MAX, Code, Hold, Transfer
from entrepot.kernel.ledger.rules import apply, held_at, mature
from entrepot.kernel.ledger.states import Account, Definition

NOW = 1_000_000


def account(number: int, posted: int = 0, *, negative: bool = False, frozen: bool = False, cap: int | None = None):
    return Account(Definition(number, f"p{number}", "CNY", "main", negative, frozen, cap, 0, 1), posted)


def run(accounts: list[Account], *transfers: Transfer, holds: dict[int, Hold] | None = None, whole: bool = False):
    states = {state.definition.id: state for state in accounts}
    return apply(transfers, states, {} if holds is None else holds, NOW, lambda n: 100 + n, all_or_nothing=whole)


def codes(accounts: list[Account], *transfers: Transfer, **options):
    return [result.code for result in run(accounts, *transfers, **options).results]


class TestPost:
    def test_moves_the_amount_from_debit_to_credit(self):
        a, b = account(1, 10), account(2)
        assert codes([a, b], Transfer(1, 2, 7)) == [Code.OK]
        assert (a.posted, b.posted) == (3, 7)

    def test_never_below_zero_unless_the_issuer(self):
        assert codes([account(1, 6), account(2)], Transfer(1, 2, 7)) == [Code.INSUFFICIENT]
        assert codes([account(1, 6, negative=True), account(2)], Transfer(1, 2, 7)) == [Code.OK]

    def test_held_amounts_are_not_available(self):
        a, b = account(1, 10), account(2)
        assert codes([a, b], Transfer(1, 2, 8, "hold"), Transfer(1, 2, 3)) == [Code.OK, Code.INSUFFICIENT]

    def test_frozen_lets_nothing_out_but_lets_in(self):
        a, b = account(1, 10, frozen=True), account(2, 10)
        assert codes([a, b], Transfer(1, 2, 1), Transfer(1, 2, 1, "hold"), Transfer(2, 1, 1)) == [
            Code.FROZEN, Code.FROZEN, Code.OK]  # fmt: skip

    def test_cap_is_the_most_an_account_holds(self):
        a, b = account(1, 10), account(2, cap=5)
        assert codes([a, b], Transfer(1, 2, 5), Transfer(1, 2, 1)) == [Code.OK, Code.OVER_CAP]

    def test_refuses_what_makes_no_sense(self):
        a, b = account(1, 10), account(2)
        other = Account(Definition(3, "x", "USD", "main", False, False, None, 0, 1))
        wrong = [
            (Transfer(1, 2, 0), Code.AMOUNT_NOT_POSITIVE),
            (Transfer(1, 2, -5), Code.AMOUNT_NOT_POSITIVE),
            (Transfer(1, 2, INT64_MAX + 1), Code.AMOUNT_OVERFLOW),
            (Transfer(1, 1, 1), Code.SAME_ACCOUNT),
            (Transfer(9, 2, 1), Code.DEBIT_NOT_FOUND),
            (Transfer(1, 9, 1), Code.CREDIT_NOT_FOUND),
            (Transfer(1, 3, 1), Code.ASSETS_DIFFER),
            (Transfer(1, 2, 1, expires_us=NOW + 1), Code.EXPIRY_NOT_ALLOWED),
            (Transfer(1, 2, 1, "hold", expires_us=NOW), Code.EXPIRY_PAST),
            (Transfer(1, 2, 1, "burn"), Code.UNKNOWN_ACTION),  # type: ignore[arg-type]
            (Transfer(0, 0, 0, "capture", hold=5), Code.HOLD_NOT_FOUND),
            (Transfer(1, 2, 1, hold=5), Code.HOLD_NOT_FOUND),
        ]
        for transfer, code in wrong:
            assert codes([a, b, other], transfer) == [code], transfer
        assert (a.posted, b.posted) == (10, 0)

    def test_64_bits_are_the_limit(self):
        a, b = account(1, negative=True), account(2)
        assert codes([a, b], Transfer(1, 2, INT64_MAX), Transfer(1, 2, 1)) == [Code.OK, Code.BALANCE_OVERFLOW]
        assert (a.posted, b.posted) == (-INT64_MAX, INT64_MAX)
        c, d = account(3, negative=True), account(4)
        assert codes([c, d], Transfer(3, 4, INT64_MAX, "hold"), Transfer(3, 4, 1)) == [Code.OK, Code.BALANCE_OVERFLOW]


class TestHold:
    def test_partial_capture_frees_the_rest(self):
        a, b = account(1, 10), account(2)
        holds: dict[int, Hold] = {}
        assert codes([a, b], Transfer(1, 2, 8, "hold"), Transfer(0, 0, 3, "capture", hold=100), holds=holds) == [
            Code.OK, Code.OK]  # fmt: skip
        assert (a.posted, a.held, b.posted) == (7, 0, 3)
        assert (holds[100].status, holds[100].captured, holds[100].closed_at) == ("captured", 3, NOW)

    def test_ends_once(self):
        a, b = account(1, 10), account(2)
        end = [Transfer(0, 0, 0, action, hold=100) for action in ("capture", "capture", "release")]
        assert codes([a, b], Transfer(1, 2, 8, "hold"), *end) == [
            Code.OK, Code.OK, Code.HOLD_CAPTURED, Code.HOLD_CAPTURED]  # fmt: skip
        c, d = account(1, 10), account(2)
        end = [Transfer(0, 0, 0, action, hold=100) for action in ("release", "release", "capture")]
        assert codes([c, d], Transfer(1, 2, 8, "hold"), *end) == [
            Code.OK, Code.OK, Code.HOLD_RELEASED, Code.HOLD_RELEASED]  # fmt: skip

    def test_captures_no_more_than_was_held_and_between_its_accounts_only(self):
        a, b = account(1, 10), account(2)
        assert codes(
            [a, b], Transfer(1, 2, 5, "hold"), Transfer(0, 0, 6, "capture", hold=100),
            Transfer(2, 1, 5, "capture", hold=100), Transfer(0, 0, -1, "capture", hold=100),
            Transfer(0, 0, 4, "release", hold=100), Transfer(0, 0, 5, "capture", hold=100, expires_us=NOW + 1),
        ) == [
            Code.OK, Code.EXCEEDS_HOLD, Code.ACCOUNTS_DIFFER, Code.AMOUNT_NOT_POSITIVE, Code.EXCEEDS_HOLD,
            Code.EXPIRY_NOT_ALLOWED,
        ]  # fmt: skip

    def test_the_id_may_be_given_but_only_once(self):
        a, b = account(1, 10), account(2)
        one = Transfer(1, 2, 1, "hold", hold=77)
        assert codes([a, b], one, one, Transfer(0, 0, 0, "release", hold=77)) == [Code.OK, Code.HOLD_EXISTS, Code.OK]

    def test_goes_on_though_the_account_was_frozen_later(self):
        a, b = account(1, 10), account(2)
        holds: dict[int, Hold] = {}
        run([a, b], Transfer(1, 2, 8, "hold"), holds=holds)
        a.definition = a.definition._replace(frozen=True)
        assert codes([a, b], Transfer(0, 0, 0, "capture", hold=100), holds=holds) == [Code.OK]

    def test_comes_back_whole_and_once(self):
        a, b = account(1, 10), account(2)
        back = Transfer(2, 1, 8, hold=100)
        assert codes(
            [a, b], Transfer(1, 2, 8, "hold"), back, Transfer(0, 0, 0, "capture", hold=100), back._replace(amount=7),
            Transfer(1, 2, 8, hold=100), back, back,
        ) == [
            Code.OK, Code.HOLD_OPEN, Code.OK, Code.EXCEEDS_HOLD, Code.ACCOUNTS_DIFFER, Code.OK, Code.HOLD_RETURNED,
        ]  # fmt: skip
        assert (a.posted, b.posted) == (10, 0)

    def test_the_clock_releases_it_at_the_expiry(self):
        a, b = account(1, 10), account(2)
        holds: dict[int, Hold] = {}
        run([a, b], Transfer(1, 2, 8, "hold", expires_us=NOW + 10), holds=holds)
        assert (a.held, a.next_expiry) == (8, NOW + 10)
        assert mature({1: a}, holds.values(), NOW + 9) == []
        (expired,) = mature({1: a}, holds.values(), NOW + 500)
        assert (a.held, expired.status, expired.closed_at) == (0, "expired", NOW + 10)
        assert codes([a, b], Transfer(0, 0, 0, "capture", hold=100), holds={100: expired}) == [Code.HOLD_EXPIRED]
        for hold in (holds[100], expired):  # noticed or not, it counts the same
            assert [held_at([hold], NOW + at) for at in (-1, 0, 9, 10, 11)] == [0, 8, 8, 0, 0]


class TestGroup:
    def test_is_all_or_nothing(self):
        a, b = account(1, 10), account(2)
        holds: dict[int, Hold] = {}
        group = [Transfer(1, 2, 4, "hold", 1), Transfer(0, 0, 2, "capture", 1, 100), Transfer(1, 2, 9, "post", 1)]
        outcome = run([a, b], *group, Transfer(1, 2, 1), holds=holds)
        assert [r.code for r in outcome.results] == [
            Code.GROUP_FAILED, Code.GROUP_FAILED, Code.INSUFFICIENT, Code.OK]  # fmt: skip
        assert (a.posted, a.held, b.posted, holds) == (9, 0, 1, {})
        assert [entry.number for entry in outcome.entries] == [3]

    def test_an_undone_release_holds_again(self):
        a, b = account(1, 10), account(2)
        holds: dict[int, Hold] = {}
        run([a, b], Transfer(1, 2, 4, "hold"), holds=holds)
        run([a, b], Transfer(0, 0, 0, "release", 1, 100), Transfer(1, 2, 99, "post", 1), holds=holds)
        assert (a.held, holds[100].status) == (4, "open")

    def test_must_be_adjacent(self):
        a, b = account(1, 10), account(2)
        assert codes([a, b], Transfer(1, 2, 1, group=1), Transfer(1, 2, 1), Transfer(1, 2, 1, group=1)) == [
            Code.GROUP_SPLIT, Code.OK, Code.GROUP_SPLIT]  # fmt: skip

    def test_a_whole_batch_may_be_one(self):
        a, b = account(1, 10), account(2)
        assert codes([a, b], Transfer(1, 2, 1, group=1), Transfer(1, 2, 99, group=2), whole=True) == [
            Code.GROUP_FAILED, Code.INSUFFICIENT]  # fmt: skip
        assert a.posted == 10


steps = st.lists(
    st.tuples(st.sampled_from([(1, 2), (2, 1), (1, 3), (3, 1)]), st.integers(1, 30),
              st.sampled_from(["post", "hold"])), max_size=12
)  # fmt: skip


@given(steps, st.tuples(*[st.integers(0, 60)] * 3), st.tuples(*[st.integers(0, 60)] * 3), st.integers(0, 20))
def test_judging_the_changes_again_equals_applying_them_again(moves, before, found, already_held):
    """Escrow: what was applied to one balance is allowed on another exactly when it could have been applied there."""
    states = [account(n + 1, posted, cap=80 if n == 1 else None) for n, posted in enumerate(before)]
    entries = run(states, *(Transfer(pair[0], pair[1], amount, action) for pair, amount, action in moves)).entries
    again = [account(n + 1, posted, cap=80 if n == 1 else None) for n, posted in enumerate(found)]
    again[0].held = already_held
    if again[0].held > again[0].posted:
        return
    allowed = all(
        s.still_holds(p, already_held if n == 0 else 0) for n, (s, p) in enumerate(zip(states, found, strict=True))
    )
    redone = run(again, *(Transfer(e.debit, e.credit, e.amount, e.action) for e in entries))
    assert allowed == all(result.code is Code.OK for result in redone.results)
