"""The whole ledger as an hledger or a Beancount journal, balanced, with balance assertions at the end.

The journal is written as the owners see it: what they hold is an asset, what an issuer has issued is a liability, so
every balance has the sign and the amount that it has here. Account and commodity names are the same in both forms and
ASCII (Beancount's grammar, which hledger accepts too); the original names stand beside them as metadata. A batch
becomes one transaction; holds move nothing and are not exported. Days are days of UTC.

    Assets:Firm:CNY:Main             40000.00 CNY     account firm, CNY, main
    Liabilities:Bank:CNY:Issue      -40000.00 CNY     account bank, CNY, issue (may go negative)
"""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from entrepot.kernel.database import Database, UnitOfWork
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.ledger.reading import all_assets
from entrepot.kernel.ledger.values import Asset
from entrepot.kernel.operations.errors import Invalid

PAGE = 500
COMMODITY_LIMIT = 24
_COMMODITY = re.compile(r"[A-Z][A-Z0-9'._-]{0,22}[A-Z0-9]")
_COMPONENT = re.compile(r"[A-Z0-9][A-Za-z0-9-]*")


@dataclass(frozen=True, slots=True)
class _Name:
    """An account under its name in the journal."""

    id: int
    name: str
    owner: str
    purpose: str
    opened_us: int
    posted: int
    asset: Asset
    commodity: str


@dataclass(frozen=True, slots=True)
class _Move:
    debit: _Name
    credit: _Name
    amount: int
    reference: str


class _Form(Protocol):
    def head(self, day: str, tenant: str, commodities: dict[str, Asset], names: Iterable[_Name]) -> Iterator[str]: ...
    def entry(self, day: str, time: str, batch: str, reference: str, moves: list[_Move]) -> Iterator[str]: ...
    def foot(self, day: str, names: Iterable[_Name]) -> Iterator[str]: ...


def export_journal(database: Database, tenant: str, form: str) -> Iterator[str]:
    """The lines of a journal of everything in one snapshot; `form` is hledger or beancount. Raises Invalid."""
    with database.reader() as uow:
        yield from journal(uow, tenant, form)


def journal(uow: UnitOfWork, tenant: str, form: str) -> Iterator[str]:
    """Like `export_journal`, on a unit of work."""
    writer = FORMS.get(form)
    if writer is None:
        raise Invalid("ledger/journal-form", f"A journal is one of {', '.join(FORMS)}, not {form!r}.")
    return _journal(uow, tenant, writer)


def _journal(uow: UnitOfWork, tenant: str, writer: _Form) -> Iterator[str]:
    assets = all_assets(uow, tenant)
    commodities = commodity_names([asset.code for asset in assets])
    names = _account_names(uow, tenant, {asset.code: asset for asset in assets}, commodities)
    first, last = _span(uow, tenant, names.values())
    yield from writer.head(_day(first), tenant, {commodities[asset.code]: asset for asset in assets}, names.values())
    for batch, at, reference, moves in _batches(uow, tenant, names):
        if moves:
            yield from writer.entry(_day(at), from_us(at).isoformat(), batch, reference, moves)
    # Beancount asserts at the beginning of a day: so the day after the last transaction.
    yield from writer.foot(_day(last + 86_400_000_000), names.values())


# --- names ---------------------------------------------------------------------------------------------------------


def commodity_names(codes: Iterable[str]) -> dict[str, str]:
    """Asset code → commodity name: the code itself where Beancount's grammar allows it, else ASCII with a check.

    >>> commodity_names(["CNY", "铜 lot 7"])
    {'CNY': 'CNY', '铜 lot 7': 'LOT-7-A85290A6'}
    """
    return {code: code if _COMMODITY.fullmatch(code) else _commodity(code) for code in codes}


