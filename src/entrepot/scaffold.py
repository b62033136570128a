"""`entrepot new-system NAME`: a system's folder with its README and tests, in the shape that all systems have."""

import keyword
import re
from pathlib import Path

KERNEL_NAMES = {
    "parties", "events", "ledger", "signing", "vault", "documents", "casework", "timers", "notices", "reference",
    "things", "region", "operations", "workflows", "token", "serve",
}  # fmt: skip


class ScaffoldError(ValueError):
    """The name or the place does not do; the message says why."""


def write_system(name: str, checkout: Path) -> list[Path]:
    """Write `src/entrepot/systems/<name>` and `tests/systems/<name>`; the files written. Raises ScaffoldError."""
    if not re.fullmatch(r"[a-z][a-z0-9]{2,30}", name) or keyword.iskeyword(name):
        raise ScaffoldError(f"{name!r}: a system's name is one word of 3 to 31 lower-case letters and digits")
    if name in KERNEL_NAMES:
        raise ScaffoldError(f"{name!r} is a name of the kernel's")
    systems = checkout / "src" / "entrepot" / "systems"
    if not systems.is_dir():
        raise ScaffoldError(f"{checkout.resolve()} is no checkout of Entrepot: there is no src/entrepot/systems in it")
    target, tests = systems / name, checkout / "tests" / "systems" / name
    if target.exists() or tests.exists():
        raise ScaffoldError(f"{target} or {tests} exists already; nothing was written")
    noun = name.removesuffix("s") if name.endswith("s") and len(name) > 4 else name
    title = noun.capitalize()
    contract = ", ".join(sorted((f"Get{title}", f"{title}View")))
    listed = ", ".join(sorted((f"Create{title}", f"List{title}s", f"{title}List")))
    words = {
        "NAME": name,
        "CONTRACT": contract,
        "LISTED": listed,
        "TITLE": name.capitalize(),
        "Noun": title,
        "noun": noun,
        "NOUN": noun[:3],
    }
    written = []
    for folder, files in ((target, SYSTEM_FILES), (tests, TEST_FILES)):
        folder.mkdir(parents=True)
        for file, template in files.items():
            path = folder / file
            path.write_text(_fill(template, words), encoding="utf-8")
            written.append(path)
    return written


def _fill(template: str, words: dict[str, str]) -> str:
    return re.sub(r"<<(\w+)>>", lambda match: words[match.group(1)], template.lstrip("\n"))


