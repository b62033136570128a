"""Console pages of warehousing: tanks live, receipts, and what each role may do with them."""

from datetime import datetime

from nicegui import ui

from entrepot.console.desk import Desk
from entrepot.console.eventlog import history_of
from entrepot.console.forms import Ask, action, ask_and_do
from entrepot.console.pages import page, tile
from entrepot.console.widgets import (
    Column,
    Html,
    age,
    escape,
    facts,
    line_chart,
    link,
    note,
    panel,
    plotted,
    raw,
    short,
    table,
    tag,
    tank,
    tonnes,
    when,
)
from entrepot.kernel.things.operations import ListReadings
from entrepot.systems.warehousing.contract import GetReceipt, ReceiptView
from entrepot.systems.warehousing.operations import GoodsIn, GoodsOut
from entrepot.systems.warehousing.queries import GetTank, ListReceipts, ListTanks, TankView
from entrepot.systems.warehousing.receipts import CancelReceipt, IssueReceipt, TransferReceipt
from entrepot.systems.warehousing.reconciliation import Reconcile

GOODS = ("Goods", "货物")
LOOK_S = 2.0
STATES = {
    "issued": (("issued", "已签发"), "ok"),
    "pledged": (("pledged", "已质押"), "warn"),
    "cancelled": (("cancelled", "已注销"), ""),
    "disposed": (("disposed", "已处置"), "bad"),
}
NO_TANKS = (("No tanks", "暂无储罐"), ("A custodian registers them with their gauge.", "由监管方连同液位计一起登记。"))
NO_RECEIPTS = (
    ("No receipts", "暂无仓单"),
    (
        "Receipts that your party owns, keeps or holds in pledge appear here.",
        "本机构持有、保管或作为质权人的仓单会显示在这里。",
    ),
)


# --- tanks -----------------------------------------------------------------------------------------------------------


@tile(scope="warehousing:read", order=20)
async def tanks_tile(desk: Desk) -> None:
    """On the overview."""
    with panel(desk, ("Tanks: book against sensor", "储罐：账面与感知"), padded=True):
        await _tank_cards(desk)


@page("/tanks", ("Tanks", "储罐"), icon="propane_tank", scope="warehousing:read", group=GOODS, order=10)
async def tanks_page(desk: Desk) -> None:
    """Every tank of the region, live."""
    await _tank_cards(desk)


async def _tank_cards(desk: Desk) -> None:
    async def fetch() -> tuple[list[TankView], int]:
        return (await desk.ask(ListTanks())).tanks, desk.now_us // (int(LOOK_S) * 1_000_000)

    def draw(found: tuple[list[TankView], int]) -> None:
        if not found[0]:
            raw(f'<div class="empty"><b>{desk.t(NO_TANKS[0])}</b>{desk.t(NO_TANKS[1])}</div>')
        with ui.element("div").classes("tanks"):
            for one in found[0]:
                _card(desk, one)

    await desk.part(fetch, draw, every_s=LOOK_S)


def _card(desk: Desk, one: TankView) -> None:
    with ui.element("article").classes("card tankcard").props(f"data-tank={one.id}"):
        with ui.element("div"):
            _drawing(desk, one)
        with ui.element("div"):
            raw(f'<h2><a href="/tanks/{one.id}">{escape(desk.t((one.name, one.name_zh)))}</a></h2>')
            raw(f'<div style="margin-bottom:8px">{_agreement(desk, one)}</div>')
            facts(desk, _figures(desk, one))


def _drawing(desk: Desk, one: TankView) -> None:
    height = max(one.height_mm, 1)
    level, water = one.level_mm or 0, one.water_mm or 0
    label = "—" if one.level_mm is None else f"{level / 1000:.2f} m"
    tank(level / height, water / height, label, one.id, _tone(one))


def _tone(one: TankView) -> str:
    if one.agrees or one.sensed_kg is None:
        return "ok" if one.agrees else "warn"
    return "bad" if one.sensed_kg < one.book_kg else "warn"


def _agreement(desk: Desk, one: TankView) -> Html:
    if one.sensed_kg is None:
        return tag(desk.t(("gauge silent", "液位计失联")), "bad")
    if one.agrees is None:
        return tag(desk.t(("nothing booked", "无账面货物")))
    if one.agrees:
        return tag(desk.t(("book and sensor agree", "账实相符")), "ok")
    if one.sensed_kg < one.book_kg:
        return tag(desk.t(("less there than booked", "账实不符：短少")), "bad")
    return tag(desk.t(("more there than booked", "账实不符：未入账")), "warn")


