"""Mail to a real SMTP server: encrypted, signed in, both languages, no header from outside."""

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.kernel.notices import Notice
from entrepot.kernel.notices.channels import Target, Undeliverable
from entrepot.kernel.notices.mail import MailChannel, SmtpServer, mail_objection, parse_sender
from tests.kernel.notices.post import BODY, TITLE
from tests.kernel.notices.receivers import Certificate, MailServer

SENDER = "Entrepot 货栈 <notices@entrepot.example>"
NOTICE = Notice("ntc_1", "org_1", "margin-call", "fac_1", *TITLE, *BODY, 0, 0, "")
LI = Target("li@bank.example")


def channel(server: MailServer, trust: ssl.SSLContext | None = None, scheme: str = "smtp") -> MailChannel:
    login = "" if scheme == "smtp+plain" else "entrepot:p%40ss%20word@"
    parsed = SmtpServer.parse(f"{scheme}://{login}127.0.0.1:{server.port}")
    return MailChannel(parsed, SENDER, lambda: 1_772_352_000_000_000, "https://entrepot.example/inbox", trust, 2.0)


def test_a_notice_is_one_message_in_both_languages(mails: MailServer, certificate: Certificate):
    channel(mails, certificate.trusting).deliver(LI, NOTICE, "ntc_1-adr_1")
    assert mails.envelopes == [("notices@entrepot.example", "li@bank.example")]
    (message,) = mails.messages
    assert message["subject"] == "Margin call / 补足担保通知"
    assert message["from"] == SENDER
    assert message["to"] == "li@bank.example"
    assert message["message-id"] == "<ntc_1-adr_1@entrepot.example>"
    assert message["date"] == "Sun, 01 Mar 2026 08:00:00 +0000"
    assert message["auto-submitted"] == "auto-generated"
    assert message.get_content_type() == "text/plain"
    text = message.get_content()
    for words in (*TITLE, *BODY, "https://entrepot.example/inbox", "ntc_1"):
        assert words in text
    verbs = [line.split(" ")[0] for line in mails.said]
    assert verbs[:4] == ["ehlo", "STARTTLS", "ehlo", "AUTH"], "nothing is said in the clear but that TLS begins"


def test_tls_from_the_start(certificate: Certificate):
    server = MailServer(certificate=certificate, from_start=True)
    with server.running():
        parsed = SmtpServer.parse(f"smtps://127.0.0.1:{server.port}")
        MailChannel(parsed, SENDER, lambda: 0, trust=certificate.trusting).deliver(LI, NOTICE, "k")
        assert len(server.messages) == 1


def test_a_relay_on_this_machine_without_tls():
    with MailServer().running() as server:
        channel(server, scheme="smtp+plain").deliver(LI, NOTICE, "k")
        assert len(server.messages) == 1


def test_without_starttls_or_trust_nothing_is_sent(mails: MailServer):
    with pytest.raises(ssl.SSLCertVerificationError):
        channel(mails).deliver(LI, NOTICE, "k")
    with MailServer().running() as plain, pytest.raises(smtplib.SMTPNotSupportedError):
        channel(plain).deliver(LI, NOTICE, "k")
    assert mails.raw == plain.raw == []
    assert not any("AUTH" in line for line in mails.said + plain.said)


@contextmanager
def scripted(certificate: Certificate, **answers: list[str]) -> Iterator[tuple[MailServer, MailChannel]]:
    server = MailServer(certificate=certificate, user="entrepot", password="p@ss word", answers=dict(answers))
    with server.running():
        yield server, channel(server, certificate.trusting)


@pytest.mark.parametrize("answers", [{"RCPT": ["550 5.1.1 no such user"]}, {"taken": ["554 5.7.1 refused"]}])
def test_a_receiver_refused_for_good_is_given_up(certificate: Certificate, answers: dict[str, list[str]]):
    with scripted(certificate, **answers) as (_, mail), pytest.raises(Undeliverable, match="the mail server said 55"):
        mail.deliver(LI, NOTICE, "k")


@pytest.mark.parametrize(
    "answers",
    [{"RCPT": ["450 4.2.1 greylisted"]}, {"taken": ["451 4.3.0 later"]}, {"AUTH": ["535 5.7.8 wrong password"]},
     {"MAIL": ["550 5.7.1 sender not allowed"]}, {"DATA": ["421 4.3.2 going down"]}],
)  # fmt: skip
def test_what_passes_or_is_the_operators_matter_is_tried_again(certificate: Certificate, answers: dict[str, list[str]]):
    with scripted(certificate, **answers) as (server, mail):
        with pytest.raises((OSError, smtplib.SMTPException)) as refused:
            mail.deliver(LI, NOTICE, "k")
        assert not isinstance(refused.value, Undeliverable)
        mail.deliver(LI, NOTICE, "k")
        assert len(server.messages) == 1


