"""Records of warehousing. Quantities are on the ledger, never here."""

from entrepot.kernel.database.records import Record, record


@record("wh_tanks", index=(("custodian",),), label="tank")
class Tank(Record):
    """A tank with a level gauge. `strapping` is a JSON list of [level mm, litres], ascending."""

    id: str
    name: str
    name_zh: str
    site: str
    custodian: str
    device_id: str
    commodity: str
    asset: str
    height_mm: int
    strapping: str
    capacity_kg: int
    tolerance_bp: int
    stale_after_s: int


@record("wh_receipts", index=(("tank_id", "state"), ("owner",)), label="receipt")
class Receipt(Record):
    """An electronic warehouse receipt; its goods lie in the owner's account `receipt:<id>`, or pledged."""

    id: str
    number: str
    tank_id: str
    asset: str
    owner: str
    custodian: str
    state: str
    pledgee: str
    encumbrance: str
    reference: str
    issued_at: int
    fingerprint: str
