"""Notices by webhook, as the Standard Webhooks specification 1.0.0 asks: https://www.standardwebhooks.com.

The receiver's name is resolved once, every address it has is judged, and the connection goes to one of those very
addresses: a name that changes its address in between (DNS rebinding) gains nothing. Redirects are not followed and no
proxy of the environment is used.
"""

import asyncio
import base64
import hmac
import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Sequence

import httpx
import orjson

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.notices.channels import Gone, Target, Undeliverable, one_line
from entrepot.kernel.notices.values import Notice

TIMEOUT_S = 15.0
MAX_URL = 2_000
MAX_RESPONSE = 4_096
MAX_TRIED = 3
PASSING_STATUS = frozenset({408, 425, 429})
PREFIX = "whsec_"
Resolve = Callable[[str, int], Sequence[str]]
Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
# Where clouds answer with the credentials of the machine; never a receiver, also where private addresses are allowed.
METADATA = frozenset(
    ipaddress.ip_address(each) for each in ("169.254.169.254", "100.100.100.200", "192.0.0.192", "fd00:ec2::254")
)
_HOST = re.compile(r"[A-Za-z0-9._:-]+")
NAT64 = ipaddress.ip_network("64:ff9b::/96")


def url_objection(address: str, private: bool) -> str:
    """Why a URL cannot be a webhook, "" when it can: https, a host, nobody's password, no forbidden address.

    `private` allows http, and the addresses of this machine and its network. The name is not resolved here.
    """
    if len(address) > MAX_URL:
        return f"the URL is longer than {MAX_URL} characters"
    try:
        url = httpx.URL(address)
        host, name = url.host, url.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError):
        return "it is not a URL"
    if url.scheme not in ({"https", "http"} if private else {"https"}) or not _HOST.fullmatch(name):
        return "it must begin with https:// and name a host"
    if url.port is not None and not 0 < url.port < 65_536:
        return "there is no such port"
    if url.userinfo or url.fragment:
        return "a webhook's URL has no user name and no fragment"
    if not private and (host == "localhost" or host.endswith(".localhost")):
        return f"{host} is this machine itself"
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return ""
    return ip_objection(ip, private)


def ip_objection(ip: Ip, private: bool) -> str:
    """Why nothing is sent to an address, "" when it is; an IPv4 address inside an IPv6 address counts as itself.

    >>> ip_objection(ipaddress.ip_address("::ffff:10.0.0.1"), False)
    '10.0.0.1 is a private address'
    """
    ip = _inner(ip)
    if ip in METADATA:
        return f"{ip} is where a cloud keeps a machine's credentials"
    if ip.is_link_local:
        return f"{ip} is a link-local address"
    if ip.is_multicast or ip.is_unspecified or (ip.version == 4 and ip.is_reserved):
        return f"{ip} is no machine's address"
    if private or ip.is_global:
        return ""
    return f"{ip} is this machine itself" if ip.is_loopback else f"{ip} is a private address"


def _inner(ip: Ip) -> Ip:
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in NAT64:
            return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else ip)
    return ip


def sign(secret: str, key: str, seconds: int, body: bytes) -> str:
    """The header `webhook-signature`: v1 and the HMAC-SHA256 over id.timestamp.body, in base64."""
    raw = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    mac = hmac.digest(raw, f"{key}.{seconds}.".encode() + body, "sha256")
    return f"v1,{base64.b64encode(mac).decode()}"


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, as the machine's resolver gives them. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class WebhookChannel:
    """Posts notices as signed JSON. A 2xx answer is a delivery, 410 ends the address, most other 4xx give up.

    `private` allows receivers on this machine and its network, for development; `trust` are the certificates
    believed, those of the machine by default.
    """

    def __init__(
        self, now_us: Callable[[], int], *, private: bool = False, resolve: Resolve = resolve,
        trust: ssl.SSLContext | None = None, timeout_s: float = TIMEOUT_S,
    ) -> None:  # fmt: skip
        self._now_us = now_us
        self._private = private
        self._resolve = resolve
        self._trust = trust or ssl.create_default_context()
        self._timeout_s = timeout_s

    def deliver(self, target: Target, notice: Notice, key: str) -> None:
        """See Channel."""
        objection = url_objection(target.address, self._private)
        if objection:
            raise Undeliverable(objection)
        url = httpx.URL(target.address)
        body, seconds = payload(notice), self._now_us() // 1_000_000
        headers = {
            "host": url.netloc.decode("ascii"),
            "content-type": "application/json",
            "user-agent": "Entrepot",
            "accept-encoding": "identity",
            "webhook-id": key,
            "webhook-timestamp": str(seconds),
            "webhook-signature": sign(target.secret, key, seconds, body),
        }
        status, said = asyncio.run(self._post(url, self._judged(url), headers, body))
        if 200 <= status < 300:
            return
        problem = f"the receiver answered {status} {one_line(said, 120)}".rstrip()
        if status == 410:
            raise Gone(problem)
        if 400 <= status < 500 and status not in PASSING_STATUS:
            raise Undeliverable(problem)
        raise ConnectionError(problem)

    def _judged(self, url: httpx.URL) -> list[Ip]:
        """The addresses of the URL's host; one that is forbidden forbids them all."""
        port = url.port or (443 if url.scheme == "https" else 80)
        found = [ipaddress.ip_address(each.partition("%")[0]) for each in self._resolve(url.host, port)]
        for ip in found:
            objection = ip_objection(ip, self._private)
            if objection:
                raise Undeliverable(f"nothing is sent to {url.host}: {objection}")
        if not found:
            raise ConnectionError(f"{url.host} has no address")
        return found[:MAX_TRIED]

    async def _post(self, url: httpx.URL, ips: list[Ip], headers: dict[str, str], body: bytes) -> tuple[int, str]:
        """Status and the first bytes of the answer, of the first address that can be reached at all."""
        name = {"sni_hostname": url.raw_host.decode("ascii")}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                httpx.AsyncClient(
                    verify=self._trust, trust_env=False, follow_redirects=False, timeout=self._timeout_s
                ) as client,
            ):
                for left, ip in zip(reversed(range(len(ips))), ips, strict=True):
                    request = client.build_request(
                        "POST", url.copy_with(host=str(ip)), headers=headers, content=body, extensions=name
                    )
                    try:
                        response = await client.send(request, stream=True)
                    except httpx.ConnectError:
                        if not left:
                            raise
                        continue
                    try:
                        return response.status_code, "" if response.is_success else await _beginning(response)
                    finally:
                        await response.aclose()
        except TimeoutError:
            raise TimeoutError(f"no answer within {self._timeout_s:g} s") from None
        except httpx.HTTPError as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from None
        raise AssertionError("one address was tried last")


async def _beginning(response: httpx.Response) -> str:
    read = b""
    async for chunk in response.aiter_raw(MAX_RESPONSE):
        read += chunk
        if len(read) >= MAX_RESPONSE:
            break
    return read[:MAX_RESPONSE].decode("utf-8", "replace")


def payload(notice: Notice) -> bytes:
    """The body: type, timestamp and data, as the specification recommends."""
    data = {
        "id": notice.id,
        "party": notice.party,
        "kind": notice.kind,
        "subject": notice.subject,
        "title": {"en": notice.title, "zh": notice.title_zh},
        "body": {"en": notice.body, "zh": notice.body_zh},
    }
    sent = from_us(notice.sent_us).isoformat().replace("+00:00", "Z")
    return orjson.dumps({"type": "notice.sent", "timestamp": sent, "data": data})
