"""Where notices go besides the inbox: the panel of the inbox page that lists, adds, confirms, tests and ends them."""

from collections.abc import Callable
from functools import partial
from typing import Any

from nicegui import ui

from entrepot.console.desk import Desk, Title
from entrepot.console.forms import Ask, ask_and_do
from entrepot.console.widgets import escape, note, panel, raw, tag, when
from entrepot.kernel.notices.channel_operations import (
    AddressList,
    AddressView,
    ConfirmAddress,
    EndAddress,
    ListAddresses,
    RegisterAddress,
    Registered,
    SendCode,
    SendTest,
)

NAMES: dict[str, Title] = {"mail": ("Mail", "邮箱"), "webhook": ("Webhook", "Webhook")}
ICONS = {"mail": "mail", "webhook": "webhook"}
HINTS: dict[str, Title] = {
    "mail": (
        "A code is sent there first; nothing else before you entered it.",
        "系统先发送验证码；确认后才会发送通知。",
    ),
    "webhook": (
        "Each notice is posted there as signed JSON (standardwebhooks.com).",
        "每条通知以签名的 JSON 推送（standardwebhooks.com）。",
    ),
}
STATES: dict[str, tuple[Title, str]] = {
    "unconfirmed": (("waits for its code", "待验证"), "warn"),
    "active": (("active", "已启用"), "ok"),
    "ended": (("ended", "已停用"), ""),
}


async def addresses_panel(desk: Desk) -> None:
    """The own addresses and those of the party."""

    async def fetch() -> AddressList:
        return await desk.ask(ListAddresses())

    await desk.part(fetch, lambda found: _draw(desk, found), every_s=5)


def _draw(desk: Desk, found: AddressList) -> None:
    ready = [each.channel for each in found.channels if not each.missing]
    if not ready and not found.addresses:
        if desk.may("kernel:operate"):  # nobody else can do anything about it
            _nothing_set_up(desk, found)
        return
    with panel(desk, ("Also sent to", "同时发送至")) as header:
        with header:
            for channel in ready:
                _add_button(desk, channel)
        for address in found.addresses:
            _address(desk, address)
        if not found.addresses:
            nothing = desk.t(("No further address", "暂无其他地址"))
            hint = desk.t(("Notices stay in this inbox.", "通知仅保存在收件箱中。"))
            raw(f'<div class="empty slim"><b>{nothing}</b>{hint}</div>')


def _nothing_set_up(desk: Desk, found: AddressList) -> None:
    settings = desk.t((" or ", " 或 ")).join(f"{c.missing} ({desk.t(NAMES[c.channel])})" for c in found.channels)
    text = desk.t(
        (
            f"Notices stay here; to have them sent on, the operator sets {settings}.",
            f"通知仅保存于此。如需同时发送，请运营方设置 {settings}。",
        )
    )
    raw(f'<div class="muted small">{escape(text)}</div>')


def _add_button(desk: Desk, channel: str) -> None:
    title = desk.t(("Add mail", "添加邮箱") if channel == "mail" else ("Add webhook", "添加 Webhook"))
    ui.button(title, on_click=lambda: _add(desk, channel)).props(
        f"no-caps outline dense color=primary data-mark=add-{channel}"
    )


def _add(desk: Desk, channel: str) -> None:
    own = {desk.actor.party: desk.party(desk.actor.party), desk.actor.id: desk.t(("Only me", "仅本人"))}
    mail = channel == "mail"
    asks = [
        Ask("address", ("Mail address", "邮箱地址") if mail else ("https URL", "https 地址")),
        Ask("party", ("Whose notices", "谁的通知"), "choice", choices=own, value=desk.actor.party),
        Ask(
            "kinds", ("Only these kinds", "仅限类别"), optional=True,
            hint=("Such as margin-call, alarm; empty: all of them", "例如 margin-call, alarm；留空表示全部"),
        ),
    ]  # fmt: skip

    async def added(answer: Registered) -> None:
        if answer.secret:
            _show_secret(desk, answer)

    ask_and_do(
        desk,
        ("Add mail address", "添加邮箱") if mail else ("Add webhook", "添加 Webhook"),
        asks,
        lambda values: RegisterAddress.model_validate(
            {**values, "channel": channel, "kinds": values["kinds"].replace(",", " ").replace("，", " ").split()}
        ),
        explain=HINTS[channel],
        confirm=("Add", "添加"),
        done=("Added; the code is on its way.", "已添加，验证码已发出。") if mail else ("Added.", "已添加。"),
        after=added,
    )


