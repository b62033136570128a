"""Webhooks to a real HTTP server: signed, retried, given up, ended; never to an address that is not allowed."""

import base64
import hashlib
import hmac
import ipaddress
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.notices import Notice
from entrepot.kernel.notices.channel_operations import ListAddresses, SendTest
from entrepot.kernel.notices.channels import Target, Undeliverable
from entrepot.kernel.notices.delivery import LONGEST_REST_S, MAX_ATTEMPTS, OLDEST_S, RESTS_AFTER
from entrepot.kernel.notices.operations import ListNotices
from entrepot.kernel.notices.webhook import WebhookChannel, ip_objection, sign, url_objection
from tests.kernel.notices.post import BODY, TITLE, Post, until
from tests.kernel.notices.receivers import Certificate, Hook, HookServer

NOTICE = Notice("ntc_1", "org_1", "margin-call", "fac_1", *TITLE, *BODY, 1_772_352_000_000_000, 0, "")
SECRET = "whsec_" + base64.b64encode(b"s" * 32).decode()


def verified(hook: Hook, secret: str) -> bool:
    """As a receiver does it, by the specification alone."""
    content = b".".join([hook.headers["webhook-id"].encode(), hook.headers["webhook-timestamp"].encode(), hook.body])
    mac = hmac.new(base64.b64decode(secret[len("whsec_") :]), content, hashlib.sha256).digest()
    version, _, signature = hook.headers["webhook-signature"].partition(",")
    return version == "v1" and hmac.compare_digest(base64.b64encode(mac).decode(), signature)


def test_the_signature_is_that_of_the_specification():
    # The worked example of the specification's reference libraries.
    key, seconds, body = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    expected = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    assert sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", key, seconds, body) == expected


def test_a_notice_goes_to_the_webhook_signed(post: Post, hooks: HookServer):
    registered = post.hook(f"http://127.0.0.1:{hooks.port}/in?of=bank")
    assert registered.state == "active"
    notice = post.send()
    assert post.states(notice) == {registered.id: "queued"}
    assert post.deliverer.run_due() == 1
    assert post.states(notice) == {registered.id: "delivered"}
    (hook,) = hooks.received
    assert hook.path == "/in?of=bank"
    assert verified(hook, registered.secret)
    assert not verified(Hook(hook.path, hook.headers, hook.body + b" "), registered.secret)
    assert hook.headers["webhook-id"] == f"{notice}-{registered.id}"
    assert int(hook.headers["webhook-timestamp"]) == post.clock.now_us() // 1_000_000
    assert hook.headers["content-type"] == "application/json"
    assert hook.headers["host"] == f"127.0.0.1:{hooks.port}"
    content = orjson.loads(hook.body)
    assert (content["type"], content["timestamp"]) == ("notice.sent", "2026-03-01T08:00:00Z")
    assert content["data"] == {
        "id": notice, "party": "org_bank", "kind": "margin-call", "subject": "fac_1",
        "title": {"en": TITLE[0], "zh": TITLE[1]}, "body": {"en": BODY[0], "zh": BODY[1]},
    }  # fmt: skip


def test_only_the_kinds_and_parties_that_were_asked_for(post: Post, hooks: HookServer):
    url = f"http://127.0.0.1:{hooks.port}"
    calls, everything = post.hook(f"{url}/calls"), post.hook(f"{url}/all", kinds=["margin-call", "alarm"])
    own = post.hook(f"{url}/own", party="per_li")
    assert set(post.states(post.send())) == {calls.id, everything.id}
    assert set(post.states(post.send(kind="alarm"))) == {everything.id}
    assert set(post.states(post.send("per_li"))) == {own.id}
    assert post.states(post.send(kind="margin")) == {}
    assert post.states(post.send("org_other")) == {}