def _commodity(code: str) -> str:
    stem = re.sub(r"[^A-Z0-9]+", "-", code.upper().encode("ascii", "ignore").decode()).strip("-")
    check = _check(code).upper()
    stem = stem[: COMMODITY_LIMIT - len(check) - 1].strip("-")
    if not stem:
        return f"X-{check}"
    if not stem[0].isalpha():
        stem = f"X{stem}"[: COMMODITY_LIMIT - len(check) - 1]
    return f"{stem}-{check}"


def _component(text: str) -> str:
    """A part of an account name; a text that loses more than case or an underscore gets a check of the original."""
    plain = text.replace("_", "-")
    plain = plain[:1].upper() + plain[1:]
    if len(plain) <= 60 and _COMPONENT.fullmatch(plain):
        return plain
    ascii_only = re.sub(r"[^A-Za-z0-9]+", "-", text.encode("ascii", "ignore").decode()).strip("-")[:48]
    return f"{ascii_only[:1].upper()}{ascii_only[1:]}-{_check(text)}" if ascii_only else f"X-{_check(text)}"


def _check(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _account_names(
    uow: UnitOfWork, tenant: str, assets: dict[str, Asset], commodities: dict[str, str]
) -> dict[int, _Name]:
    rows = uow.fetch(
        "SELECT id, owner, asset, purpose, may_go_negative, opened_at, posted FROM ledger_accounts WHERE tenant = %s"
        " ORDER BY opened_at, id",
        (tenant,),
    )
    taken: set[str] = set()
    names: dict[int, _Name] = {}
    for number, owner, code, purpose, may_go_negative, opened_at, posted in rows:
        root = "Liabilities" if may_go_negative else "Assets"
        name = ":".join((root, _component(owner), _component(commodities[code]), _component(purpose)))
        if name in taken:  # of two that differ in case only, the one opened later carries its id
            name += f"-{number:x}"
        taken.add(name)
        names[number] = _Name(number, name, owner, purpose, opened_at, posted, assets[code], commodities[code])
    return names


# --- rows ----------------------------------------------------------------------------------------------------------


def _span(uow: UnitOfWork, tenant: str, names: Iterable[_Name]) -> tuple[int, int]:
    ((first, last),) = uow.fetch("SELECT MIN(at), MAX(at) FROM ledger_batches WHERE tenant = %s", (tenant,))
    opened = [name.opened_us for name in names]
    return min([*opened, *([first] if first is not None else [])], default=0), max([*opened, last or 0], default=0)


def _batches(uow: UnitOfWork, tenant: str, names: dict[int, _Name]) -> Iterator[tuple[str, int, str, list[_Move]]]:
    at, identifier = -1, ""
    while True:
        batches = uow.read(
            "SELECT id, at, reference FROM ledger_batches WHERE tenant = %s AND (at, id) > (%s, %s) ORDER BY at, id"
            " LIMIT %s",
            (tenant, at, identifier, PAGE),
        )
        if not batches:
            return
        moves: dict[str, list[_Move]] = {row[0]: [] for row in batches}
        rows = uow.read(
            "SELECT batch, debit, credit, amount, reference FROM ledger_transfers WHERE tenant = %s"
            f" AND action IN ('post', 'capture') AND {uow.any_('batch', len(moves))} ORDER BY batch, number",
            (tenant, *moves),
        )
        for batch, debit, credit, amount, reference in rows:
            moves[batch].append(_Move(names[debit], names[credit], amount, reference))
        for identifier, at, reference in batches:
            yield identifier, at, reference, moves[identifier]


def _day(at_us: int) -> str:
    return from_us(at_us).date().isoformat()


def _amount(units: int, scale: int) -> str:
    """Minor units as a decimal figure.

    >>> _amount(-5, 2)
    '-0.05'
    """
    sign, digits = "-" if units < 0 else "", str(abs(units)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


# --- the two forms ---------------------------------------------------------------------------------------------------


class Hledger:
    """hledger's journal: commodities with their decimals declared, accounts declared, names in comments."""

    def head(self, day: str, tenant: str, commodities: dict[str, Asset], names: Iterable[_Name]) -> Iterator[str]:
        """Declarations."""
        yield f"; ledger of {_comment(tenant)}"
        for commodity, asset in commodities.items():
            yield f"; {_comment(asset.code)}, {_comment(asset.kind)} of {_comment(asset.issuer)}"
            sample = _amount(1000 * 10**asset.scale, asset.scale) + ("" if asset.scale else ".")
            yield f"commodity {sample} {_quoted(commodity)}"
        for name in names:
            yield f"account {name.name}  ; owner:{_comment(name.owner)}, purpose:{_comment(name.purpose)}"

    def entry(self, day: str, time: str, batch: str, reference: str, moves: list[_Move]) -> Iterator[str]:
        """A transaction."""
        yield ""
        yield f"{day} * {_comment(batch)}  ; time:{time}, reference:{_comment(reference)}"
        for move in moves:
            note = f"  ; reference:{_comment(move.reference)}" if move.reference else ""
            for name, sign in ((move.credit, 1), (move.debit, -1)):
                figure = _amount(sign * move.amount, name.asset.scale)
                yield f"    {name.name}  {figure} {_quoted(name.commodity)}{note}"

    def foot(self, day: str, names: Iterable[_Name]) -> Iterator[str]:
        """Balance assertions, on postings of nothing."""
        names = list(names)
        if names:
            yield ""
            yield f"{day} * closing balances"
        for name in names:
            commodity = _quoted(name.commodity)
            figure = _amount(name.posted, name.asset.scale)
            yield f"    {name.name}  0 {commodity} = {figure} {commodity}"


class Beancount:
    """Beancount's journal: names as metadata."""

    def head(self, day: str, tenant: str, commodities: dict[str, Asset], names: Iterable[_Name]) -> Iterator[str]:
        """Declarations."""
        yield f'option "title" {_string("Ledger of " + tenant)}'
        for commodity, asset in commodities.items():
            yield f"{day} commodity {commodity}"
            yield f"  name: {_string(asset.code)}"
            yield f"  kind: {_string(asset.kind)}"
            yield f"  issuer: {_string(asset.issuer)}"
            yield f"  scale: {asset.scale}"
        for name in names:
            yield f"{day} open {name.name} {name.commodity}"
            yield f"  owner: {_string(name.owner)}"
            yield f"  purpose: {_string(name.purpose)}"
            yield f"  opened: {_string(from_us(name.opened_us).isoformat())}"

    def entry(self, day: str, time: str, batch: str, reference: str, moves: list[_Move]) -> Iterator[str]:
        """A transaction."""
        yield ""
        yield f"{day} * {_string(reference)}"
        yield f"  batch: {_string(batch)}"
        yield f"  time: {_string(time)}"
        for move in moves:
            for name, sign in ((move.credit, 1), (move.debit, -1)):
                yield f"  {name.name}  {_amount(sign * move.amount, name.asset.scale)} {name.commodity}"
                if move.reference:
                    yield f"    reference: {_string(move.reference)}"

    def foot(self, day: str, names: Iterable[_Name]) -> Iterator[str]:
        """Balance assertions, exact."""
        yield ""
        for name in names:
            figure = _amount(name.posted, name.asset.scale)
            yield f"{day} balance {name.name}  {figure} ~ 0 {name.commodity}"


FORMS: dict[str, _Form] = {"hledger": Hledger(), "beancount": Beancount()}


def _quoted(commodity: str) -> str:
    return commodity if commodity.isalpha() else f'"{commodity}"'


def _comment(text: str) -> str:
    """A value in an hledger comment, without what hledger would read there: a date tag moves the posting to its day."""
    return "".join(c if c.isprintable() and c not in ";|,:[]" else " " for c in text)


def _string(text: str) -> str:
    """A Beancount string."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
