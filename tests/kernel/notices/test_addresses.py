"""Registering, confirming, listing and ending addresses: by the own people only, and told to nobody else."""

import re
from typing import Any

import pytest

from entrepot.kernel.database import UnitOfWork, statements
from entrepot.kernel.notices import Addresses, Notices
from entrepot.kernel.notices.addresses import (
    CODE_US,
    MAX_ADDRESSES,
    MAX_CODES,
    MAX_CODES_A_DAY,
    MAX_WRONG_CODES,
)
from entrepot.kernel.notices.channel_operations import (
    ConfirmAddress,
    EndAddress,
    ListAddresses,
    RecordGone,
    RegisterAddress,
    SendCode,
    SendTest,
)
from entrepot.kernel.notices.mail import MailChannel, SmtpServer
from entrepot.kernel.notices.operations import ListNotices
from entrepot.kernel.notices.setup import set_up_channels
from entrepot.kernel.operations import Conflict, Forbidden, Invalid, Request, TooMany
from entrepot.kernel.vault import Vault
from entrepot.kernel.vault.operations import ErasePerson
from tests.kernel.notices.post import KEYRING, OFFERS, SECOND_US, TENANT, Post
from tests.kernel.notices.receivers import Certificate, HookServer, MailServer

LI = "li.na@bank.example"


@pytest.fixture
def mailing(post: Post, mails: MailServer, certificate: Certificate) -> Post:
    """Mail is set up too."""
    server = SmtpServer("127.0.0.1", mails.port, "starttls", "entrepot", "p@ss word")
    sender = "notices@entrepot.example"
    post.channels["mail"] = MailChannel(server, sender, post.clock.now_us, trust=certificate.trusting)
    return post


def code_of(mails: MailServer) -> str:
    """The code in the last message."""
    found = re.search(r"The code is (\d{8})\.", mails.messages[-1].get_content())
    assert found is not None
    return found[1]


def test_nothing_but_the_code_is_sent_before_the_address_is_confirmed(mailing: Post, mails: MailServer):
    registered = mailing.run(RegisterAddress(party="org_bank", channel="mail", address=LI))
    assert (registered.state, registered.secret) == ("unconfirmed", "")
    early = mailing.send()
    assert mailing.states(early) == {}
    with pytest.raises(Conflict):
        mailing.run(SendTest(address_id=registered.id))
    assert mailing.deliverer.run_due() == 1
    assert mails.envelopes == [("notices@entrepot.example", LI)]
    assert mails.messages[0]["subject"] == "Confirm this address / 确认邮箱地址"
    confirmed = mailing.run(ConfirmAddress(address_id=registered.id, code=code_of(mails)))
    assert (confirmed.state, confirmed.address) == ("active", LI)
    mailing.deliverer.run_due()
    assert len(mails.messages) == 2, "its own registration is told there, nothing of before"
    notice = mailing.send()
    mailing.deliverer.run_due()
    assert mailing.states(notice) == {registered.id: "delivered"}
    assert mails.messages[-1]["message-id"] == f"<{notice}-{registered.id}@entrepot.example>"
    with pytest.raises(Conflict):
        mailing.run(ConfirmAddress(address_id=registered.id, code="00000000"))


def test_a_wrong_or_old_code_confirms_nothing(mailing: Post, mails: MailServer):
    address = mailing.run(RegisterAddress(party="org_bank", channel="mail", address=LI)).id
    mailing.deliverer.run_due()
    right = code_of(mails)
    wrong = f"{(int(right) + 1) % 10**8:08d}"
    for _ in range(MAX_WRONG_CODES):
        with pytest.raises(Invalid):
            mailing.run(ConfirmAddress(address_id=address, code=wrong))
    with pytest.raises(TooMany):
        mailing.run(ConfirmAddress(address_id=address, code=right))
    mailing.later(1)
    mailing.run(SendCode(address_id=address))
    mailing.deliverer.run_due()
    assert len(mails.messages) == 2
    assert code_of(mails) != right
    mailing.later(CODE_US / SECOND_US)
    with pytest.raises(Conflict):
        mailing.run(ConfirmAddress(address_id=address, code=code_of(mails)))
    mailing.run(SendCode(address_id=address))
    mailing.deliverer.run_due()
    with pytest.raises(Invalid):
        mailing.run(ConfirmAddress(address_id=address, code=right))
    assert mailing.run(ConfirmAddress(address_id=address, code=code_of(mails))).state == "active"


