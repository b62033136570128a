"""Forms: a small dialog with fields chosen by a page, and the form that is made from any operation."""

import html
import types
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import orjson
from nicegui import ui
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from entrepot.console.desk import Desk, Title
from entrepot.console.widgets import escape, note, raw, readable
from entrepot.kernel.doors.rest import validation_refusal
from entrepot.kernel.operations import Answer, Operation, Refusal, Request

A = TypeVar("A", bound=Answer)
Kind = Literal["text", "yuan", "tonnes", "choice", "note"]
Done = Callable[[Any], Awaitable[None]]
BIGGEST = Decimal(10) ** 15


@dataclass(frozen=True, slots=True)
class Ask:
    """A field of a dialog. Yuan become fen, tonnes become kilograms; a choice maps values to what is shown."""

    name: str
    title: Title
    kind: Kind = "text"
    hint: Title | str = ""
    value: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    optional: bool = False


class _Wrong(ValueError):
    """A field's text is not what its kind needs."""


def scaled(text: str, places: int) -> int:
    """Text such as "1,234.5" as an integer of units of 10**-places. Raises ValueError for anything else.

    >>> scaled("1,234.5", 2), scaled("0.001", 3)
    (123450, 1)
    """
    try:
        number = Decimal(text.replace(",", "").replace(" ", ""))
    except InvalidOperation:
        raise _Wrong(text) from None
    if not number.is_finite() or abs(number) > BIGGEST:
        raise _Wrong(text)
    units = number.scaleb(places)
    if units != units.to_integral_value():
        raise _Wrong(text)
    return int(units)


def ask_and_do(
    desk: Desk,
    title: Title,
    asks: Sequence[Ask],
    request: Callable[[dict[str, Any]], Request[Any]],
    *,
    explain: Title | str = "",
    confirm: Title = ("Confirm", "确认"),
    done: Title = ("Done.", "已完成。"),
    after: Done | None = None,
) -> None:
    """Open a dialog: the fields, what follows from it, and the refusal in place when there is one."""
    with desk.client.content, ui.dialog() as dialog, ui.element("div").classes("card").props('role="dialog"'):
        raw(f"<h2 class='dialogtitle'>{escape(desk.t(title))}</h2>")
        if explain:
            raw(f'<div class="muted">{escape(desk.t(explain))}</div>')
        fields = {ask.name: _field(desk, ask) for ask in asks}
        problem = ui.element("div").props('role="alert"')

        async def send() -> None:
            problem.clear()
            try:
                wanted = request({ask.name: _value(ask, fields[ask.name].value) for ask in asks})
                answer = await desk.attempt(wanted)
            except _Wrong as wrong:
                text = (f"{wrong} is not an amount with at most the usual decimals.", f"“{wrong}”不是有效的数值。")
                _tell(desk, problem, desk.t(text))
                return
            except ValidationError as error:
                _tell(desk, problem, validation_refusal(error).detail)
                return
            except Refusal as refusal:
                _tell(desk, problem, readable(f"{desk.t(refusal.title)}: {refusal.detail}"))
                return
            dialog.close()
            desk.say(done)
            if after is not None:
                await after(answer)

        _buttons(desk, dialog, send, confirm)
    dialog.on("hide", dialog.delete)
    dialog.open()


def action(
    desk: Desk,
    operation: str,
    on_click: Callable[[], Any],
    *,
    primary: bool = False,
    title: Title | None = None,
) -> None:
    """A button for an operation; nothing for those who may not run it."""
    found = desk.operation(operation)
    if desk.may(found.scope):
        ui.button(desk.t(title or found.title), on_click=on_click).props(
            f"no-caps color=primary data-mark={operation} {'unelevated' if primary else 'outline'}"
        )


