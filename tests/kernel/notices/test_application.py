"""The whole application with and without channels: the settings that set them up, and the thread that delivers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from entrepot.app import Entrepot
from entrepot.kernel.database import Database
from entrepot.kernel.notices.channel_operations import RegisterAddress, SendTest
from entrepot.kernel.operations import Actor, Conflict, SystemClock
from entrepot.settings import Settings, SettingsError, load_settings
from tests.kernel.notices.post import until
from tests.kernel.notices.receivers import HookServer, MailServer

CHEN = Actor("lanzhou", "per_chen", "org_huanghe", "person", frozenset({"parties:self"}))


@contextmanager
def started(database: Database, folder: Path, **settings: str) -> Iterator[Entrepot]:
    """Its threads running."""
    values = {"data_dir": folder / "data", "database_url": database.url, "mqtt_port": 0, **settings}
    application = Entrepot(Settings.model_validate(values), clock=SystemClock(), database=database)
    application.start_threads()
    try:
        yield application
    finally:
        application.stop_threads()
        application.telemetry.close()


def test_what_is_registered_is_delivered_and_410_is_an_event(database: Database, tmp_path: Path, hooks: HookServer):
    with started(database, tmp_path, webhooks="private") as application:
        url = f"http://127.0.0.1:{hooks.port}/in"
        request = RegisterAddress(party="org_huanghe", channel="webhook", address=url)
        address = application.executor.run(request, CHEN, "k1").id
        until(lambda: len(hooks.received) == 1)
        hooks.statuses = [410]
        application.executor.run(SendTest(address_id=address), CHEN, "k2")

        def gone() -> bool:
            with database.reader() as uow:
                return uow.read("SELECT state FROM notice_addresses WHERE id = %s", (address,)) == [("ended",)]

        until(gone)
    with database.reader() as uow:
        assert uow.read("SELECT actor FROM events WHERE type = 'notices.address_gone'") == [("system:notices",)]


def test_without_a_channel_nothing_runs_and_registration_says_what_is_missing(database: Database, tmp_path: Path):
    with started(database, tmp_path) as application:
        assert application.deliverer is None
        request = RegisterAddress(party="org_huanghe", channel="webhook", address="https://hooks.example.org/")
        with pytest.raises(Conflict, match="ENTREPOT_WEBHOOKS"):
            application.executor.run(request, CHEN, "k1")


def test_mail_is_set_up_by_two_settings(database: Database, tmp_path: Path):
    with MailServer().running() as mails:
        smtp = f"smtp+plain://127.0.0.1:{mails.port}"
        set_up = {"smtp_url": smtp, "mail_from": "a@entrepot.example", "public_url": "https://x"}
        with started(database, tmp_path, **set_up) as application:
            request = RegisterAddress(party="per_chen", channel="mail", address="chen@huanghe.example")
            application.executor.run(request, CHEN, "k1")
            until(lambda: mails.messages)
    assert "https://x/inbox" in mails.messages[0].get_content()


def test_a_setting_that_cannot_be_read_is_named_and_its_password_is_not():
    for name, value in (("SMTP_URL", "smtp+plain://li:hush@mail.example"), ("MAIL_FROM", "hush"), ("WEBHOOKS", "hush")):
        with pytest.raises(SettingsError) as refused:
            load_settings({f"ENTREPOT_{name}": value})
        assert f"ENTREPOT_{name}" in str(refused.value)
        assert "hush" not in str(refused.value)
    settings = load_settings({"ENTREPOT_SMTP_URL": "smtps://li:hush@mail.example"})
    assert "hush" not in repr(settings)
