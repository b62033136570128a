"""What the demo adds to the console: its people on the sign-in page, and the replayed price moved on by hand."""

from functools import partial

from nicegui import ui

from entrepot.console.desk import Desk, Title
from entrepot.console.pages import tile
from entrepot.console.shell import DemoAccount
from entrepot.console.widgets import line_chart, money, panel
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.reference import REGION
from entrepot.kernel.reference.brent import BRENT_CNY
from entrepot.kernel.reference.operations import ListPrices
from entrepot.region.demo import AdvancePrice
from entrepot.region.plan import DEMO_PASSWORD, PEOPLE

ROLES: dict[str, Title] = {
    "trader": ("trader", "贸易商"),
    "bank_clerk": ("bank clerk", "银行经办"),
    "bank_approver": ("bank approver", "银行审批"),
    "custodian": ("warehouse keeper", "仓储监管"),
    "regulator": ("supervisor", "监管机构"),
    "price_clerk": ("price clerk", "价格管理"),
    "system_admin": ("system administrator", "系统管理员"),
    "security_admin": ("security administrator", "安全管理员"),
    "audit_admin": ("auditor", "审计员"),
}
DAYS_SHOWN = 60


def demo_accounts() -> list[DemoAccount]:
    """The people of the demo, for the sign-in page."""
    return [
        DemoAccount(human.user_name, DEMO_PASSWORD, ROLES.get(human.roles[0], (human.roles[0], human.roles[0])))
        for human in PEOPLE
    ]


@tile(scope="region:demo", order=30)
async def price_tile(desk: Desk) -> None:
    """The Brent price of 2008, moved on by some trading days at a time."""

    async def advance(days: int) -> None:
        moved = await desk.do(AdvancePrice(days=days))
        if moved is not None:
            day, price = moved.historical_day, money(moved.value)
            desk.say((f"Brent of {day}: {price} a tonne.", f"{day} 布伦特：每吨 {price}。"))

    if not desk.may("reference:read"):
        return
    with panel(desk, ("Demo: the oil price of 2008, replayed", "演示：重放 2008 年油价"), padded=True) as header:
        with header:
            for days, title in ((1, ("Next trading day", "下一交易日")), (10, ("Ten days on", "前进十日"))):
                ui.button(desk.t(title), on_click=partial(advance, days)).props(
                    f"no-caps outline color=primary dense data-mark=advance-{days}"
                )
        chart = line_chart(desk, [(("Yuan a tonne", "元/吨"), [])], height_px=180)

        async def refresh() -> None:
            today = from_us(desk.now_us).astimezone(REGION).date()
            since = from_us(desk.now_us - DAYS_SHOWN * 86_400_000_000).astimezone(REGION).date()
            found = await desk.try_ask(ListPrices(series=BRENT_CNY.id, since=since, until=today))
            points = [[p.day.isoformat(), p.value / 100] for p in found.prices] if found else []
            chart.options["series"][0]["data"] = points
            chart.update()

        await refresh()
        desk.live(refresh)
