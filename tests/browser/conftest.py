"""Fixtures: the real server with its demo region, and browsers that must have stayed at home and silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser.driver import Browser, serving

Open = Callable[[str], Browser]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server that was started for this module."""
    with serving(tmp_path_factory.mktemp("server")) as address:
        yield address


@pytest.fixture
def browser(base: str, tmp_path: Path) -> Iterator[Open]:
    """Opens browsers by name. At the end none may have asked another host, nor written an error to its console."""
    opened: dict[str, Browser] = {}

    def start(name: str) -> Browser:
        opened[name] = Browser(base, tmp_path / name)
        return opened[name]

    yield start
    for found in opened.values():
        found.close()
    for name, found in opened.items():
        assert found.hosts <= {"127.0.0.1"}, f"{name} asked {found.hosts}"
        assert not found.errors, f"{name}: {found.errors}"
