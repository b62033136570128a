"""The words hold: links lead somewhere, commands exist, tables name what there is."""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer.main

from entrepot import cli
from entrepot.kernel.operations import Registry
from entrepot.region.seed import manifest as region
from entrepot.settings import Settings
from entrepot.systems import build_registry, installed_systems
from tests.docs.blocks import blocks, commands

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted(
    path for path in (*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/**/*.md"), *CHECKOUT.glob("src/**/README.md"))
)
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def _name(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


@pytest.fixture(scope="module")
def registry() -> Registry:
    return build_registry([*installed_systems(), region])


def _text(page: Path) -> str:
    """The page without what is inside of fences."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """What GitHub makes of the headings."""
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in HEADING.findall(_text(page))}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path):
    for target in LINK.findall(_text(page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{_name(page)} links to {target}"
        assert found.is_relative_to(CHECKOUT), f"{_name(page)} leads out of the project: {target}"
        if anchor:
            assert anchor in _anchors(found), f"{_name(page)} links to a heading that is not there: {target}"


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands_exist(page: Path, registry: Registry):
    for block in blocks(page):
        if block.kind == "console":
            for command in commands(block):
                _exists(command.text, registry, f"{_name(page)}, line {block.line}")
    for target in re.findall(r"`make ([a-z][a-z-]*)", page.read_text(encoding="utf-8")):
        assert target in _make_targets(), f"{_name(page)}: make {target}"


def _exists(command: str, registry: Registry, where: str) -> None:
    words = [word.removeprefix(".venv/bin/") for word in shlex.split(command)]
    if words[0] == "make":
        targets = [word for word in words[1:] if "=" not in word]
        assert set(targets) <= _make_targets(), f"{where}: {command}"
    elif words[0] == "entrepot":
        _entrepot(words[1:], registry, f"{where}: {command}")
    else:
        assert words[0] in {"python", "ruff", "mypy"}, f"{where}: what is {words[0]}?"


def _entrepot(words: list[str], registry: Registry, said: str) -> None:
    own = typer.main.get_command(cli.app)
    known = getattr(own, "commands", {})
    options = {word.partition("=")[0] for word in words if word.startswith("--")}
    if words[0] in known:
        command = known[words[0]]
        command = getattr(command, "commands", {}).get(words[1], command) if len(words) > 1 else command
        allowed = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        if words[0] != "ledger" or words[1] in known["ledger"].commands:
            assert options <= allowed, said
            return
    if words[0] == "barges":
        return  # the tutorial's own system; the tutorial's test runs it
    operation = registry.get(f"{words[0]}.{words[1].replace('-', '_')}")
    fields = {f"--{name.replace('_', '-')}" for name in operation.request.model_fields}
    assert options <= fields | {"--key", "--url", "--token", "--yes", "--help"}, said


def _make_targets() -> set[str]:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))


def test_the_settings_table_is_complete():
    table = _section(CHECKOUT / "README.md", "Settings")
    named = {name for row in table.splitlines() if row.startswith("| `") for name in _code(row.split("|")[1])}
    assert named == set(Settings.model_fields)


def test_the_apt_line_is_the_makefiles():
    (line,) = re.findall(r"^APT +:= (.+)$", (CHECKOUT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert line in (CHECKOUT / "README.md").read_text(encoding="utf-8").splitlines()


def test_every_dependency_has_its_line():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = project["project"]["dependencies"] + [
        entry for group in project["dependency-groups"].values() for entry in group if isinstance(entry, str)
    ]
    rows = [row for row in (CHECKOUT / "docs/dependencies.md").read_text(encoding="utf-8").splitlines() if "|" in row]
    named = {name.strip() for row in rows for name in row.split("|")[1].split(",")}
    named |= {"opentelemetry-sdk"} if "-sdk" in named else set()
    missing = {re.split(r"[><=~;]", line)[0].strip() for line in wanted} - named
    assert not missing, f"docs/dependencies.md gives no reason for {', '.join(sorted(missing))}"


@pytest.mark.parametrize("system", sorted(manifest.name for manifest in installed_systems()))
def test_a_system_readme_lists_its_operations_as_they_are(system: str, registry: Registry):
    table = _section(CHECKOUT / "src" / "entrepot" / "systems" / system / "README.md", "Operations")
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines() if row.startswith("| `")]
    listed = {_code(row[0])[0]: _code(row[2])[0] for row in rows}
    assert listed == {operation.name: operation.scope for operation in registry if operation.system == system}


def test_no_tracked_page_is_left_out():
    tracked = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=CHECKOUT, capture_output=True, text=True, check=False
    ).stdout.split()
    assert {name for name in tracked if (CHECKOUT / name).exists()} <= {_name(page) for page in PAGES}


def _section(page: Path, title: str) -> str:
    found = re.search(rf"^## {title}$(.*?)(?=^## |\Z)", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{_name(page)} has no section {title}"
    return found.group(1)


def _code(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)
