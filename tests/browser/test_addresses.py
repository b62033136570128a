"""The inbox page sends notices on: a mail address by its code, a webhook with its secret, a test, an end."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator

import pytest

from entrepot.region.plan import DEMO_PASSWORD
from tests.browser.conftest import Open
from tests.browser.driver import DESKTOP, PHONE, Browser, serving
from tests.kernel.notices.receivers import HookServer, MailServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]
LONG = "/hooks/of/the/bank/with-a-rather-long-path/01hx8q0m4t6z7y2w9v5k3j1n8p?source=entrepot&environment=test"


@pytest.fixture(scope="module")
def mails() -> Iterator[MailServer]:
    """Takes the mail."""
    with MailServer().running() as server:
        yield server


@pytest.fixture(scope="module")
def hooks() -> Iterator[HookServer]:
    """Takes the webhooks."""
    with HookServer().running() as server:
        yield server


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, mails: MailServer) -> Iterator[str]:
    """A server with both channels."""
    folder = tmp_path_factory.mktemp("server")
    smtp = f"smtp+plain://127.0.0.1:{mails.port}"
    sender = "Entrepot <notices@entrepot.example>"
    with serving(folder, smtp_url=smtp, mail_from=sender, webhooks="private") as address:
        yield address


def test_addresses_of_notices(browser: Open, mails: MailServer, hooks: HookServer) -> None:
    bank = browser("bank")
    bank.sign_in("zhao.bank", DEMO_PASSWORD)
    bank.open("/inbox")
    bank.says("No further address")
    bank.shot("inbox-no-addresses")
    _add_mail(bank, mails)
    secret = _add_webhook(bank, hooks)
    bank.click(bank.mark("test-address"))
    bank.says("The test notice is on its way.")
    bank.until(lambda: any("Test notice" in str(m["subject"]) for m in mails.messages), "the test notice by mail")
    bank.click('article:has([data-mark="test-address"]) ~ article [data-mark="test-address"]')
    bank.until(lambda: hooks.received, "the test notice by webhook")
    hook = hooks.received[-1]
    signed = f"{hook.headers['webhook-id']}.{hook.headers['webhook-timestamp']}.".encode() + hook.body
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()
    assert hook.headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()
    hooks.statuses = [503] * 50
    bank.click('article:has([data-mark="test-address"]) ~ article [data-mark="test-address"]')
    bank.says("the receiver answered 503", 30)
    _in_both_languages(bank)
    bank.click(bank.mark("end-address"))
    bank.says("不再向")
    bank.click(bank.mark("confirm"))
    bank.until(lambda: "zhao@bank.example" not in bank.find(".main").text, "the end of the address")
    bank.shot("inbox-ended")


def _add_mail(bank: Browser, mails: MailServer) -> None:
    bank.click(bank.mark("add-mail"))
    bank.write(bank.mark("address"), "zhao@bank")
    bank.click(bank.mark("confirm"))
    bank.says("This address cannot be used")
    bank.shot("inbox-add-mail")
    bank.write(bank.mark("address"), "zhao@bank.example")
    bank.click(bank.mark("confirm"))
    bank.says("waits for its code")
    bank.until(lambda: mails.messages, "the code")
    found = re.search(r"The code is (\d{8})\.", mails.messages[0].get_content())
    assert found is not None
    bank.click(bank.mark("confirm-address"))
    bank.write(bank.mark("code"), found[1])
    bank.click(bank.mark("confirm"))
    bank.says("Confirmed.")


def _add_webhook(bank: Browser, hooks: HookServer) -> str:
    bank.click(bank.mark("add-webhook"))
    bank.write(bank.mark("address"), f"http://127.0.0.1:{hooks.port}{LONG}")
    bank.write(bank.mark("kinds"), "margin-call, alarm")
    bank.click(bank.mark("confirm"))
    secret = bank.find(bank.mark("secret")).text
    assert secret.startswith("whsec_")
    bank.shot("inbox-secret")
    bank.click(bank.mark("kept"))
    bank.until(lambda: secret not in bank.text(), "the end of the dialog")
    bank.says("margin-call")
    return secret


def _in_both_languages(bank: Browser) -> None:
    for language, word in (("en", "Also sent to"), ("zh", "同时发送至")):
        if language == "zh":
            bank.click(bank.mark("language"))
        for size, name in ((DESKTOP, "desktop"), (PHONE, "phone")):
            bank.size(*size)
            bank.open("/inbox")
            bank.says(word)
            assert bank.overflow() == []
            bank.shot(f"{language}-{name}-inbox-addresses")
            bank.click(bank.mark("add-webhook"))
            bank.find(bank.mark("kinds"))
            bank.shot(f"{language}-{name}-add-webhook")
        bank.size(*DESKTOP)
        bank.open("/inbox")
