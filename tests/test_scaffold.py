"""The scaffold: what it writes passes every check, on both databases, and refuses what it cannot do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from entrepot.scaffold import ScaffoldError, write_system

CHECKOUT = Path(__file__).parent.parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project without its history and environment: a scaffold must not leave traces in the real one."""
    target = tmp_path / "checkout"
    target.mkdir()
    for name in ("src", "tests", "pyproject.toml", "README.md"):
        source = CHECKOUT / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__", "output"))
        else:
            shutil.copyfile(source, target / name)
    return target


@pytest.mark.slow
def test_a_new_system_passes_lint_types_and_its_own_tests(copy: Path):
    written = write_system("barges", copy)
    names = [str(path.relative_to(copy)) for path in written]
    assert "src/entrepot/systems/barges/__init__.py" in names
    assert "tests/systems/barges/test_operations.py" in names
    folders = ("src/entrepot/systems/barges", "tests/systems/barges")
    environment = {"PYTHONPATH": str(copy / "src"), "PATH": "/usr/bin:/bin"}
    for command in (
        ("ruff", "check", *folders),
        ("ruff", "format", "--check", *folders),
        ("mypy", *folders),
        ("pytest", "-q", "-p", "no:cacheprovider", "tests/systems/barges"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=copy, capture_output=True, text=True, env=environment, check=False
        )
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("name", ["Barges", "two words", "x", "class", "ledger", "warehousing", "../up"])
def test_a_name_that_does_not_do_is_refused_and_nothing_is_written(name: str, copy: Path):
    before = sorted(path.name for path in (copy / "src/entrepot/systems").iterdir())
    with pytest.raises(ScaffoldError):
        write_system(name, copy)
    assert sorted(path.name for path in (copy / "src/entrepot/systems").iterdir()) == before


def test_outside_of_a_checkout_it_says_so(tmp_path: Path):
    with pytest.raises(ScaffoldError, match="no checkout"):
        write_system("barges", tmp_path)
