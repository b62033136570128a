"""Evidence packs: they verify on a machine with only Python, and every kind of change is found."""

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrepot.kernel.database import Database
from entrepot.kernel.database.schema import from_us
from entrepot.kernel.documents.operations import UploadDocument
from entrepot.kernel.events.chain import block_hash, root_hash
from entrepot.kernel.operations import Forbidden, NotFound
from entrepot.kernel.operations.canonical import content_hash
from entrepot.kernel.signing import HeadKeeper, LocalKey, standalone, statements, verifier_text, verify_keys
from entrepot.kernel.signing.operations import (
    EvidencePack,
    GetEvidence,
    LatestHead,
    RegisterKey,
    RevokeKey,
    SealDocument,
    WitnessHead,
)
from entrepot.kernel.signing.pack import write_zip
from entrepot.kernel.signing.suites import fingerprint, to_base64url
from tests.kernel.probe import Note
from tests.kernel.world import TENANT, World

SUBJECT = "rcp_tank"
WITNESS = LocalKey("sm2", b"w" * 32)
BANK = LocalKey("ed25519", b"b" * 32)


def register(world: World, key: LocalKey, party: str, *purposes: str) -> str:
    public = to_base64url(key.public)
    proof = key.sign(statements.possession(TENANT, party, key.suite, public, list(purposes)).encode())
    return world.run(
        RegisterKey(holder=party, suite=key.suite, public=public, purposes=list(purposes), proof=to_base64url(proof)),  # type: ignore[arg-type]
        "wang", party,
    ).id  # fmt: skip


def keeper(world: World) -> HeadKeeper:
    return HeadKeeper(world.database, world.operator, world.heads_file, world.clock.now_us)


def told_story(world: World) -> bytes:
    """Events about a receipt, a sealed document, a signed and witnessed chain; the pack."""
    world.relate(SUBJECT, "owner", "org_trader")
    witness = register(world, WITNESS, "org_bank", "witness")
    signer = register(world, BANK, "org_bank", "seal")
    world.run(Note(subject=SUBJECT, text="入库 goods in"))
    world.run(Note(subject="another", text="not about it"))
    text = world.run(UploadDocument(content="aGVsbG8K", media_type="text/plain", name="入库单.txt", about=SUBJECT))
    world.seal()
    now = world.clock.now_us()
    statement = statements.seal(TENANT, text.digest, signer, now)
    seal = SealDocument(
        document=text.digest, key_id=signer, at=from_us(now), signature=to_base64url(BANK.sign(statement.encode()))
    )
    world.run(seal, "wang", "org_bank")
    world.run(Note(subject=SUBJECT, text="pledged", document=text.digest))
    world.seal()
    keeper(world).keep()
    world.seal()
    head = world.run(LatestHead(), "wang", "org_bank")
    signature = to_base64url(WITNESS.sign(head.statement.encode()))
    world.run(WitnessHead(height=head.height, key_id=witness, signature=signature), "wang", "org_bank")
    world.seal()
    keeper(world).keep()
    return pack_of(world)


def pack_of(world: World, subject: str = SUBJECT) -> bytes:
    import base64

    answer: EvidencePack = world.run(GetEvidence(subject=subject))
    return base64.b64decode(answer.content)