SYSTEM_FILES = {
    "__init__.py": '''
"""<<TITLE>>: say here in one line what it does and for whom."""

from entrepot.kernel.operations.system import System

manifest = System(
    name="<<NAME>>",
    title=("<<TITLE>>", "<<TITLE>>"),
    summary="Say here in one line what it does",
    operations=("entrepot.systems.<<NAME>>.operations",),
    tables=("entrepot.systems.<<NAME>>.model",),
    pages="entrepot.systems.<<NAME>>.pages",
    roles={"trader": ("<<NAME>>:read", "<<NAME>>:write")},
)
''',
    "README.md": """
# <<NAME>>

What it does, for whom, in three sentences.

## Standards

None yet: name the standard and the clause where one applies.

## Operations

| operation | what | permission | relation |
|---|---|---|---|
| `<<NAME>>.create` | record a <<noun>> of your own | `<<NAME>>:write` | own party |
| `<<NAME>>.get` | one <<noun>> | `<<NAME>>:read` | owner |
| `<<NAME>>.list` | the <<noun>>s of your party | `<<NAME>>:read` | by relation |

## Quality

| | state |
|---|---|
| tests on both databases | done |
| wrong users, bad input | done, generated from the registry |
| both languages | titles to be translated |
| measured | not yet |
""",
    "contract.py": '''
"""What other systems may ask of <<NAME>>: types only."""

from datetime import datetime

from pydantic import Field

from entrepot.kernel.operations import Answer, Request


class <<Noun>>View(Answer):
    """A <<noun>>."""

    id: str
    owner: str
    title: str
    created_at: datetime


class Get<<Noun>>(Request[<<Noun>>View]):
    """One <<noun>>."""

    <<noun>>_id: str = Field(max_length=64)
''',
    "model.py": '''
"""Records of <<NAME>>. What is owned stands on the ledger, never here."""

from entrepot.kernel.database.records import Record, record


@record("<<NAME>>_items", index=(("owner",),), label="<<noun>>")
class <<Noun>>(Record):
    """A <<noun>>; `created_at` in microseconds since the epoch."""

    id: str
    owner: str
    title: str
    created_at: int
''',
    "rules.py": '''
"""Pure rules of <<NAME>>: no I/O, tested by property and by golden figures from a cited source."""


def tidy_title(title: str) -> str:
    """A title with single spaces.

    >>> tidy_title("  blue   barge ")
    'blue barge'
    """
    return " ".join(title.split())
''',
    "operations.py": '''
"""Commands and queries of <<NAME>>."""

from pydantic import Field

from entrepot.kernel.database.records import Records
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Answer, Context, Request, own_party, owner_of
from entrepot.systems.<<NAME>>.contract import <<CONTRACT>>
from entrepot.systems.<<NAME>>.model import <<Noun>>
from entrepot.systems.<<NAME>>.rules import tidy_title


class Create<<Noun>>(Request[<<Noun>>View]):
    """Record a <<noun>> of your own."""

    owner: str = Field(max_length=64, description="Your own party")
    title: str = Field(min_length=1, max_length=200)


@Create<<Noun>>.command(
    "<<NAME>>.create",
    http="POST /items",
    scope="<<NAME>>:write",
    title=("Create <<noun>>", "Create <<noun>>"),
    relation=own_party("owner"),
    subject="id",
    example={"owner": "org_0", "title": "The first one"},
)
def create(ctx: Context, request: Create<<Noun>>) -> <<Noun>>View:
    """The relation makes it visible to its owner, and to nobody else."""
    item = _items(ctx).add(
        <<Noun>>(
            id=ctx.new_id("<<NOUN>>"),
            owner=request.owner,
            title=tidy_title(request.title),
            created_at=ctx.now_us,
        )
    )
    ctx.relations.add(item.id, "owner", item.owner)
    return _view(item)


@Get<<Noun>>.query(
    "<<NAME>>.get",
    http="GET /items/{<<noun>>_id}",
    scope="<<NAME>>:read",
    title=("<<Noun>>", "<<Noun>>"),
    relation=owner_of("<<noun>>_id"),
    example={"<<noun>>_id": "<<NOUN>>_0"},
)
def get(ctx: Context, request: Get<<Noun>>) -> <<Noun>>View:
    """For its owner."""
    return _view(_items(ctx).get(request.<<noun>>_id))


class <<Noun>>List(Answer):
    """The <<noun>>s of a party, the oldest first."""

    items: list[<<Noun>>View]


class List<<Noun>>s(Request[<<Noun>>List]):
    """The <<noun>>s of your party."""

    limit: int = Field(100, ge=1, le=1_000)


@List<<Noun>>s.query("<<NAME>>.list", http="GET /items", scope="<<NAME>>:read", title=("<<Noun>>s", "<<Noun>>s"))
def list_items(ctx: Context, request: List<<Noun>>s) -> <<Noun>>List:
    """By relation."""
    found = _items(ctx).list(owner=ctx.actor.party, limit=request.limit)
    return <<Noun>>List(items=[_view(item) for item in found])


def _items(ctx: Context) -> Records[<<Noun>>]:
    return Records(ctx.uow, ctx.tenant, <<Noun>>)


def _view(item: <<Noun>>) -> <<Noun>>View:
    return <<Noun>>View(id=item.id, owner=item.owner, title=item.title, created_at=from_us(item.created_at))
''',
    "pages.py": '''
"""Console pages of <<NAME>>: they call operations and hold no logic."""

from entrepot.console import Desk, page
from entrepot.console.forms import Ask, action, ask_and_do
from entrepot.console.widgets import Column, panel, table, when
from entrepot.systems.<<NAME>>.operations import <<LISTED>>

EMPTY = (("Nothing here yet", "暂无内容"), ("Create the first one.", "请先新建。"))


@page("/<<NAME>>", ("<<TITLE>>", "<<TITLE>>"), icon="category", scope="<<NAME>>:read", group=("Systems", "系统"))
async def overview(desk: Desk) -> None:
    """A table with a button to add to it, drawn anew after each change."""
    await desk.part(lambda: desk.ask(List<<Noun>>s()), lambda found: _items(desk, found))


def _items(desk: Desk, found: <<Noun>>List) -> None:
    columns = (
        Column(("Title", "标题"), lambda item: item.title),
        Column(("Created", "创建时间"), lambda item: when(item.created_at)),
    )
    with panel(desk, ("<<TITLE>>", "<<TITLE>>")) as header:
        table(desk, columns, found.items, EMPTY)
    with header:
        action(desk, "<<NAME>>.create", lambda: _create(desk), primary=True)


def _create(desk: Desk) -> None:
    ask_and_do(
        desk,
        ("New <<noun>>", "新建"),
        [Ask("title", ("Title", "标题"))],
        lambda values: Create<<Noun>>(owner=desk.actor.party, **values),
    )
''',
}

