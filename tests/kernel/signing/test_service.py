"""Keys, seals and witnesses: what is taken, what is refused, and the keeper of heads across restarts."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations import Conflict, Forbidden, Invalid, NotFound, Refusal, Unavailable
from entrepot.kernel.signing import HeadKeeper, Keyring, LocalKey, Signing, statements
from entrepot.kernel.signing.operations import (
    GetVerifier,
    LatestHead,
    ListKeys,
    ListSeals,
    RegisterKey,
    RevokeKey,
    SealDocument,
    WitnessHead,
)
from entrepot.kernel.signing.suites import to_base64url
from tests.kernel.probe import Note
from tests.kernel.world import TENANT, World

KEY = LocalKey("ed25519", b"k" * 32)
SM2 = LocalKey("sm2", b"k" * 32)
HASH = "5" * 64


def register(world: World, key: LocalKey = KEY, purpose: str = "seal", party: str = "org_trader") -> str:
    public = to_base64url(key.public)
    proof = key.sign(statements.possession(TENANT, party, key.suite, public, [purpose]).encode())
    request = RegisterKey(
        holder=party, suite=key.suite, public=public, purposes=[purpose], proof=to_base64url(proof)  # type: ignore[list-item,arg-type]
    )  # fmt: skip
    return world.run(request, party=party).id


def seal(world: World, key_id: str, key: LocalKey = KEY, at: datetime | None = None, document: str = HASH) -> None:
    at = at or from_us(world.clock.now_us())
    micro = round(at.timestamp() * 1_000_000)
    text = statements.seal(TENANT, document, key_id, micro)
    signature = to_base64url(key.sign(text.encode()))
    world.run(SealDocument(document=document, key_id=key_id, at=at, signature=signature))


@pytest.mark.parametrize("key", [KEY, SM2], ids=["ed25519", "sm2"])
def test_a_registered_key_verifies_until_it_is_revoked(world: World, key: LocalKey) -> None:
    key_id = register(world, key)
    signature = key.sign(b"text")
    with world.unit() as (_, scope):
        signing = Signing(scope)
        assert signing.verify(key_id, b"text", signature)
        assert signing.verify(key_id, b"text", signature, "seal")
        assert not signing.verify(key_id, b"text", signature, "witness")
        assert not signing.verify(key_id, b"other", signature)
        assert not signing.verify("key_unknown", b"text", signature)
        with pytest.raises(Invalid):
            signing.demand(key_id, b"other", signature)
        with pytest.raises(NotFound):
            signing.demand("key_unknown", b"text", signature)
    world.run(RevokeKey(key_id=key_id))
    with world.unit() as (_, scope):
        assert not Signing(scope).verify(key_id, b"text", signature)
        with pytest.raises(Forbidden, match="revoked"):
            Signing(scope).demand(key_id, b"text", signature)
    with pytest.raises(Conflict):
        world.run(RevokeKey(key_id=key_id))
    (shown,) = world.run(ListKeys(holder="org_trader")).keys
    assert shown.revoked_at is not None
    assert shown.fingerprint.count("-") == 9


def test_a_key_works_only_while_it_is_valid(world: World) -> None:
    start, hour = world.clock.now_us(), 3_600_000_000
    with world.unit() as (_, scope):
        key = Signing(scope).register_key(
            "org_a", "ed25519", KEY.public, ["sign"], valid_from_us=start + hour, valid_until_us=start + 2 * hour
        )
    for offset, valid in ((0, False), (hour - 1, False), (hour, True), (2 * hour - 1, True), (2 * hour, False)):
        world.clock.move_to_us(start + offset)
        with world.unit() as (_, scope):
            assert Signing(scope).verify(key.id, b"x", KEY.sign(b"x")) is valid


def test_keys_that_prove_nothing_are_refused(world: World) -> None:
    public = to_base64url(KEY.public)
    refused: list[tuple[RegisterKey, type[Refusal]]] = [
        (RegisterKey(holder="org_trader", public=public, purposes=["seal"]), Invalid),
        (RegisterKey(holder="org_trader", public=public, purposes=["seal"], proof="A" * 86), Invalid),
        (RegisterKey(holder="org_trader", public=public, purposes=["sign"], proof="A" * 86), Invalid),
        (RegisterKey(holder="org_trader", public="A" * 43, purposes=["sign"]), Invalid),
        (RegisterKey(holder="org_trader", suite="sm2", public=public, purposes=["sign"]), Invalid),
        (RegisterKey(holder="org_trader", public="AB", purposes=["sign"]), Invalid),
        (RegisterKey(holder="org_other", public=public, purposes=["sign"]), Forbidden),
        (RegisterKey(holder="org_trader", public=public, purposes=["sign"],
                     valid_until=datetime(2020, 1, 1, tzinfo=UTC)), Invalid),
    ]  # fmt: skip
    for request, kind in refused:
        with pytest.raises(kind):
            world.run(request)
    with world.unit() as (_, scope):
        for purposes in (["operator"], ["time"], [], ["seal", "operator"]):
            with pytest.raises(Invalid):
                Signing(scope).register_key("org_trader", "ed25519", KEY.public, purposes)
        with pytest.raises(Invalid):
            Signing(scope).register_key("org_trader", "rot13", KEY.public, ["sign"])
    register(world)
    with pytest.raises(Conflict):
        register(world)


def test_a_shared_key_is_kept_wrapped_and_serves_devices_only(world: World) -> None:
    import hashlib
    import hmac

    keyring, shared = Keyring(b"m" * 32), b"0123456789abcdef0123456789abcdef"
    tag = hmac.new(shared, b"reading", hashlib.sha256).digest()
    with world.unit() as (uow, scope):
        signing = Signing(scope, keyring=keyring)
        with pytest.raises(Invalid):
            signing.register_key("dev_1", "hmac-sha256", shared, ["seal"])
        with pytest.raises(Unavailable):
            Signing(scope).register_key("dev_1", "hmac-sha256", shared, ["device"])
        key = signing.register_key("dev_1", "hmac-sha256", shared, ["device"])
        assert signing.verify(key.id, b"reading", tag, "device")
        assert not signing.verify(key.id, b"reading", bytes(32))
        assert not Signing(scope).verify(key.id, b"reading", tag)
        assert not key.provable
        (row,) = uow.fetch("SELECT public FROM signing_keys WHERE id = %s", (key.id,))
        assert shared not in bytes(row[0])
    assert world.run(ListKeys(holder="dev_1")).keys == [], "a shared key is shown to nobody"


def test_a_seal_is_stamped_once_and_refused_when_false(world: World) -> None:
    key_id = register(world)
    world.relate(HASH, "owner", "org_trader")
    seal(world, key_id)
    (found,) = world.run(ListSeals(document=HASH)).seals
    assert (found.holder, found.stamped_at) == ("org_trader", from_us(world.clock.now_us()))
    with pytest.raises(Conflict):
        seal(world, key_id)
    with pytest.raises(Invalid, match="ten minutes"):
        seal(world, key_id, at=from_us(world.clock.now_us()) - timedelta(minutes=11), document="6" * 64)
    with pytest.raises(Invalid, match="not a signature"):
        seal(world, key_id, SM2, document="6" * 64)
    with pytest.raises(Forbidden):
        world.run(
            SealDocument(document=HASH, key_id=key_id, at=from_us(world.clock.now_us()), signature="A" * 86),
            "eve",
            "org_eve",
        )
    signer = register(world, SM2, "witness")
    with pytest.raises(Forbidden, match="purpose"):
        seal(world, signer, SM2, document="7" * 64)


def test_a_witness_signs_only_the_head_that_is(world: World) -> None:
    key_id = register(world, KEY, "witness")
    with pytest.raises(NotFound):
        world.run(LatestHead())
    world.seal()
    head = world.run(LatestHead())
    good = to_base64url(KEY.sign(head.statement.encode()))
    with pytest.raises(Invalid):
        world.run(WitnessHead(height=head.height, key_id=key_id, signature=to_base64url(KEY.sign(b"something else"))))
    with pytest.raises(NotFound):
        world.run(WitnessHead(height=head.height + 1, key_id=key_id, signature=good))
    assert world.run(WitnessHead(height=head.height, key_id=key_id, signature=good)).hash == head.hash


def test_the_verifier_is_for_everyone(world: World) -> None:
    program = world.run(GetVerifier())
    assert "def ed25519_verify" in program.text
    compile(program.text, "verify.py", "exec")
    assert "entrepot." not in program.text.replace("entrepot.dev", "")


def _keeper(world: World, **more: float) -> HeadKeeper:
    return HeadKeeper(world.database, world.operator, world.heads_file, world.clock.now_us, **more)


def test_the_keeper_signs_each_head_once_and_goes_on_after_a_crash(world: World) -> None:
    world.run(Note(subject="a"))
    world.seal()
    keeper = _keeper(world)
    (first,) = keeper.keep()
    assert keeper.keep() == [], "nothing new but its own key's registration, which is not sealed yet"
    world.run(Note(subject="a"))
    world.seal()
    with world.heads_file.open("ab") as out:
        out.write(b'{"tenant":"lanzhou","heig')  # the crash came in the middle of a line
    restarted = _keeper(world)
    (second,) = restarted.keep()
    assert second.height > first.height
    assert restarted.verify() == []
    assert len(world.heads_file.read_bytes().splitlines()) == 2


def test_a_forged_line_in_the_keepers_file_is_found(world: World) -> None:
    world.run(Note(subject="a"))
    world.seal()
    _keeper(world).keep()
    text = world.heads_file.read_text()
    world.heads_file.write_text(text.replace('"height\\":1', '"height\\":2'))
    assert [found.what for found in _keeper(world).verify()] == ["is not signed by the operator's key"]


def test_the_keepers_thread_signs_while_blocks_come(world: World) -> None:
    keeper = _keeper(world, pause_s=0.01)
    keeper.start()
    world.run(Note(subject="a"))
    world.seal()
    keeper.sealed({TENANT: 1})
    pause = threading.Event()
    for _ in range(500):
        if world.heads_file.exists():
            break
        pause.wait(0.01)
    keeper.stop()
    assert world.heads_file.exists()
    assert keeper.verify() == []