def _figures(desk: Desk, one: TankView) -> list[tuple[tuple[str, str], object]]:
    def shown(value: float | None, form: str, unit: str) -> str:
        return "—" if value is None else f"{value:{form}} {unit}"

    return [
        (("Book", "账面"), tonnes(one.book_kg)),
        (("Sensed", "感知"), "—" if one.sensed_kg is None else tonnes(one.sensed_kg)),
        (("Water", "底水"), shown(one.water_mm, ",d", "mm")),
        (("Temperature", "温度"), shown(one.temperature_c, ".1f", "°C")),
        (("Last reading", "最近读数"), age(desk, one.reading_at, desk.now_us)),
    ]


@page("/tanks/{id}", ("Tank", "储罐"), scope="warehousing:read")
async def tank_page(desk: Desk, id: str) -> None:
    """One tank: drawing, figures, the gauge's readings, receipts on it, and the custodian's work."""
    first = await desk.ask(GetTank(tank_id=id))

    async def fetch() -> tuple[TankView, int]:
        return await desk.ask(GetTank(tank_id=id)), desk.now_us // (int(LOOK_S) * 1_000_000)

    def draw(found: tuple[TankView, int]) -> None:
        one = found[0]
        with panel(desk, (one.name, one.name_zh), padded=True), ui.element("div").classes("tankwide"):
            with ui.element("div"):
                _drawing(desk, one)
            with ui.element("div"):
                raw(f'<div style="margin-bottom:10px">{_agreement(desk, one)}</div>')
                if one.trouble:
                    note(desk, one.trouble, "warn")
                density = "—" if one.density_kg_m3 is None else f"{one.density_kg_m3:.1f} kg/m³"
                facts(
                    desk,
                    [
                        *_figures(desk, one),
                        (("Density", "密度"), density),
                        (("Capacity", "容量"), tonnes(one.capacity_kg)),
                        (("Keeper", "监管方"), desk.party(one.custodian)),
                        (("Site", "地点"), one.site),
                        (("Gauge", "液位计"), short(one.device_id)),
                    ],
                )

    await desk.part(fetch, draw, every_s=LOOK_S)
    _keeper_actions(desk, first)
    await _readings(desk, first)
    await _receipts_of(desk, id)
    if desk.actor.party == first.custodian:
        await history_of(desk, id)


def _keeper_actions(desk: Desk, one: TankView) -> None:
    if desk.actor.party != one.custodian:
        return
    owner = Ask("owner", ("Owner", "货主"), "choice", choices=_others(desk, one.custodian))
    quantity = Ask("quantity_kg", ("Quantity", "数量"), "tonnes")

    def goods_in() -> None:
        asks = [owner, quantity, Ask("document", ("Weighbridge ticket or bill", "磅单或单据"), optional=True)]
        ask_and_do(desk, ("Book goods in", "入库"), asks, lambda v: GoodsIn(tank_id=one.id, **v),
                   done=("Booked in.", "已入库。"))  # fmt: skip

    def goods_out() -> None:
        asks = [owner, quantity, Ask("delivery_order", ("Delivery order", "提货单"))]
        ask_and_do(desk, ("Book goods out", "出库"), asks, lambda v: GoodsOut(tank_id=one.id, **v),
                   done=("Booked out.", "已出库。"))  # fmt: skip

    def issue() -> None:
        ask_and_do(desk, ("Issue receipt", "签发仓单"), [owner, quantity], lambda v: IssueReceipt(tank_id=one.id, **v),
                   done=("Receipt issued.", "仓单已签发。"))  # fmt: skip

    async def reconcile() -> None:
        found = await desk.do(Reconcile(tank_id=one.id))
        if found is None:
            return
        difference = tonnes(found.difference_kg)
        if found.agrees:
            desk.say((f"Book and sensor agree (difference {difference}).", f"账实相符（差异 {difference}）。"))
        else:
            ui.navigate.to(f"/cases/{found.case_id}")

    with ui.element("div").classes("actions"):
        action(desk, "warehousing.goods_in", goods_in, primary=True)
        action(desk, "warehousing.issue_receipt", issue)
        action(desk, "warehousing.reconcile", reconcile)
        action(desk, "warehousing.goods_out", goods_out)


def _others(desk: Desk, party: str) -> dict[str, str]:
    return {identifier: name for identifier, name in desk.names.items() if identifier != party}


async def _readings(desk: Desk, one: TankView) -> None:
    if desk.actor.party != one.custodian or not desk.may("things:read"):
        return
    with panel(desk, ("Level by the gauge", "液位曲线"), padded=True):
        chart = line_chart(desk, [(("Level, m", "液位（米）"), [])], unit=" m")

        async def refresh() -> None:
            found = await desk.try_ask(ListReadings(device_id=one.device_id, newest_first=True, limit=600))
            if found is not None:
                levels = [_point(r.at, r.values.get("level_mm", 0.0) / 1000) for r in reversed(found.readings)]
                chart.options["series"][0]["data"] = levels
                chart.update()

        await refresh()
        ui.timer(5.0, refresh, immediate=False)


