"""Suites against the vectors of their standards, and our verifiers against the libraries'."""

import hashlib
import hmac

import gmalg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.kernel.signing import standalone
from entrepot.kernel.signing.keyring import Keyring
from entrepot.kernel.signing.suites import (
    SUITES,
    LocalKey,
    Unreadable,
    decrypt,
    encrypt,
    from_base64url,
    to_base64url,
    verify,
)

# RFC 8032 section 7.1: secret key, public key, message, signature (tests 1, 2, 3 and SHA(abc)).
RFC_8032 = [
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     ("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655"
     "141438e7a100b")),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     ("92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00"
     "d291612bb0c00")),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     ("6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc02"
     "7beceea1ec40a")),
    ("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
     "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
     ("ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9"
     "ac94fa54ca49f"),
     ("dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9b"
     "ef1177331a704")),
]  # fmt: skip

# GB/T 32918.5-2017 annex A.2: the signature sample on the recommended curve.
SM2_PRIVATE = bytes.fromhex("3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8")
SM2_PUBLIC = bytes.fromhex(
    "0409F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020"
    "CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
)
SM2_K = 0x59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21
SM2_SIGNATURE = bytes.fromhex(
    "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3"
    "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
)


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_ed25519_gives_the_vectors_of_rfc_8032(secret: str, public: str, message: str, signature: str) -> None:
    key = LocalKey("ed25519", bytes.fromhex(secret))
    text = bytes.fromhex(message)
    assert key.public.hex() == public
    assert key.sign(text).hex() == signature
    for check in (SUITES["ed25519"].verify, standalone.ed25519_verify):
        assert check(key.public, text, bytes.fromhex(signature))
        assert not check(key.public, text + b"!", bytes.fromhex(signature))


def test_sm2_gives_the_sample_of_gb_t_32918_5() -> None:
    assert standalone.sm2_verify(SM2_PUBLIC, b"message digest", SM2_SIGNATURE)
    assert not standalone.sm2_verify(SM2_PUBLIC, b"message digesT", SM2_SIGNATURE)
    library = gmalg.SM2(SM2_PRIVATE, standalone.SM2_USER, SM2_PUBLIC, rnd_fn=lambda bits: SM2_K)
    assert b"".join(library.sign(b"message digest")) == SM2_SIGNATURE
    assert library.generate_pk(SM2_PRIVATE) == SM2_PUBLIC


def test_sm3_gives_the_samples_of_gb_t_32905() -> None:
    assert standalone.sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"
    assert standalone.sm3(b"abcd" * 16).hex() == "debe9ff92275b8a138604889c18e5a4d6fdb70e5387e5765293dcba39c0c5732"


@given(st.binary(max_size=300))
def test_sm3_is_the_library_s(message: bytes) -> None:
    from cryptography.hazmat.primitives import hashes

    digest = hashes.Hash(hashes.SM3())
    digest.update(message)
    assert standalone.sm3(message) == digest.finalize()


@settings(max_examples=15)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 511))
def test_sm2_signatures_of_the_library_verify_and_no_flipped_bit_does(seed: bytes, message: bytes, bit: int) -> None:
    key = LocalKey("sm2", seed)
    signature = key.sign(message)
    assert len(signature) == 64
    assert verify("sm2", key.public, message, signature)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert not verify("sm2", key.public, message, bytes(changed))
    assert not verify("sm2", key.public, message + b"x", signature)


@settings(max_examples=25)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=80), st.integers(0, 511))
def test_both_ed25519_verifiers_agree(seed: bytes, message: bytes, bit: int) -> None:
    key = LocalKey("ed25519", seed)
    signature = bytearray(key.sign(message))
    assert standalone.ed25519_verify(key.public, message, bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    assert not standalone.ed25519_verify(key.public, message, bytes(signature))
    assert not verify("ed25519", key.public, message, bytes(signature))


def test_ed25519_refuses_malleable_signatures_and_unsound_keys() -> None:
    key = LocalKey("ed25519", b"s" * 32)
    signature = key.sign(b"x")
    s = int.from_bytes(signature[32:], "little") + standalone.L
    assert not standalone.ed25519_verify(key.public, b"x", signature[:32] + s.to_bytes(32, "little"))
    identity, too_large, small_order = bytes([1]) + bytes(31), b"\xff" * 32, bytes(32)
    for unsound in (identity, too_large, small_order, key.public[:31], b""):
        assert not SUITES["ed25519"].is_sound(unsound)
        assert not standalone.ed25519_verify(unsound, b"x", signature)
    # Under the identity as key, R = [s]B would be a signature of everything.
    anything = Ed25519PrivateKey.generate().public_key().public_bytes_raw() + bytes(32)
    assert not standalone.ed25519_verify(identity, b"x", anything)


def test_sm2_refuses_points_off_the_curve_and_zero() -> None:
    off_curve = SM2_PUBLIC[:-1] + bytes([SM2_PUBLIC[-1] ^ 1])
    for unsound in (off_curve, SM2_PUBLIC[1:], b"", b"\x04" + bytes(64), b"\x02" + SM2_PUBLIC[1:]):
        assert not SUITES["sm2"].is_sound(unsound)
        assert not verify("sm2", unsound, b"message digest", SM2_SIGNATURE)
    for bad in (b"", bytes(64), SM2_SIGNATURE[:-1], b"\xff" * 64, SM2_SIGNATURE + b"\0"):
        assert not verify("sm2", SM2_PUBLIC, b"message digest", bad)


def test_hmac_serves_but_proves_nothing_to_others() -> None:
    key, message = b"k" * 32, b"entrepot/lanzhou/gauge/telemetry\n{}"
    assert verify("hmac-sha256", key, message, hmac.new(key, message, hashlib.sha256).digest())
    assert not verify("hmac-sha256", key, message, bytes(32))
    assert not SUITES["hmac-sha256"].provable
    assert "hmac-sha256" not in standalone.VERIFIERS
    assert not verify("rot13", key, message, b"")


@given(st.sampled_from(["aes-256-gcm", "sm4-gcm"]), st.binary(max_size=200), st.binary(max_size=20), st.data())
def test_what_is_encrypted_opens_in_its_place_only(
    cipher: str, plain: bytes, place: bytes, data: st.DataObject
) -> None:
    key = b"k" * (32 if cipher == "aes-256-gcm" else 16)
    sealed = encrypt(cipher, key, plain, place)
    assert decrypt(cipher, key, sealed, place) == plain
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :]
    for attempt in ((changed, place), (sealed, place + b"x"), (sealed[:-1], place), (b"", place)):
        with pytest.raises(Unreadable):
            decrypt(cipher, key, *attempt)


@pytest.mark.parametrize("cipher", ["aes-256-gcm", "sm4-gcm"])
def test_a_keyring_opens_what_earlier_master_keys_wrapped(cipher: str) -> None:
    old = Keyring(b"o" * 32, cipher=cipher)  # type: ignore[arg-type]
    wrapped = old.wrap(b"secret", b"place")
    rotated = Keyring(b"n" * 32, (b"o" * 32,))
    assert rotated.unwrap(wrapped, b"place") == b"secret"
    assert old.is_current(wrapped)
    assert not rotated.is_current(wrapped)
    with pytest.raises(Unreadable):
        Keyring(b"n" * 32).unwrap(wrapped, b"place")


@given(st.binary(max_size=70))
def test_base64url_is_canonical(raw: bytes) -> None:
    assert from_base64url(to_base64url(raw)) == raw


@pytest.mark.parametrize("text", ["A", "AA==", "AB", "A+", "A/", "é", "A A"])
def test_other_base64_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        from_base64url(text)