def test_a_code_that_cannot_be_delivered_in_time_is_not_sent_late(mailing: Post, mails: MailServer):
    mails.answers["RCPT"] = ["451 later"]
    address = mailing.run(RegisterAddress(party="org_bank", channel="mail", address=LI)).id
    mailing.deliverer.run_due()
    assert mailing.row(address).problem == "the mail server said 451 later"
    mailing.later(CODE_US / SECOND_US)
    mailing.deliverer.run_due()
    assert mails.messages == []


def test_what_a_server_says_is_kept_without_the_address(mailing: Post, mails: MailServer):
    mails.answers["RCPT"] = [f"550 5.1.1 <{LI}>: user unknown"]
    address = mailing.run(RegisterAddress(party="org_bank", channel="mail", address=LI)).id
    mailing.deliverer.run_due()
    assert mailing.row(address).problem == "the mail server said 550 5.1.1 <…>: user unknown"


def test_codes_are_limited(mailing: Post):
    addresses = [
        mailing.run(RegisterAddress(party="org_bank", channel="mail", address=f"a{n}@bank.example")).id
        for n in range(MAX_CODES_A_DAY // MAX_CODES)
    ]
    for address in addresses:
        for _ in range(MAX_CODES - 1):
            mailing.run(SendCode(address_id=address))
        with pytest.raises(TooMany):
            mailing.run(SendCode(address_id=address))
    with pytest.raises(TooMany):
        mailing.run(RegisterAddress(party="org_bank", channel="mail", address=LI))
    mailing.run(RegisterAddress(party="per_li", channel="mail", address=LI))
    mailing.later(86_400)
    mailing.run(RegisterAddress(party="org_bank", channel="mail", address=LI))


def test_the_secret_is_shown_once_and_neither_it_nor_the_address_is_written_anywhere(post: Post, hooks: HookServer):
    url = f"http://127.0.0.1:{hooks.port}/a-secret-path"
    request = RegisterAddress(party="org_bank", channel="webhook", address=url)
    first, again = post.run(request, key="same"), post.run(request, key="same")
    assert re.fullmatch(r"whsec_[A-Za-z0-9+/]{43}=", first.secret)
    assert (again.id, again.secret) == (first.id, "")
    (listed,) = post.ask(ListAddresses()).addresses
    assert (listed.id, listed.address, listed.state) == (first.id, url, "active")
    assert first.secret not in listed.model_dump_json()
    post.send()
    hooks.statuses = [500]
    post.deliverer.run_due()
    post.run(SendTest(address_id=first.id))
    post.run(EndAddress(address_id=first.id))
    with post.scope() as scope:
        everything = [
            repr(scope.uow.fetch(f"SELECT * FROM {table}"))
            for table in ("events", "answered", "notices", "notice_addresses", "notice_deliveries")
        ]
    assert all(word not in kept for word in ("a-secret-path", first.secret[6:]) for kept in everything)


def test_ending_an_address_destroys_it_and_what_waits(post: Post, hooks: HookServer):
    registered = post.hook(f"http://127.0.0.1:{hooks.port}/in")
    notice = post.send()
    ended = post.run(EndAddress(address_id=registered.id))
    assert (ended.state, ended.address, ended.waiting) == ("ended", "", 0)
    assert post.states(notice) == {registered.id: "failed"}
    assert post.run(EndAddress(address_id=registered.id)).ended_at == ended.ended_at
    assert post.deliverer.run_due() == 0
    assert hooks.received == []
    assert post.ask(ListAddresses()).addresses == []
    assert len(post.ask(ListAddresses(include_ended=True)).addresses) == 1


def test_a_route_that_another_worker_still_believes_in_leads_nowhere(post: Post, hooks: HookServer):
    address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    post.run(EndAddress(address_id=address))
    with post.scope() as scope:
        notice = Notices(scope).send("org_bank", "x", ("a", "b"), ("c", "d"), address=address)
    post.deliverer.run_due()
    assert post.states(notice) == {address: "failed"}
    assert hooks.received == []


def test_everyone_of_the_party_is_told_of_a_new_address(post: Post, hooks: HookServer):
    first = post.hook(f"http://127.0.0.1:{hooks.port}/first", kinds=["address"])
    second = post.hook(f"http://127.0.0.1:{hooks.port}/second", kinds=["alarm"])
    told = post.ask(ListNotices()).notices
    assert {each.subject for each in told} == {first.id, second.id}
    assert all("per_li" in each.body and "first" not in each.body for each in told)
    post.deliverer.run_due()
    assert len(hooks.ids("/first")) == 2, "at the other addresses too"


def test_only_the_own_party_and_oneself(post: Post, hooks: HookServer):
    url = f"http://127.0.0.1:{hooks.port}/in"
    of_bank = post.hook(url).id
    of_li = post.run(RegisterAddress(party="per_li", channel="webhook", address=url)).id
    with pytest.raises(Forbidden):
        post.run(RegisterAddress(party="org_other", channel="webhook", address=url))
    with pytest.raises(Forbidden):
        post.run(RegisterAddress(party="per_wang", channel="webhook", address=url))
    requests: tuple[type[Request[Any]], ...] = (EndAddress, SendTest, SendCode)
    for request in requests:
        for address, person, party in ((of_bank, "per_ma", "org_other"), (of_li, "per_wang", "org_bank")):
            with pytest.raises(Forbidden):
                post.run(request.model_validate({"address_id": address}), person, party)
        with pytest.raises(Forbidden):
            post.run(request.model_validate({"address_id": "adr_none"}))
    with pytest.raises(Forbidden):
        post.run(ConfirmAddress(address_id=of_bank, code="1"), "per_ma", "org_other")
    with pytest.raises(Forbidden):
        post.run(RecordGone(address_id=of_bank, problem="x"))
    assert [each.id for each in post.ask(ListAddresses(), "per_wang").addresses] == [of_bank]
    assert post.ask(ListAddresses(), "per_ma", "org_other").addresses == []
    post.run(SendTest(address_id=of_bank), "per_wang")


def test_limits_and_duplicates(post: Post, hooks: HookServer):
    url = f"http://127.0.0.1:{hooks.port}"
    made = [post.hook(f"{url}/{n}").id for n in range(MAX_ADDRESSES)]
    with pytest.raises(TooMany):
        post.hook(f"{url}/more")
    post.run(EndAddress(address_id=made[0]))
    with pytest.raises(Conflict):
        post.hook(f"{url}/1")
    post.hook(f"{url}/0")


def test_a_channel_that_is_not_set_up_says_what_is_missing(post: Post):
    bare = Post(post.database, set_up_channels(post.clock.now_us, inbox_url="").offers)
    try:
        missing = {each.channel: each.missing for each in bare.ask(ListAddresses()).channels}
        assert missing == {"mail": "ENTREPOT_SMTP_URL, ENTREPOT_MAIL_FROM", "webhook": "ENTREPOT_WEBHOOKS=public"}
        with pytest.raises(Conflict, match=r"must set ENTREPOT_SMTP_URL, ENTREPOT_MAIL_FROM\."):
            bare.run(RegisterAddress(party="org_bank", channel="mail", address=LI))
        with pytest.raises(Conflict, match=r"must set ENTREPOT_WEBHOOKS=public\."):
            bare.run(RegisterAddress(party="org_bank", channel="webhook", address="https://hooks.example.org/"))
    finally:
        bare.close()
    half = set_up_channels(post.clock.now_us, smtp_url="smtp://mail.example", inbox_url="")
    assert (half.ready, half.offers["mail"].missing) == ({}, "ENTREPOT_MAIL_FROM")
    whole = set_up_channels(
        post.clock.now_us, smtp_url="smtp://mail.example", mail_from="a@b.example", webhooks="public", inbox_url=""
    )
    assert set(whole.ready) == {"mail", "webhook"}
    assert whole.offers["webhook"].objection("http://127.0.0.1/") != ""


def test_unknown_channels_and_wrong_addresses(post: Post):
    with pytest.raises(ValueError, match="channel"):
        RegisterAddress.model_validate({"party": "org_bank", "channel": "fax", "address": "123"})
    with post.scope() as scope, pytest.raises(Invalid):
        Addresses(scope, KEYRING).register("org_bank", "fax", "123")
    for channel, address in (("mail", "li@bank"), ("webhook", "http://169.254.169.254/")):
        request = RegisterAddress.model_validate({"party": "org_bank", "channel": channel, "address": address})
        with pytest.raises(Invalid):
            post.run(request)


def test_a_channel_that_was_taken_away_is_tried_until_it_is_given_up(post: Post, hooks: HookServer):
    address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    taken = post.channels.pop("webhook")
    notice = post.send()
    post.deliverer.run_due()
    assert post.row(address).problem == "no channel webhook is set up"
    post.channels["webhook"] = taken
    post.later()
    post.deliverer.run_due()
    assert post.states(notice) == {address: "delivered"}


def test_erasing_a_person_ends_their_addresses(post: Post, hooks: HookServer):
    own = post.hook(f"http://127.0.0.1:{hooks.port}/own", party="per_li").id
    of_bank = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    with post.scope() as scope:
        Vault(scope, KEYRING).store("per_li", "name", "Li Na", "contact")
    post.run(ErasePerson(person_id="per_li"))
    assert (post.row(own).state, post.row(own).sealed) == ("ended", b"")
    assert post.row(of_bank).state == "active"


def test_a_send_asks_the_database_nothing(post: Post, hooks: HookServer, monkeypatch: pytest.MonkeyPatch):
    post.hook(f"http://127.0.0.1:{hooks.port}/in")
    reads, written = [], []
    real_read, real_write = UnitOfWork.read, statements.write

    def read(self, sql, parameters=()):
        reads.append(sql)
        return real_read(self, sql, parameters)

    def write(driver, dialect, table, rows, *, replace):
        written.append(table.name)
        real_write(driver, dialect, table, rows, replace=replace)

    monkeypatch.setattr(UnitOfWork, "read", read)
    monkeypatch.setattr(statements, "write", write)
    with post.scope() as scope:
        for n in range(100):
            Notices(scope).send(f"org_{n}", "margin-call", ("a", "b"), ("c", "d"))
    assert (reads, written) == ([], ["notices"]), "a party without addresses costs no statement"
    with post.scope() as scope:
        for _ in range(100):
            Notices(scope).send("org_bank", "margin-call", ("a", "b"), ("c", "d"))
    assert (reads, written[1:]) == ([], ["notices", "notice_deliveries"]), "one with addresses costs one for them all"
    with post.scope() as scope:
        assert scope.uow.read("SELECT COUNT(*) FROM notice_deliveries WHERE tenant = %s", (TENANT,))[0][0] == 100


def test_a_refused_registration_leaves_no_route(post: Post, hooks: HookServer):
    with post.scope() as scope:
        url = f"http://127.0.0.1:{hooks.port}/in"
        Addresses(scope, KEYRING, OFFERS).register("org_bank", "webhook", url)
        assert Notices(scope).deliveries(Notices(scope).send("org_bank", "x", ("a", "b"), ("c", "d"))) != {}
        scope.uow.refuse_operation()
    assert post.states(post.send()) == {}
