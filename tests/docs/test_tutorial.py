"""The tutorial, followed word for word in a copy of the checkout: its files written, its commands run."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks, commands

CHECKOUT = Path(__file__).parents[2]
TUTORIAL = CHECKOUT / "docs" / "tutorial.md"
MODULES = {"entrepot": "-m entrepot.cli", "ruff": "-m ruff", "mypy": "-m mypy", "python": ""}
SERVER_STARTS_WITHIN_S = 60


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The checkout without its history; its .venv/bin runs this interpreter."""
    target = tmp_path / "checkout"
    for name in ("src", "tests"):
        shutil.copytree(CHECKOUT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "output"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copyfile(CHECKOUT / name, target / name)
    if (CHECKOUT / ".mypy_cache").is_dir():  # what is known of the checkout need not be found out again
        shutil.copytree(CHECKOUT / ".mypy_cache", target / ".mypy_cache")
    for name, module in MODULES.items():
        script = target / ".venv" / "bin" / name
        script.parent.mkdir(parents=True, exist_ok=True)
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        script.chmod(0o755)
    return target


@pytest.fixture
def environment(copy: Path) -> dict[str, str]:
    """The environment of the commands: the copy's source, its own data folder, free ports."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    port = _free_port()
    return {
        **kept,
        "PYTHONPATH": str(copy / "src"),
        "PYTHONUTF8": "1",
        "COLUMNS": "120",
        "ENTREPOT_DATA_DIR": str(copy / "var"),
        "ENTREPOT_PORT": str(port),
        "ENTREPOT_MQTT_PORT": "0",
        "ENTREPOT_URL": f"http://127.0.0.1:{port}",
    }


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_tutorial_word_for_word(copy: Path, environment: dict[str, str]):
    done = 0
    with contextlib.ExitStack() as running:
        for block in blocks(TUTORIAL):
            if file := block.option("file"):
                (copy / file).write_text(block.text, encoding="utf-8")
            elif "background" in block.info:
                running.enter_context(_serving(block, copy, environment))
            else:
                assert block.kind == "console", f"line {block.line}: the test knows no {block.info} block"
                _run(block, copy, environment)
            done += 1
    assert done >= 10, "the tutorial has become suspiciously short"


def _run(block: Block, copy: Path, environment: dict[str, str]) -> None:
    for command in commands(block):
        said = f"line {block.line}: {command.text}"
        result = subprocess.run(
            ["bash", "-c", command.text], cwd=copy, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == command.status, f"{said}\n{result.stdout}\n{result.stderr}"
        place = 0
        for line in command.expected:
            found = result.stdout.find(line, place)
            assert found >= 0, f"{said}\nprints no {line!r}:\n{result.stdout}"
            place = found + len(line)


@contextlib.contextmanager
def _serving(block: Block, copy: Path, environment: dict[str, str]) -> Iterator[None]:
    (command,) = commands(block)
    with (copy / "server.log").open("w") as log:
        server = subprocess.Popen(
            ["bash", "-c", f"exec {command.text}"], cwd=copy, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            _wait(f"{environment['ENTREPOT_URL']}/readyz", server, copy / "server.log")
            yield
        finally:
            server.terminate()
            server.wait(timeout=30)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    ends = time.monotonic() + SERVER_STARTS_WITHIN_S
    while time.monotonic() < ends and server.poll() is None:
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            with urllib.request.urlopen(url, timeout=5) as answer:
                if answer.status == 200:
                    return
        time.sleep(0.2)
    raise AssertionError(f"the server did not become ready:\n{log.read_text()}")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