def operation_form(desk: Desk, operation: Operation) -> None:
    """The form of any operation, with its answer as JSON under it."""
    fields: dict[str, Any] = {}
    example = dict(operation.example)
    with ui.element("div").classes("formgrid"):
        for name, info in operation.request.model_fields.items():
            fields[name] = _generated(name, info, example.get(name))

    async def send() -> None:
        result.clear()
        try:
            values = {
                name: _parse(operation.request.model_fields[name].annotation, element.value)
                for name, element in fields.items()
                if element.value not in (None, "")
            }
            request = operation.request.model_validate_json(orjson.dumps(values))
            answer = await (desk.ask(request) if operation.kind == "query" else desk.attempt(request))
        except orjson.JSONDecodeError as error:
            _tell(desk, result, f"JSON: {error}")
            return
        except ValidationError as error:
            _tell(desk, result, validation_refusal(error).detail)
            return
        except Refusal as refusal:
            _tell(desk, result, readable(f"{desk.t(refusal.title)}: {refusal.detail}"))
            return
        text = orjson.dumps(answer.model_dump(mode="json"), option=orjson.OPT_INDENT_2).decode()
        with result:
            raw(f'<pre class="json" tabindex="0">{html.escape(text)}</pre>')

    title = ("Ask", "查询") if operation.kind == "query" else ("Run", "执行")
    ui.button(desk.t(title), on_click=send).props("no-caps unelevated color=primary data-mark=run")
    result = ui.element("div").props('aria-live="polite"')


def _buttons(desk: Desk, dialog: ui.dialog, send: Callable[[], Awaitable[None]], confirm: Title) -> None:
    with ui.element("div").classes("row end"):
        ui.button(desk.t(("Cancel", "取消")), on_click=dialog.close).props("no-caps flat color=grey-8")
        ui.button(desk.t(confirm), on_click=send).props("no-caps unelevated color=primary data-mark=confirm")


def _tell(desk: Desk, place: ui.element, text: str) -> None:
    with place:
        note(desk, text, "bad")


def _field(desk: Desk, ask: Ask) -> Any:
    unit = {"yuan": "¥", "tonnes": "t"}.get(ask.kind, "")
    label = desk.t(ask.title) + (f" ({unit})" if unit else "")
    if ask.kind == "choice":
        choices = dict(ask.choices)
        first = ask.value or next(iter(choices), None)
        element: Any = ui.select(choices, label=label, value=first)
    elif ask.kind == "note":
        element = ui.textarea(label=label, value=ask.value)
    else:
        element = ui.input(label=label, value=ask.value)
    element.props("outlined dense" + (' inputmode="decimal"' if unit else ""))
    if ask.hint:
        element.props(f'hint="{html.escape(desk.t(ask.hint), quote=True)}"')
    return element.classes("wide").props(f"data-mark={ask.name}")


def _value(ask: Ask, value: Any) -> Any:
    text = "" if value is None else str(value).strip()
    if ask.kind == "yuan":
        return scaled(text, 2)
    if ask.kind == "tonnes":
        return scaled(text, 3)
    return text


def _generated(name: str, info: FieldInfo, example: Any) -> Any:
    label = name.replace("_", " ").capitalize() + (" *" if info.is_required() else "")
    choices = _choices(info.annotation)
    default = "" if info.is_required() else info.get_default(call_default_factory=True)
    if choices:
        element: Any = ui.select(
            choices, label=label, value=default if default in choices else choices[0], clearable=not info.is_required()
        )
    elif info.annotation is bool:
        element = ui.select(["true", "false"], label=label, value=str(bool(default)).lower())
    else:
        shown = example if info.is_required() else default
        text = "" if shown in (None, "") else shown if isinstance(shown, str) else orjson.dumps(shown).decode()
        element = ui.input(label=label, value="" if info.is_required() else text, placeholder=text)
    element.props("outlined dense")
    if info.description:
        element.props(f'hint="{html.escape(info.description, quote=True)}"')
    return element.classes("wide").props(f"data-mark={name}")


def _choices(annotation: Any) -> list[str]:
    found = [option for option in get_args(annotation) if isinstance(option, str)]
    if get_origin(annotation) is Literal:
        return found
    for part in get_args(annotation):
        if get_origin(part) is Literal:
            return [option for option in get_args(part) if isinstance(option, str)]
    return []


def _parse(annotation: Any, value: Any) -> Any:
    """What the text of a field stands for: text where text is wanted, JSON otherwise."""
    options = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    text = str(value)
    if bool in options or any(o in (int, float) for o in options):
        return orjson.loads(text)
    if text.startswith(("[", "{")) and str not in options:
        return orjson.loads(text)
    return text
