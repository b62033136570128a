"""Every operation that the actor may run, each with its form: the whole platform without another program."""

from itertools import groupby

from nicegui import ui

from entrepot.console.desk import Desk
from entrepot.console.eventlog import EVIDENCE
from entrepot.console.forms import operation_form
from entrepot.console.pages import page
from entrepot.console.widgets import Column, Html, escape, link, note, panel, raw, table, tag
from entrepot.kernel.operations import Operation, Refusal

NOTHING = (("Nothing", "无"), ("Your roles grant no operations.", "您的角色没有可用操作。"))


@page("/operations", ("Operations", "操作"), icon="terminal", group=EVIDENCE, order=70)
async def operations_page(desk: Desk) -> None:
    """By system."""
    registry = desk.executor.runtime.registry
    offered = [operation for operation in registry if operation.scope and desk.may(operation.scope)]
    for name, members in groupby(offered, key=lambda operation: operation.system):
        with panel(desk, registry.systems[name].title if name in registry.systems else (name, name)):
            table(desk, _columns(desk), list(members), NOTHING)


@page("/operations/{id}", ("Operation", "操作"))
async def operation_page(desk: Desk, id: str) -> None:
    """One operation: what it does, its address, its form and its answer."""
    try:
        operation = desk.operation(id)
    except Refusal as refusal:
        note(desk, refusal.detail, "bad")
        return
    if not desk.may(operation.scope):
        note(desk, ("You may not run this operation.", "您无权执行此操作。"), "bad")
        return
    with panel(desk, operation.title, padded=True), ui.element("div").classes("stack"):
        raw(
            f"<p>{escape(operation.summary)}</p><div class='row'>{_kind(desk, operation)}"
            f"<span class='id'>{escape(operation.name)}</span>"
            f"<span class='id muted'>{operation.method} /v1/{operation.system}{escape(operation.path)}</span></div>"
        )
        operation_form(desk, operation)


def _columns(desk: Desk) -> list[Column]:
    return [
        Column(("Operation", "操作"), lambda o: link(desk.t(o.title), f"/operations/{o.name}")),
        Column(("", ""), lambda o: _kind(desk, o)),
        Column(("What it does", "说明"), lambda o: o.summary, "wrap"),
        Column(("Address", "接口"), lambda o: f"{o.method} /v1/{o.system}{o.path}", "id"),
        Column(("Permission", "权限"), lambda o: o.scope, "id"),
    ]


def _kind(desk: Desk, operation: Operation) -> Html:
    if operation.kind == "query":
        return tag(desk.t(("query", "查询")))
    return tag(desk.t(("command", "命令")), "info")
