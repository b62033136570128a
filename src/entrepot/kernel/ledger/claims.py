"""The order in which claims on the same goods are paid, as pure functions.

Sources: Civil Code of the People's Republic of China, art. 414 (claims by registration rank by its time, registered
before unregistered, unregistered pro rata), 415 (mortgage against pledge: by the time of registration or delivery),
416 (purchase money, if registered within ten days of delivery, before the buyer's other creditors except the holder of
a lien), 456 (a lien before mortgage and pledge). A court's seizure gives no priority over what was public before it,
so it takes its place by time.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

PLEDGE = "pledge"
RANKS = {
    "lien": 10,
    "purchase-money": 20,
    PLEDGE: 30,
    "prior-registration": 30,
    "floating-charge": 30,
    "court-seizure": 30,
}
"""Kind of claim → its default rank; a smaller rank is paid first."""


class Claim(NamedTuple):
    """A claim: `published_us` is when it became public by registration or delivery, 0 if it never did."""

    id: str
    rank: int
    published_us: int
    amount: int


def order(claims: Iterable[Claim]) -> list[list[Claim]]:
    """Classes of claims, first paid first; the members of a class share pro rata.

    >>> [[c.id for c in tier] for tier in order([Claim("b", 30, 0, 1), Claim("a", 30, 5, 1), Claim("c", 30, 0, 1)])]
    [['a'], ['b', 'c']]
    """
    tiers: dict[tuple[int, bool, int], list[Claim]] = {}
    for claim in claims:
        tiers.setdefault((claim.rank, claim.published_us == 0, claim.published_us), []).append(claim)
    return [tiers[key] for key in sorted(tiers)]


def distribute(amount: int, claims: Iterable[Claim]) -> dict[str, int]:
    """Share an amount (minor units) among the claims in their order; what no claim needs is not shared out.

    Within a class by largest remainder, ties by id, so that the shares add up exactly.

    >>> distribute(100, [Claim("bank", 30, 5, 80), Claim("x", 30, 0, 30), Claim("y", 30, 0, 60)])
    {'bank': 80, 'x': 7, 'y': 13}
    """
    shares: dict[str, int] = {}
    left = amount
    for tier in order(claims):
        paid = _pro_rata(min(left, sum(claim.amount for claim in tier)), tier)
        shares.update(paid)
        left -= sum(paid.values())
    return shares


def unencumbered(available: int, claims: Iterable[Claim]) -> int:
    """What of an available quantity no claim from outside covers; never negative."""
    return max(0, available - sum(claim.amount for claim in claims))


def _pro_rata(amount: int, tier: Sequence[Claim]) -> dict[str, int]:
    total = sum(claim.amount for claim in tier)
    if total == 0:
        return {claim.id: 0 for claim in tier}
    shares = {claim.id: amount * claim.amount // total for claim in tier}
    by_remainder = sorted(tier, key=lambda claim: (-(amount * claim.amount % total), claim.id))
    for claim in by_remainder[: amount - sum(shares.values())]:
        shares[claim.id] += 1
    return shares