def test_how_the_server_takes_its_leave_changes_nothing(certificate: Certificate):
    with scripted(certificate, QUIT=["500 what"]) as (server, mail):
        mail.deliver(LI, NOTICE, "k")
        assert len(server.messages) == 1


EVIL = (
    "Margin call\r\nBcc: all@bank.example", "a\n\nbody", "a\r.\r\nMAIL FROM:<x@y>", "=?utf-8?q?a=0d=0aBcc=3a_x=40y?=",
    "a\x85b\u2028Bcc: x", "\x00", ".", "\r\n.\r\nRCPT TO:<x@y.example>\r\n",
)  # fmt: skip
HEADERS = {
    "content-type", "mime-version", "content-transfer-encoding", "subject", "from", "to", "date", "message-id",
    "auto-submitted", "content-language",
}  # fmt: skip


def test_no_text_becomes_a_header_or_a_command():
    with MailServer().running() as server:
        mail = channel(server, scheme="smtp+plain")

        @settings(max_examples=100)
        @given(st.sampled_from(EVIL) | st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
        def deliver(text: str) -> None:
            server.said.clear()
            server.raw.clear()
            mail.deliver(LI, Notice("ntc_1", "org_1", "x", "", text, text, text, text, 0, 0, ""), "k")
            assert [line.split(" ")[0] for line in server.said] == ["ehlo", "mail", "rcpt", "data", "quit"]
            (message,) = server.messages
            assert sorted(name.lower() for name in message) == sorted(HEADERS)
            assert _plain(text) in _plain(message.get_content())

        deliver()
        assert set(server.envelopes) == {("notices@entrepot.example", "li@bank.example")}


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


@pytest.mark.parametrize(
    "address",
    ["", "li", "li@", "@bank.example", "li@bank", "li na@bank.example", "li@bank.example\r\nBcc: x@y.example",
     "li@bank.example, wang@bank.example", "<li@bank.example>", "li@bank..example", "li..na@bank.example", ".li@b.cn",
     "li@-bank.example", "李@bank.example", "li@银行.cn", "l" * 65 + "@bank.example", "li@" + "a" * 64 + ".example",
     "li@bank.example\n", "li@[127.0.0.1]", "li\0@bank.example", "li@" + "a." * 130 + "example"],
)  # fmt: skip
def test_what_is_no_mail_address(address: str, certificate: Certificate):
    assert mail_objection(address)
    with pytest.raises(Undeliverable):
        MailChannel(SmtpServer("127.0.0.1", 9, "none"), SENDER, lambda: 0).deliver(Target(address), NOTICE, "k")


def test_ordinary_mail_addresses():
    for address in ("li@bank.example", "li.na+notices@mail.bank.example", "o'neil@b-k.cn", "li@xn--0zwm56d.example"):
        assert mail_objection(address) == ""


def test_the_url_of_the_server():
    parse = SmtpServer.parse
    assert parse("smtp://mail.example") == SmtpServer("mail.example", 587, "starttls")
    assert parse("smtps://li:a%2Fb@mail.example") == SmtpServer("mail.example", 465, "tls", "li", "a/b")
    assert parse("smtp+plain://127.0.0.1:2525/") == SmtpServer("127.0.0.1", 2525, "none")
    assert "a/b" not in repr(parse("smtps://li:a%2Fb@mail.example"))
    for wrong in ("mail.example:587", "http://mail.example", "smtp://", "smtp://x:port", "smtp://x/path", "smtp://x?y",
                  "smtp+plain://li:secret@x", "smtp://li:secret@x:99999", "smtp://li:secret@[x"):  # fmt: skip
        with pytest.raises(ValueError, match="smtp") as refused:
            parse(wrong)
        assert "secret" not in str(refused.value)
    assert parse_sender("a@b.example") == ("", "a@b.example")
    for wrong in ("", "Entrepot", "Entrepot <a@b>", "a@b.example\r\nBcc: x@y.example"):
        with pytest.raises(ValueError, match="write an address"):
            parse_sender(wrong)
