"""Notices on both databases, with real receivers."""

from collections.abc import Iterator

import pytest

from entrepot.kernel.database import Database
from tests.kernel.notices.post import Post
from tests.kernel.notices.receivers import Certificate, HookServer, MailServer


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """Of both servers."""
    return Certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture
def hooks() -> Iterator[HookServer]:
    """Receives webhooks over HTTP."""
    with HookServer().running() as server:
        yield server


@pytest.fixture
def mails(certificate: Certificate) -> Iterator[MailServer]:
    """Receives mail after STARTTLS and a login."""
    server = MailServer(certificate=certificate, user="entrepot", password="p@ss word")
    with server.running() as running:
        yield running


@pytest.fixture
def post(database: Database) -> Iterator[Post]:
    """Notices with webhooks to this machine."""
    made = Post(database)
    yield made
    made.close()