def test_what_passes_is_tried_again_under_the_same_id(post: Post, hooks: HookServer):
    hooks.statuses = [500, 429, 302, 408, 200]
    hooks.location = f"http://127.0.0.1:{hooks.port}/elsewhere"
    address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    notice = post.send()
    assert post.deliverer.run_due() == 1
    assert post.deliverer.run_due() == 0, "not before the wait is over"
    assert post.row(address).problem == "the receiver answered 500"
    for _ in range(4):
        post.later()
        post.deliverer.run_due()
    assert post.states(notice) == {address: "delivered"}
    assert hooks.ids() == [f"{notice}-{address}"] * 5
    assert {hook.path for hook in hooks.received} == {"/in"}, "no redirect is followed"
    assert len({hook.headers["webhook-timestamp"] for hook in hooks.received}) == 5, "each attempt is signed anew"
    assert (post.row(address).failures, post.row(address).problem) == (0, "")


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_a_refusal_for_good_is_given_up_at_once(post: Post, hooks: HookServer, status: int):
    hooks.statuses, hooks.answer = [status], b"no such\r\nroute " + b"x" * 100_000
    address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    notice = post.send()
    post.deliverer.run_due()
    assert post.states(notice) == {address: "failed"}
    problem = post.row(address).problem
    assert problem.startswith(f"the receiver answered {status} no such route xxx")
    assert len(problem) < 200
    again = post.send()
    post.deliverer.run_due()
    assert post.states(again) == {address: "delivered"}, "the address stays, and is not made to rest"


def test_410_ends_the_registration_and_tells_the_party(post: Post, hooks: HookServer):
    hooks.statuses = [410]
    address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    first, second = post.send(), post.send()
    post.deliverer.run_due()
    assert post.states(first) | post.states(second) == {address: "failed"}
    assert len(hooks.received) == 1, "what waited is not sent either"
    row = post.row(address)
    assert (row.state, row.sealed, row.problem) == ("ended", b"", "the receiver answered 410")
    assert "A notice address was ended" in {found.title for found in post.ask(ListNotices()).notices}
    assert post.states(post.send()) == {}
    with post.scope() as scope:
        rows = scope.uow.read("SELECT actor, status FROM events WHERE type = 'notices.address_gone'")
    assert rows == [("system:notices", 200)]


def test_a_receiver_that_never_works_is_given_up(post: Post, hooks: HookServer):
    hooks.statuses = [503] * 100
    address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    notice = post.send()
    for _ in range(MAX_ATTEMPTS + 3):
        post.deliverer.run_due()
        post.later()
    assert post.states(notice) == {address: "failed"}
    assert len(hooks.received) == MAX_ATTEMPTS
    old = post.send()
    post.later(OLDEST_S + 1)
    post.deliverer.run_due()
    assert post.states(old) == {address: "failed"}
    assert len(hooks.received) == MAX_ATTEMPTS, "nobody wants a margin call of last week"


def test_an_address_that_fails_again_and_again_rests(post: Post, hooks: HookServer):
    hooks.statuses = [503] * RESTS_AFTER
    address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    notices = [post.send() for _ in range(20)]
    post.deliverer.run_due()
    assert len(hooks.received) == RESTS_AFTER, "the others are not even tried"
    assert post.deliverer.run_due() == 0
    post.later(LONGEST_REST_S)
    post.deliverer.run_due()
    assert all(post.states(notice) == {address: "delivered"} for notice in notices)


def test_a_slow_receiver_holds_up_itself_alone(post: Post, hooks: HookServer):
    hooks.slow = {"/slow": 1.5}
    url = f"http://127.0.0.1:{hooks.port}"
    slow = post.hook(f"{url}/slow").id
    quick = post.hook(f"{url}/quick", party="org_other").id
    for _ in range(30):
        post.send()
    others = [post.send("org_other") for _ in range(5)]
    began = time.monotonic()
    post.deliverer.start()
    until(lambda: all(post.states(notice) == {quick: "delivered"} for notice in others))
    assert time.monotonic() - began < 1.4
    assert len(hooks.ids("/slow")) <= 1
    assert post.row(slow).failures == 0


def test_a_receiver_that_drips_is_cut_off(post: Post, hooks: HookServer):
    hooks.slow = {"/in": 1.5}
    post.channels["webhook"] = WebhookChannel(post.clock.now_us, private=True, timeout_s=0.2)
    address = post.hook(f"http://127.0.0.1:{hooks.port}/in").id
    began = time.monotonic()
    post.send()
    post.deliverer.run_due()
    assert time.monotonic() - began < 1.4
    assert post.row(address).problem.endswith("no answer within 0.2 s")


def test_a_test_notice_goes_to_the_one_address(post: Post, hooks: HookServer):
    url = f"http://127.0.0.1:{hooks.port}"
    first = post.hook(f"{url}/first").id
    post.hook(f"{url}/second", kinds=["test"])
    tested = post.run(SendTest(address_id=first))
    post.deliverer.run_due()
    assert hooks.ids() == [f"{tested.notice_id}-{first}"]
    assert orjson.loads(hooks.received[0].body)["data"]["kind"] == "test"
    (view,) = [each for each in post.ask(ListAddresses()).addresses if each.id == first]
    assert (view.waiting, view.delivered_at) == (0, from_us(post.clock.now_us()))


