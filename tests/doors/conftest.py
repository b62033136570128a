"""The seeded region on either database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.generated.region import Region, seeded


@pytest.fixture
def region(database_url: str, tmp_path: Path) -> Iterator[Region]:
    """Parties, goods, a pledged receipt, a loan that waits, an alarm's case, a key, a document."""
    with seeded(database_url, tmp_path) as running:
        yield running
