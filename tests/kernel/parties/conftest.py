"""The firm that sign-in, roles and keys are tried on."""

from collections.abc import Iterator

import pytest

from entrepot.kernel.database import Database
from tests.kernel.parties.firm import Firm


@pytest.fixture
def firm(database: Database) -> Iterator[Firm]:
    running = Firm(database)
    yield running
    running.executor.stop()