# --- where nothing is sent -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["http://example.org/", "ftp://example.org/", "https://", "https:///x", "https://li:secret@example.org/", "x",
     "https://example.org/#part", "https://127.0.0.1/", "https://localhost/", "https://a.localhost/",
     "https://[::1]/", "https://10.1.2.3/", "https://192.168.0.1/", "https://172.16.0.1/", "https://100.64.0.1/",
     "https://169.254.169.254/latest/meta-data", "https://[fe80::1]/", "https://[fc00::1]/", "https://0.0.0.0/",
     "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::a01:203]/", "https://[2002:7f00:1::]/", "https://224.0.0.1/",
     "https://255.255.255.255/", "https://example.org:99999/", "https://exa mple.org/", "https://x/" + "y" * 2_000,
     "https://example.org/\r\nx-injected: 1"],
)  # fmt: skip
def test_what_cannot_be_a_webhook(url: str):
    assert url_objection(url, private=False)


def test_private_receivers_by_setting_and_metadata_never():
    for url in ("http://127.0.0.1:9/", "http://localhost/", "https://10.1.2.3/", "http://[::1]:9/x"):
        assert url_objection(url, private=True) == ""
    for url in ("http://169.254.169.254/", "http://100.100.100.200/", "http://[fd00:ec2::254]/", "http://[fe80::1]/"):
        assert url_objection(url, private=True)
    assert url_objection("https://hooks.example.org:8443/a?b=c", private=False) == ""


@given(st.ip_addresses())
def test_only_global_addresses_are_public(ip: ipaddress.IPv4Address | ipaddress.IPv6Address):
    if ip_objection(ip, private=False) == "":
        assert ip.is_global
        assert not any((ip.is_private, ip.is_loopback, ip.is_link_local, ip.is_multicast))


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (["10.0.0.7"], "nothing is sent to hooks.example.org: 10.0.0.7 is a private address"),
        (["127.0.0.1"], "nothing is sent to hooks.example.org: 127.0.0.1 is this machine itself"),
        (["203.0.113.9", "169.254.169.254"], "nothing is sent to hooks.example.org: 203.0.113.9 is a private address"),
        (["8.8.8.8", "fe80::1%eth0"], "nothing is sent to hooks.example.org: fe80::1 is a link-local address"),
    ],
)
def test_a_name_that_leads_inside_is_refused(answers: list[str], reason: str):
    channel = WebhookChannel(lambda: 0, resolve=lambda host, port: answers)
    with pytest.raises(Undeliverable) as refused:
        channel.deliver(Target("https://hooks.example.org/", SECRET), NOTICE, "k")
    assert str(refused.value) == reason


def test_the_name_is_resolved_once_and_that_very_address_is_used(certificate: Certificate):
    asked = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

    with HookServer(certificate=certificate).running() as server:
        channel = WebhookChannel(lambda: 0, private=True, resolve=rebinding, trust=certificate.trusting)
        channel.deliver(Target(f"https://hooks.example.org:{server.port}/in", SECRET), NOTICE, "k")
        assert asked == [("hooks.example.org", server.port)]
        assert server.received[0].headers["host"] == f"hooks.example.org:{server.port}"


def test_the_certificate_must_be_that_of_the_name(certificate: Certificate):
    with HookServer(certificate=certificate).running() as server:
        for name, trust in (("other.example.org", certificate.trusting), ("hooks.example.org", None)):
            channel = WebhookChannel(lambda: 0, private=True, resolve=lambda host, port: ["127.0.0.1"], trust=trust)
            with pytest.raises(ConnectionError, match="certificate"):
                channel.deliver(Target(f"https://{name}:{server.port}/in", SECRET), NOTICE, "k")
        assert server.received == []


def test_the_next_address_is_tried_when_the_first_is_dead(hooks: HookServer):
    channel = WebhookChannel(lambda: 0, private=True, resolve=lambda host, port: ["127.0.0.2", "127.0.0.1"])
    channel.deliver(Target(f"http://hooks.example.org:{hooks.port}/in", SECRET), NOTICE, "k")
    assert hooks.ids() == ["k"]


def test_no_proxy_of_the_environment_is_used(hooks: HookServer, monkeypatch: pytest.MonkeyPatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    channel = WebhookChannel(lambda: 0, private=True)
    channel.deliver(Target(f"http://127.0.0.1:{hooks.port}/in", SECRET), NOTICE, "k")
    assert hooks.ids() == ["k"]