def _point(at: datetime, value: float) -> list[object]:
    return [plotted(at), round(value, 4)]


# --- receipts ----------------------------------------------------------------------------------------------------


@page("/receipts", ("Receipts", "仓单"), icon="receipt_long", scope="warehousing:read", group=GOODS, order=12)
async def receipts_page(desk: Desk) -> None:
    """Receipts by relation; all for a supervisor."""
    await _receipts_of(desk, "")


async def _receipts_of(desk: Desk, tank_id: str) -> None:
    async def fetch() -> list[ReceiptView]:
        return (await desk.ask(ListReceipts(tank_id=tank_id))).receipts

    def draw(found: list[ReceiptView]) -> None:
        with panel(desk, ("Electronic warehouse receipts", "电子仓单")):
            table(desk, _columns(desk), found, NO_RECEIPTS)

    await desk.part(fetch, draw)


def _columns(desk: Desk) -> list[Column]:
    return [
        Column(("Receipt", "仓单"), lambda r: link(r.number, f"/receipts/{r.id}")),
        Column(("State", "状态"), lambda r: state_tag(desk, r.state)),
        Column(("Quantity", "数量"), lambda r: tonnes(r.quantity_kg), "num"),
        Column(("Owner", "货主"), lambda r: desk.party(r.owner)),
        Column(("Pledged to", "质权人"), lambda r: desk.party(r.pledgee)),
        Column(("Tank", "储罐"), lambda r: link(r.tank_id, f"/tanks/{r.tank_id}")),
        Column(("Issued", "签发时间"), lambda r: when(r.issued_at)[:16]),
    ]


def state_tag(desk: Desk, state: str) -> Html:
    """A receipt's state."""
    title, tone = STATES[state]
    return tag(desk.t(title), tone)


@page("/receipts/{id}", ("Receipt", "仓单"), scope="warehousing:read")
async def receipt_page(desk: Desk, id: str) -> None:
    """One receipt as the register has it."""

    async def fetch() -> ReceiptView:
        return await desk.ask(GetReceipt(receipt_id=id))

    await desk.part(fetch, lambda found: _receipt(desk, found))
    await history_of(desk, id)


def _receipt(desk: Desk, receipt: ReceiptView) -> None:
    with panel(desk, (f"Receipt {receipt.number}", f"仓单 {receipt.number}"), padded=True):
        facts(
            desk,
            [
                (("State", "状态"), state_tag(desk, receipt.state)),
                (("Quantity", "数量"), tonnes(receipt.quantity_kg)),
                (("Goods", "货物"), receipt.asset),
                (("Owner", "货主"), desk.party(receipt.owner)),
                (("Keeper", "监管方"), desk.party(receipt.custodian)),
                (("Pledged to", "质权人"), desk.party(receipt.pledgee)),
                (("Tank", "储罐"), link(receipt.tank_id, f"/tanks/{receipt.tank_id}")),
                (("Issued", "签发时间"), when(receipt.issued_at)),
                (("Fingerprint", "指纹"), Html(f'<span class="id">{escape(receipt.fingerprint)}</span>')),
                (("Number", "编号"), short(receipt.id)),
            ],
        )
        if desk.actor.party == receipt.owner and receipt.state == "issued":
            with ui.element("div").classes("actions").style("margin-top:14px"):
                _owner_actions(desk, receipt)


def _owner_actions(desk: Desk, receipt: ReceiptView) -> None:
    def transfer() -> None:
        owner = Ask("new_owner", ("New owner", "受让方"), "choice", choices=_others(desk, receipt.owner))
        ask_and_do(
            desk,
            ("Transfer receipt", "仓单转让"),
            [owner],
            lambda v: TransferReceipt(receipt_id=receipt.id, **v),
            explain=("The goods become the new owner's at once.", "货物所有权随即转移。"),
            after=lambda _: _leave(),
        )

    def cancel() -> None:
        ask_and_do(
            desk,
            ("Cancel receipt", "注销仓单"),
            [],
            lambda _: CancelReceipt(receipt_id=receipt.id),
            explain=("The goods are free for delivery; the receipt is void.", "货物可提取，仓单作废。"),
        )

    async def _leave() -> None:
        ui.navigate.to("/receipts")

    action(desk, "warehousing.transfer_receipt", transfer)
    action(desk, "warehousing.cancel_receipt", cancel)