TEST_FILES = {
    "__init__.py": "",
    "test_rules.py": '''
"""Rules of <<NAME>>."""

from hypothesis import given
from hypothesis import strategies as st

from entrepot.systems.<<NAME>>.rules import tidy_title


@given(st.text(max_size=100))
def test_a_tidy_title_stays_tidy(title: str):
    once = tidy_title(title)
    assert tidy_title(once) == once
''',
    "test_operations.py": '''
"""Operations of <<NAME>>, on both databases."""

import pytest

from entrepot.app import build_registry
from entrepot.kernel.database import Database
from entrepot.kernel.operations import Actor, Executor, Forbidden, Runtime, SystemClock
from entrepot.systems.<<NAME>> import manifest
from entrepot.systems.<<NAME>>.contract import Get<<Noun>>
from entrepot.systems.<<NAME>>.operations import Create<<Noun>>, List<<Noun>>s

SCOPES = frozenset({"<<NAME>>:read", "<<NAME>>:write"})
OWNER = Actor("test", "per_1", "org_1", "person", SCOPES)
OTHER = Actor("test", "per_2", "org_2", "person", SCOPES)


@pytest.fixture
def executor(database: Database):
    registry = build_registry([manifest])
    database.create_all()
    with Executor(Runtime(database, registry, SystemClock())) as running:
        yield running


def test_what_is_created_is_seen_by_its_owner_alone(executor: Executor):
    created = executor.run(Create<<Noun>>(owner="org_1", title=" one  thing "), OWNER, "key-1")
    assert created.title == "one thing"
    assert executor.run(Get<<Noun>>(<<noun>>_id=created.id), OWNER) == created
    assert executor.run(List<<Noun>>s(), OWNER).items == [created]
    assert executor.run(List<<Noun>>s(), OTHER).items == []
    with pytest.raises(Forbidden):
        executor.run(Get<<Noun>>(<<noun>>_id=created.id), OTHER)


def test_the_same_key_creates_once(executor: Executor):
    request = Create<<Noun>>(owner="org_1", title="one")
    assert executor.run(request, OWNER, "key-2") == executor.run(request, OWNER, "key-2")
    assert len(executor.run(List<<Noun>>s(), OWNER).items) == 1


def test_nobody_creates_for_another_party(executor: Executor):
    with pytest.raises(Forbidden):
        executor.run(Create<<Noun>>(owner="org_2", title="one"), OWNER, "key-3")
''',
}