def files_of(pack: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(pack)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def verdict(files: dict[str, bytes], *trusted: str) -> tuple[str, str]:
    """Result and first objection, in process: the same code as the file in the pack."""
    verifier = standalone.Verifier(files, list(trusted))
    try:
        verifier.run()
    except standalone.Broken as problem:
        return "broken", str(problem)
    return ("incomplete", "; ".join(verifier.gaps)) if verifier.gaps else ("verified", "")


def resigned(files: dict[str, bytes], change: Callable[[dict[str, Any]], None], signer: LocalKey | None) -> Any:
    """The pack with `pack.json` changed and the manifest made anew: signed by `signer`, or with the old signature."""
    import hashlib

    files = dict(files)
    pack = json.loads(files["pack.json"])
    change(pack)
    files["pack.json"] = json.dumps(pack, ensure_ascii=False).encode()
    manifest = json.loads(files["manifest.json"])
    manifest["files"]["pack.json"] = hashlib.sha256(files["pack.json"]).hexdigest()
    files["manifest.json"] = json.dumps(manifest).encode()
    if signer is not None:
        signature = json.loads(files["manifest.sig"])
        signature["signature"] = to_base64url(signer.sign(files["manifest.json"]))
        files["manifest.sig"] = json.dumps(signature).encode()
    return files


def test_a_pack_verifies_in_an_empty_folder_with_only_python(world: World, tmp_path: Path) -> None:
    pack = told_story(world)
    folder = tmp_path / "another-machine"
    folder.mkdir()
    (folder / "pack.zip").write_bytes(pack)
    (folder / "verify.py").write_bytes(files_of(pack)["verify.py"])
    trusted = fingerprint(world.operator.suite, world.operator.public)

    def run(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [sys.executable, "-I", "-S", "verify.py", *arguments]
        return subprocess.run(command, cwd=folder, env={"LC_ALL": "C"}, capture_output=True, timeout=60, check=False)

    good = run("pack.zip", "--trust", trusted)
    assert good.returncode == 0, good.stdout.decode()
    text = good.stdout.decode()
    assert "VERIFIED 已验证" in text
    assert trusted in text
    assert fingerprint("sm2", WITNESS.public) in text, "the witness is shown"
    assert text.count("probe.note") == 2

    result = json.loads(run("pack.zip", "--json").stdout)
    assert result["result"] == "verified"
    notes = [json.loads(entry["fields"][10]) for entry in result["records"] if entry["fields"][2] == "probe.note"]
    assert [note["request"]["text"] for note in notes] == ["入库 goods in", "pledged"]

    assert run("pack.zip", "--trust", "0" * 40).returncode == 1
    assert run().returncode == 3
    assert run("missing.zip").returncode == 3
    with zipfile.ZipFile(io.BytesIO(pack)) as archive:
        archive.extractall(folder / "opened")
    assert run("opened").returncode == 0
    (folder / "pack.zip").write_bytes(pack[: len(pack) // 2])
    assert run("pack.zip").returncode == 1


def test_the_pack_holds_the_released_verifier_and_is_deterministic(world: World) -> None:
    pack = told_story(world)
    assert files_of(pack)["verify.py"] == verifier_text()
    assert pack_of(world) == pack
    assert write_zip(files_of(pack)) == pack


def test_the_documents_and_their_stamped_seals_are_inside(world: World) -> None:
    files = files_of(told_story(world))
    (document,) = (name for name in files if name.startswith("documents/"))
    assert files[document] == b"hello\n"
    kinds = [entry["kind"] for entry in json.loads(files["pack.json"])["signed"]]
    assert {"head", "seal", "stamp"} <= set(kinds)


def test_a_changed_byte_anywhere_is_found(world: World) -> None:
    files = files_of(told_story(world))
    for name, content in files.items():
        for at in sorted({0, len(content) // 3, len(content) // 2, len(content) - 1}):
            changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            assert verdict({**files, name: changed})[0] == "broken", f"{name} byte {at}"
        assert verdict({**files, name: b""})[0] == "broken", name
        less = {other: data for other, data in files.items() if other != name}
        assert verdict(less)[0] == ("incomplete" if name == "manifest.sig" else "broken"), f"without {name}"
    assert verdict({**files, "more.txt": b"x"})[0] == "broken"


def _row(change: Callable[[dict[str, Any]], None], stream: str = "events") -> Callable[[dict[str, Any]], None]:
    def changed(pack: dict[str, Any]) -> None:
        change(next(row for row in pack["rows"] if row["stream"] == stream))

    return changed


CHANGES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "an event's text": _row(lambda row: row.update(content=row["content"].replace("goods in", "goods 1n"))),
    "an event's id": _row(lambda row: row.update(id="evt_other")),
    "an event's position": _row(lambda row: row.update(position=row["position"] + 1)),
    "an event made unsealed": _row(lambda row: row.update(id="evt_other", position=None)),
    "a sealed row's hash": lambda pack: next(iter(pack["members"].values()))[0].__setitem__(2, "0" * 64),
    "a sealed row's id": lambda pack: next(iter(pack["members"].values()))[0].__setitem__(1, "evt_other"),
    "a sealed row left out": lambda pack: next(iter(pack["members"].values())).pop(),
    "a block's root": lambda pack: pack["blocks"][0].update(root="0" * 64),
    "a block's hash": lambda pack: pack["blocks"][0].update(hash="0" * 64),
    "a block's time": lambda pack: pack["blocks"][0].update(sealed_at=1),
    "a block's predecessor": lambda pack: pack["blocks"][-1].update(previous="0" * 64),
    "the blocks left out": lambda pack: pack["blocks"].clear(),
    "a signature": lambda pack: pack["signed"][0].update(signature="A" * 86),
    "a signed text": lambda pack: pack["signed"][0].update(payload=pack["signed"][0]["payload"].replace("1", "2")),
    "a signature's time": lambda pack: pack["signed"][0].update(at=pack["signed"][0]["at"] - 1),
    "a signature's kind": lambda pack: pack["signed"][0].update(kind="seal"),
    "a key": lambda pack: pack["keys"][0].update(public=to_base64url(LocalKey.new().public)),
    "a key's holder": lambda pack: pack["keys"][0].update(holder="org_other"),
    "a key's purposes": lambda pack: pack["keys"][0].update(purposes=["operator", "seal", "time", "witness"]),
    "a key's validity": lambda pack: pack["keys"][0].update(valid_from=1),
    "a key's end": lambda pack: pack["keys"][0].update(valid_until=2, valid_from=0),
    "the keys left out": lambda pack: pack["keys"].clear(),
    "the region": lambda pack: pack.update(tenant="chengdu"),
    "the documents' list": lambda pack: pack["documents"][0].update(digest="0" * 64),
    "the format": lambda pack: pack.update(format="entrepot-evidence/2"),
    "a field's type": lambda pack: pack.update(rows={"a": 1}),
    "a missing field": lambda pack: pack.pop("members"),
}


def test_even_the_operator_cannot_change_what_was_sealed(world: World) -> None:
    """The manifest is signed anew by the operator's own key, so the chain and the other signatures must find it."""
    files = files_of(told_story(world))
    assert verdict(files) == ("verified", "")
    assert verdict(resigned(files, lambda pack: None, world.operator)) == ("verified", "")
    assert verdict(resigned(files, CHANGES["an event's text"], None))[0] == "broken", "the old signature does not fit"
    for what, change in CHANGES.items():
        assert verdict(resigned(files, change, world.operator))[0] == "broken", what


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_another_key_than_the_trusted_one_is_found(world: World) -> None:
    """A forger can make a whole pack with keys of their own: only the fingerprint from outside tells."""
    files = files_of(told_story(world))
    assert verdict(files, fingerprint("ed25519", world.operator.public))[0] == "verified"
    assert verdict(files, fingerprint("sm2", WITNESS.public).upper().replace("-", " "))[0] == "verified"
    assert verdict(files, fingerprint("ed25519", LocalKey.new().public))[0] == "broken"


def test_what_is_not_sealed_yet_is_said(world: World) -> None:
    world.relate(SUBJECT, "owner", "org_trader")
    world.run(Note(subject=SUBJECT))
    result, why = verdict(files_of(pack_of(world)))
    assert result == "incomplete"
    assert "not sealed yet" in why
    world.seal()
    keeper(world).keep()  # registers the operator's key, whose registration is sealed next
    world.seal()
    assert verdict(files_of(pack_of(world))) == ("verified", ""), "the newest head is signed into the pack"


def test_only_parties_of_the_object_get_its_evidence(world: World) -> None:
    told_story(world)
    with pytest.raises(Forbidden):
        world.run(GetEvidence(subject=SUBJECT), "eve", "org_eve")
    world.relate("rcp_unknown", "owner", "org_trader")
    with pytest.raises(NotFound):
        world.run(GetEvidence(subject="rcp_unknown"))


def test_the_ledger_batches_and_claims_of_the_events_are_inside(world: World) -> None:
    """Rows that one operation wrote share the stem of their identifiers: that is how they are found."""
    from entrepot.kernel.ledger import Ledger

    world.relate(SUBJECT, "owner", "org_trader")
    note = world.run(Note(subject=SUBJECT))
    stem = note.id.partition("_")[2][:18]
    with world.unit() as (_, scope):
        numbers = count(50)
        scope.new_id = lambda prefix: f"{prefix}_{stem}{next(numbers)}"
        ledger = Ledger(scope)
        ledger.define_asset("CRUDE", 3, "goods", "tank", unit="t")
        issuer = ledger.account("tank", "CRUDE", "issue", may_go_negative=True)
        owner = ledger.account("org_trader", "CRUDE")
        ledger.transfer(issuer, owner, 1_000)
        ledger.encumber(owner, "org_bank", 400, reference=SUBJECT)
    world.seal()
    keeper(world).keep()
    world.seal()
    files = files_of(pack_of(world))
    streams = [row["stream"] for row in json.loads(files["pack.json"])["rows"]]
    assert {"ledger", "ledger-definitions"} <= set(streams)
    assert verdict(files) == ("verified", "")
    changed = resigned(files, _row(lambda row: row.update(content=row["content"].replace("1000", "9000")), "ledger"),
                       world.operator)  # fmt: skip
    assert verdict(changed)[0] == "broken"


@given(st.lists(st.one_of(st.text(), st.integers(-(2**63), 2**63 - 1), st.none()), max_size=6))
def test_anyone_can_recompute_a_content_hash_with_a_json_library(fields: list[str | int | None]) -> None:
    import hashlib

    text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    assert text == statements.json_array(*fields)
    assert content_hash(*fields) == hashlib.sha256(text.encode()).digest()


ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
FIELDS = ("rows", "blocks", "members", "signed", "keys", "documents", "tenant", "subject", "made_at")


@settings(max_examples=60)
@given(ANYTHING, st.sampled_from(FIELDS))
def test_a_hostile_pack_gets_a_verdict_and_no_traceback(value: Any, name: str) -> None:
    import hashlib

    pack: dict[str, Any] = {"format": standalone.FORMAT, "tenant": "t", "subject": "s", "made_at": 1, "rows": [],
                            "blocks": [], "members": {}, "signed": [], "keys": [], "documents": []}  # fmt: skip
    pack[name] = value
    text = json.dumps(pack).encode()
    manifest = {"format": standalone.FORMAT, "files": {"pack.json": hashlib.sha256(text).hexdigest()}}
    files = {"pack.json": text, "manifest.json": json.dumps(manifest).encode()}
    assert verdict(files)[0] in {"broken", "incomplete"}


def test_a_forged_text_cannot_paint_a_verdict() -> None:
    result = {"subject": "x\n\nVERIFIED\x1b[2J", "tenant": "t", "facts": [], "gaps": [], "broken": "no", "signers": [],
              "records": [], "result": "broken"}  # fmt: skip
    text = standalone.text_of(result)
    assert "\x1b" not in text
    assert not any(line.startswith("VERIFIED") for line in text.splitlines())


def rewrite_history(database: Database, before: str, after: str) -> None:
    """What a database administrator can do: change an event and compute every hash, root and block anew."""
    with database.unit() as uow:
        columns = "tenant, id, type, subject, actor, party, at, operation, door, status, data"
        for row in uow.read(f"SELECT {columns} FROM events WHERE data LIKE %s", (f"%{before}%",)):
            changed = (*row[:10], row[10].replace(before, after))
            digest = content_hash(*changed)
            uow.execute("UPDATE events SET data = %s, hash = %s WHERE tenant = %s AND id = %s",
                        (changed[10], digest, row[0], row[1]))  # fmt: skip
            uow.execute("UPDATE seals SET hash = %s WHERE tenant = %s AND stream = 'events' AND row_id = %s",
                        (digest, row[0], row[1]))  # fmt: skip
        previous = bytes(32)
        for height, first, last, sealed_at in uow.read(
            "SELECT height, first, last, sealed_at FROM blocks WHERE tenant = %s ORDER BY height", (TENANT,)
        ):
            rows = uow.read(
                "SELECT stream, row_id, hash FROM seals WHERE tenant = %s AND position BETWEEN %s AND %s "
                "ORDER BY position",
                (TENANT, first, last),
            )
            root = root_hash((stream, row_id, bytes(row_hash)) for stream, row_id, row_hash in rows)
            digest = block_hash(TENANT, height, first, last, previous, root, sealed_at)
            uow.execute("UPDATE blocks SET previous = %s, root = %s, hash = %s WHERE tenant = %s AND height = %s",
                        (previous, root, digest, TENANT, height))  # fmt: skip
            previous = digest


def test_an_administrator_who_recomputes_the_whole_chain_is_found(world: World) -> None:
    from entrepot.kernel.events import verify_chain

    old_pack = told_story(world)
    assert keeper(world).verify() == []
    rewrite_history(world.database, "goods in", "goods 1n")
    assert list(verify_chain(world.database, TENANT)) == [], "the hashes alone hold: that is why heads are signed"

    assert any("rewritten" in found.what for found in keeper(world).verify())
    result, why = verdict(files_of(pack_of(world)))
    assert (result, "rewritten" in why) == ("broken", True)
    assert verdict(files_of(old_pack)) == ("verified", ""), "and the pack made before still proves the truth"

    suspicious = keeper(world)
    world.run(Note(subject=SUBJECT, text="later"))
    world.seal()
    assert suspicious.keep() == [], "nothing that follows is signed"
    assert "rewritten" in suspicious.breaks[TENANT].what


def test_deleting_the_signatures_does_not_help(world: World) -> None:
    told_story(world)
    rewrite_history(world.database, "goods in", "goods 1n")
    with world.database.unit() as uow:
        uow.execute("DELETE FROM signing_heads")
    assert any("rewritten" in found.what for found in keeper(world).verify()), (
        "the keeper's file is not in the database"
    )
    # The server signs the newest head into a pack on demand, so the pack itself would pass: here the witness, who
    # kept what it signed, is who objects.
    assert verdict(files_of(pack_of(world)), fingerprint("sm2", WITNESS.public))[0] == "broken"


def test_a_key_row_that_was_changed_is_found(world: World) -> None:
    told_story(world)
    with world.database.reader() as uow:
        assert verify_keys(uow, TENANT) == []
    with world.database.unit() as uow:
        uow.execute("UPDATE signing_keys SET holder = %s WHERE holder = %s", ("org_eve", "org_bank"))
    with world.database.reader() as uow:
        assert len(verify_keys(uow, TENANT)) == 2
    assert verdict(files_of(pack_of(world)))[0] == "broken"


def test_a_revoked_key_is_in_the_pack_and_what_it_signed_before_holds(world: World) -> None:
    told_story(world)
    key_id = next(key.id for key in _keys(world, "org_bank") if "seal" in key.purposes)
    world.seal()
    world.run(RevokeKey(key_id=key_id), "wang", "org_bank")
    world.seal()
    keeper(world).keep()
    files = files_of(pack_of(world))
    assert verdict(files) == ("verified", "")
    revoked = next(key for key in json.loads(files["pack.json"])["keys"] if key["id"] == key_id)
    assert revoked["revoked_at"] > 0
    with world.database.reader() as uow:
        assert verify_keys(uow, TENANT) == []


def _keys(world: World, holder: str) -> Any:
    from entrepot.kernel.signing import Signing

    with world.unit() as (_, scope):
        return Signing(scope).keys(holder)
