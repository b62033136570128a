"""Notices by mail: SMTP (RFC 5321) with STARTTLS (RFC 3207) or TLS from the start (RFC 8314)."""

import contextlib
import re
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from email.header import Header
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr, parseaddr
from typing import Literal
from urllib.parse import unquote, urlsplit

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.notices.channels import Target, Undeliverable, one_line
from entrepot.kernel.notices.values import Notice

Security = Literal["starttls", "tls", "none"]
SCHEMES: dict[str, tuple[Security, int]] = {
    "smtp": ("starttls", 587),
    "smtps": ("tls", 465),
    "smtp+plain": ("none", 25),
}
TIMEOUT_S = 10.0
MAX_SUBJECT = 150
MAX_ADDRESS = 254  # RFC 5321 section 4.5.3.1.3, less the angle brackets
_LOCAL = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"(?P<local>{_LOCAL})@{_LABEL}(\.{_LABEL})+")


def mail_objection(address: str) -> str:
    """Why a mail address cannot be used, "" when it can: name@domain in ASCII, the domain with a dot.

    >>> mail_objection("li.na@bank.example"), bool(mail_objection("li@bank.example>, x@y.example"))
    ('', True)
    """
    found = _ADDRESS.fullmatch(address)
    if found is None or len(address) > MAX_ADDRESS or len(found["local"]) > 64:
        return "a mail address is name@domain in ASCII letters (write a Chinese domain in its xn-- form)"
    return ""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in."""

    host: str
    port: int
    security: Security
    user: str = ""
    password: str = field(default="", repr=False)

    @staticmethod
    def parse(url: str) -> "SmtpServer":
        """`smtp://user:password@host:587` (STARTTLS), `smtps://…:465`, `smtp+plain://host:25`. Raises ValueError.

        A password in the URL is percent-encoded, and is not sent without TLS. The message never repeats it.
        """
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError:
            raise ValueError("not a URL such as smtp://user:password@host:587") from None
        if parts.scheme not in SCHEMES or not host or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ValueError("write smtp://user:password@host:587, smtps://…:465 or smtp+plain://host:25")
        security, usual = SCHEMES[parts.scheme]
        if parts.username and security == "none":
            raise ValueError("smtp+plain:// would send the password in the clear: use smtp:// or smtps://")
        return SmtpServer(
            host, port or usual, security, unquote(parts.username or ""), unquote(parts.password or "")
        )  # fmt: skip


def parse_sender(text: str) -> tuple[str, str]:
    """Name and address of `Entrepot <notices@example.org>`. Raises ValueError."""
    name, address = parseaddr(text)
    if mail_objection(address) or one_line(text) != text.strip():
        raise ValueError("write an address such as Entrepot <notices@example.org>")
    return one_line(name), address


class MailChannel:
    """Hands notices to an SMTP server, each over a connection of its own.

    A receiver that is refused for good (5xx) is not tried again; whatever concerns the server or the sender is.
    `trust` are the certificates believed, those of the machine by default.
    """

    def __init__(
        self, server: SmtpServer, sender: str, now_us: Callable[[], int], inbox_url: str = "",
        trust: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S,
    ) -> None:  # fmt: skip
        self._server = server
        self._name, self._address = parse_sender(sender)
        self._domain = self._address.rpartition("@")[2]
        self._now_us = now_us
        self._inbox_url = inbox_url
        self._trust = trust or ssl.create_default_context()
        self._timeout_s = timeout_s

    def deliver(self, target: Target, notice: Notice, key: str) -> None:
        """See Channel."""
        if mail_objection(target.address):
            raise Undeliverable("not a mail address")
        message = self.compose(target.address, notice, key)
        smtp = self._connect()
        try:
            self._send(smtp, target.address, message)
        finally:
            # What was said is settled; how the server takes its leave changes nothing.
            with contextlib.suppress(OSError, smtplib.SMTPException):
                smtp.quit()
            smtp.close()

    def compose(self, address: str, notice: Notice, key: str) -> str:
        """The message, ASCII: headers encoded (RFC 2047), the body in base64, so that no text of ours is syntax."""
        text = (
            f"{notice.title}\n\n{notice.body}\n\n\n{notice.title_zh}\n\n{notice.body_zh}\n\n-- \n"
            f"{self._inbox_url or 'Entrepot'}\n{notice.id}\n"
        )
        message = MIMEText(text, "plain", "utf-8")
        subject = one_line(f"{notice.title} / {notice.title_zh}", MAX_SUBJECT)
        message["Subject"] = Header(subject, "utf-8", header_name="Subject").encode()
        message["From"] = formataddr((self._name, self._address), "utf-8")
        message["To"] = address
        message["Date"] = format_datetime(from_us(self._now_us()))
        # The same for every attempt, so that a mailbox recognises what was delivered twice.
        message["Message-ID"] = f"<{key}@{self._domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message["Content-Language"] = "en, zh"
        return message.as_string()

    def _connect(self) -> smtplib.SMTP:
        server, timeout = self._server, self._timeout_s
        if server.security == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, self._domain, timeout=timeout, context=self._trust
            )
        else:
            smtp = smtplib.SMTP(server.host, server.port, self._domain, timeout=timeout)
        try:
            if server.security == "starttls":
                smtp.starttls(context=self._trust)
            if server.user:
                smtp.login(server.user, server.password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _send(self, smtp: smtplib.SMTP, address: str, message: str) -> None:
        try:
            smtp.sendmail(self._address, [address], message)
        except smtplib.SMTPRecipientsRefused as error:
            status, reply = next(iter(error.recipients.values()))
            raise _refused(status, reply) from None
        except smtplib.SMTPDataError as error:
            raise _refused(error.smtp_code, error.smtp_error) from None


def _refused(status: int, reply: bytes | str) -> Exception:
    said = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    problem = f"the mail server said {status} {one_line(said)}"
    return Undeliverable(problem) if 500 <= status <= 599 else ConnectionError(problem)
