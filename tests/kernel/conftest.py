"""The running kernel that the tests of signing, vault and documents share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrepot.kernel.database import Database
from tests.kernel.world import World


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[World]:
    """A world on a fresh database of each kind."""
    made = World(database, tmp_path)
    yield made
    made.close()