def _show_secret(desk: Desk, answer: Registered) -> None:
    with desk.client.content, ui.dialog().props("persistent") as dialog, ui.element("div").classes("card"):
        raw(f"<h2 class='dialogtitle'>{escape(desk.t(('Secret of the webhook', 'Webhook 密钥')))}</h2>")
        note(
            desk,
            (
                "It is shown this once. The receiver verifies every message with it.",
                "仅显示这一次，接收方用它校验消息。",
            ),
            "warn",
        )
        secret = escape(answer.secret)
        raw(f'<div class="id breaking" data-copy="{secret}" data-mark="secret" tabindex="0">{secret}</div>')
        with ui.element("div").classes("row end"):
            ui.button(desk.t(("I have kept it", "已妥善保存")), on_click=dialog.close).props(
                "no-caps unelevated color=primary data-mark=kept"
            )
    dialog.on("hide", dialog.delete)
    dialog.open()


def _address(desk: Desk, address: AddressView) -> None:
    title, tone = STATES[address.state]
    if address.state == "active" and address.failures:
        title, tone = ("failing", "投递失败"), "bad"
    whose = desk.t(("only me", "仅本人")) if address.party == desk.actor.id else desk.party(address.party)
    kinds = " ".join(tag(kind) for kind in address.kinds) or escape(desk.t(("every kind", "全部类别")))
    with ui.element("article").classes("notice address"):
        raw(
            f'<h3><i class="material-icons inline" aria-hidden="true">{ICONS[address.channel]}</i>'
            f'<span class="breaking">{escape(address.address)}</span></h3>'
            f'<div class="muted">{tag(desk.t(title), tone)} {escape(whose)} · {kinds} · '
            f"{escape(_traffic(desk, address))}</div>{_problem(desk, address)}"
        ).classes("grow")
        _buttons(desk, address)


def _traffic(desk: Desk, address: AddressView) -> str:
    if address.delivered_at is None:
        last = desk.t(("nothing delivered yet", "尚未投递"))
    else:
        moment = when(address.delivered_at)
        last = desk.t((f"last delivered {moment}", f"最近投递 {moment}"))
    waiting = desk.t((f"{address.waiting} waiting", f"{address.waiting} 条待投递")) if address.waiting else ""
    return " · ".join(part for part in (last, waiting) if part)


def _problem(desk: Desk, address: AddressView) -> str:
    if not address.problem:
        return ""
    text = desk.t((f"Last failure: {address.problem}", f"最近失败：{address.problem}"))
    return f'<div class="trouble breaking">{escape(text)}</div>'


def _buttons(desk: Desk, address: AddressView) -> None:
    async def test() -> None:
        await desk.do(SendTest(address_id=address.id), ("The test notice is on its way.", "测试通知已发出。"))

    async def again() -> None:
        await desk.do(SendCode(address_id=address.id), ("Another code is on its way.", "验证码已重新发送。"))

    with ui.element("div").classes("actions"):
        if address.state == "unconfirmed":
            _button(desk, ("Enter code", "输入验证码"), partial(_confirm, desk, address), "confirm-address")
            _button(desk, ("Send another code", "重新发送"), again, "send-code")
        else:
            _button(desk, ("Send test", "发送测试"), test, "test-address")
        _button(desk, ("End", "停用"), partial(_end, desk, address), "end-address")


def _button(desk: Desk, title: Title, on_click: Callable[[], Any], mark: str) -> None:
    ui.button(desk.t(title), on_click=on_click).props(f"no-caps outline dense color=primary data-mark={mark}")


def _confirm(desk: Desk, address: AddressView) -> None:
    ask_and_do(
        desk,
        ("Confirm the mail address", "确认邮箱地址"),
        [Ask("code", ("Code from the mail", "邮件中的验证码"))],
        lambda values: ConfirmAddress(address_id=address.id, code=values["code"]),
        explain=address.address,
        done=("Confirmed.", "已确认。"),
    )


def _end(desk: Desk, address: AddressView) -> None:
    ask_and_do(
        desk,
        ("End this address?", "停用此地址？"),
        [],
        lambda values: EndAddress(address_id=address.id),
        explain=(f"Nothing more is sent to {address.address}.", f"不再向 {address.address} 发送通知。"),
        confirm=("End", "停用"),
        done=("Ended.", "已停用。"),
    )
