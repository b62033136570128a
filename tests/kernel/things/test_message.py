"""The message form: strict reading, RFC 8785, signatures."""

import contextlib
import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.things import message as m
from tests.kernel.things.support import NOW_US, TENANT, seed

TOPIC = m.telemetry_topic(TENANT, "dev_t7")
numbers = st.one_of(
    st.integers(-m.MAX_SEQ, m.MAX_SEQ),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1e21]),
)
names = st.from_regex(m.VALUE_NAME, fullmatch=True)


@given(st.integers(1, m.MAX_SEQ), st.integers(0, 4_000_000_000_000_000), st.dictionaries(names, numbers, max_size=6))
def test_what_is_signed_is_rfc_8785(seq: int, at_us: int, values: dict[str, Any]):
    body: dict[str, Any] = {"seq": seq, "at": m.instant_text(at_us), "values": values}
    assert m.signed_json({**body, "sig": "x"}) == rfc8785.dumps(body)


def test_golden_numbers_of_rfc_8785():
    # Appendix B of RFC 8785, and the example of its section 3.2.2.
    values = {"a": 333333333.33333329, "b": 1e30, "c": 4.50, "d": 2e-3, "e": 1e-27, "f": -0.0, "g": 9007199254740991}
    body = m.signed_json({"seq": 1, "at": "2026-03-01T08:00:00Z", "values": values, "sig": ""})
    assert body == (
        b'{"at":"2026-03-01T08:00:00Z","seq":1,"values":'
        b'{"a":333333333.3333333,"b":1e+30,"c":4.5,"d":0.002,"e":1e-27,"f":0,"g":9007199254740991}}'
    )


@given(st.integers(1, m.MAX_SEQ), st.dictionaries(names, numbers, min_size=1, max_size=6))
def test_a_message_survives_the_wire(seq: int, values: dict[str, Any]):
    payload = m.encode(TOPIC, seq, NOW_US, values, m.ED25519, seed("dev_t7"))
    read = m.parse(payload)
    signature = m.signature_bytes(read["sig"])
    assert signature is not None
    assert m.verify(TOPIC, m.signed_json(read), signature, m.ED25519, m.public_key(seed("dev_t7")))
    assert m.instant_us(read["at"]) == NOW_US


@pytest.mark.parametrize("suite", [m.ED25519, m.HMAC_SHA256])
def test_a_signature_holds_for_its_topic_its_content_and_its_key_only(suite: m.Suite):
    key = m.public_key(seed("a")) if suite == m.ED25519 else seed("a")
    body = {"seq": 1, "at": "2026-03-01T08:00:00Z", "values": {"level_mm": 1.5}}
    raw = m.signature_bytes(m.sign(TOPIC, body, suite, seed("a")))
    assert raw is not None
    assert m.verify(TOPIC, m.signed_json(body), raw, suite, key)
    assert not m.verify(m.telemetry_topic(TENANT, "dev_t8"), m.signed_json(body), raw, suite, key)
    assert not m.verify(TOPIC, m.signed_json({**body, "seq": 2}), raw, suite, key)
    assert not m.verify(TOPIC, m.signed_json(body), raw[:-1] + bytes([raw[-1] ^ 1]), suite, key)
    assert not m.verify(TOPIC, m.signed_json(body), raw, suite, m.public_key(seed("b")))
    assert not m.verify(TOPIC, m.signed_json(body), b"", suite, key)


GOOD = {"seq": 1, "at": "2026-03-01T08:00:00Z", "values": {"level_mm": 1.5}, "sig": "eA"}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff\xfe", "not-utf8"),
        (b"", "not-json"),
        (b"{", "not-json"),
        (b'{"seq":1,"seq":2}', "not-json"),
        (b'{"seq":1,"at":"","values":{"a":NaN},"sig":""}', "not-json"),
        (b'{"seq":1,"at":"","values":{"a":-Infinity},"sig":""}', "not-json"),
        (b"[" * 10_000, "not-json"),
        (b'{"a":' * 2_500 + b"1" + b"}" * 2_500, "not-json"),
        (b"1" * 16_000, "not-json"),
        (b" " * 20_000, "too-large"),
        (b"null", "not-a-message"),
        (b"[]", "not-a-message"),
        (json.dumps({**GOOD, "more": 1}).encode(), "not-a-message"),
        (json.dumps({k: v for k, v in GOOD.items() if k != "sig"}).encode(), "not-a-message"),
        *[
            (json.dumps({**GOOD, "seq": bad}).encode(), "not-a-message")
            for bad in (0, -1, 1.0, True, "1", None, 1 << 60)
        ],
        (json.dumps({**GOOD, "sig": 7}).encode(), "not-a-message"),
        (json.dumps({**GOOD, "sig": "x" * 200}).encode(), "not-a-message"),
    ],
)
def test_what_is_no_message_says_why(payload: bytes, reason: str):
    with pytest.raises(m.Malformed) as caught:
        m.parse(payload)
    assert caught.value.reason == reason


@given(st.binary(max_size=300) | st.text().map(str.encode))
def test_any_bytes_are_a_message_or_malformed(payload: bytes):
    with contextlib.suppress(m.Malformed):
        assert m.parse(payload)["seq"] >= 1


NO_INSTANTS = ("2026-03-01 08:00:00Z", "2026-03-01T08:00:00", "2026-13-01T08:00:00Z", "٢026-03-01T08:00:00Z", 5, None)


@pytest.mark.parametrize("text", NO_INSTANTS)
def test_what_is_no_instant(text: Any):
    assert m.instant_us(text) is None


def test_instants():
    assert m.instant_us("1970-01-01T08:00:01+08:00") == 1_000_000
    assert m.instant_text(NOW_US) == "2026-03-01T08:00:00.000000Z"


def test_a_signature_has_one_spelling():
    assert m.signature_bytes("eA") == b"x"
    assert [m.signature_bytes(text) for text in ("eA==", "eB", "e", "e+", "é", "e A")] == [None] * 6


def test_topics():
    assert m.device_of(TOPIC, TENANT) == "dev_t7"
    for device in ("", "dev/t7", "..", "dev_t\0", "+", "#", "d" * 65):
        assert m.device_of(f"entrepot/lanzhou/{device}/telemetry", TENANT) is None
    for topic in ("", "entrepot/other/dev_t7/telemetry", "entrepot/lanzhou/dev_t7/ack"):
        assert m.device_of(topic, TENANT) is None
