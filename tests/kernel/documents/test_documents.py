"""Documents: kept once and whole, read by those who may, and any damage found."""

import base64
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrepot.kernel.documents import Documents, Store, verify_documents
from entrepot.kernel.documents.media import MEDIA_TYPES, looks_like
from entrepot.kernel.documents.operations import ListDocuments, ReadDocument, UploadDocument
from entrepot.kernel.operations import Conflict, Forbidden, Invalid, NotFound, Refusal, TooLarge, Unavailable
from tests.kernel.world import TENANT, World

PDF = b"%PDF-1.7\n1 0 obj\n"


def upload(world: World, content: bytes = PDF, media_type: str = "application/pdf", **more: str) -> str:
    request = UploadDocument(
        content=base64.b64encode(content).decode(), media_type=media_type, name=more.pop("name", "仓单.pdf"),
        about=more.pop("about", ""),
    )  # fmt: skip
    return world.run(request, **more).digest


def read(world: World, digest: str, **more: str) -> bytes:
    return base64.b64decode(world.run(ReadDocument(digest=digest), **more).content)


def damages(world: World) -> list[tuple[str, str]]:
    with world.database.reader() as uow:
        return list(verify_documents(uow, TENANT, world.store))


def test_the_same_content_is_one_document(world: World) -> None:
    digest = upload(world)
    assert upload(world, name="other.pdf") == digest
    assert read(world, digest) == PDF
    assert world.run(ReadDocument(digest=digest)).name == "仓单.pdf", "the first name stays"
    assert [file for file in world.store.folder.rglob("*") if file.is_file()] == [world.store.path(digest)]
    assert world.store.path(digest).relative_to(world.store.folder).parts[:2] == (digest[:2], digest[2:4])
    assert damages(world) == []


def test_only_those_who_may_see_the_object_read_its_papers(world: World) -> None:
    world.relate("rcp_1", "owner", "org_trader")
    world.relate("rcp_1", "creditor", "org_bank")
    digest = upload(world, about="rcp_1")
    assert read(world, digest, party="org_bank") == PDF
    assert [entry.digest for entry in world.run(ListDocuments(subject="rcp_1"), party="org_bank").documents] == [digest]
    with pytest.raises(Forbidden):
        world.run(ReadDocument(digest=digest), party="org_eve")
    with pytest.raises(Forbidden):
        world.run(ListDocuments(subject="rcp_1"), party="org_eve")
    with pytest.raises(Forbidden):
        upload(world, b"%PDF-other", about="rcp_1", party="org_eve")
    assert upload(world, party="org_eve") == digest, "whoever has the content may keep it too"
    assert read(world, digest, party="org_eve") == PDF


def test_the_event_names_the_digest_and_never_the_content(world: World) -> None:
    digest = upload(world, b'{"secret": "particular"}', "application/json")
    with world.database.reader() as uow:
        ((subject, data),) = uow.read("SELECT subject, data FROM events WHERE type = 'documents.upload'")
        assert uow.read("SELECT 1 FROM answered WHERE answer LIKE %s", ("%particular%",)) == []
    assert subject == digest
    assert base64.b64encode(b"particular").decode()[4:8] not in data
    assert "particular" not in data


REFUSED: list[tuple[bytes, str, type[Refusal]]] = [
    (b"<html>", "application/pdf", Invalid),
    (PDF, "image/png", Invalid),
    (b"\xff\xfe", "text/plain", Invalid),
    (b"a\x00b", "text/plain", Invalid),
    (b"{", "application/json", Invalid),
    (b"[" * 100_000, "application/json", Invalid),
    (b"", "text/plain", Invalid),
    (b"x" * 1_000_001, "text/plain", TooLarge),
    (b"MZ", "application/x-msdownload", Invalid),
]


def test_what_is_not_its_type_or_too_large_is_refused(world: World) -> None:
    with world.unit() as (_, scope):
        documents = Documents(scope, world.store, max_bytes=1_000_000)
        for content, media_type, kind in REFUSED:
            with pytest.raises(kind):
                documents.put(content, media_type, "x")
    assert not world.store.folder.exists()


def test_unknown_and_malformed_requests_are_refused(world: World) -> None:
    with pytest.raises(Forbidden):
        read(world, "0" * 64)
    with world.unit() as (_, scope):
        documents = Documents(scope, world.store)
        for digest in ("0" * 64, "../../etc/passwd", ""):
            with pytest.raises(NotFound):
                documents.get(digest)
        for name in ("", " ", "a\nb", "x" * 201):
            with pytest.raises(Invalid):
                documents.put(b"x", "text/plain", name)
        with pytest.raises(Unavailable):
            Documents(scope).put(b"x", "text/plain", "x")
    with pytest.raises(Invalid):
        world.run(UploadDocument(content="!!!!", media_type="text/plain", name="x"))


def test_a_missing_or_changed_file_is_found_and_healed_by_the_same_content(world: World) -> None:
    digest = upload(world)
    path = world.store.path(digest)
    path.write_bytes(PDF[:-1] + b"x")
    assert damages(world) == [(f"documents {digest}", "its file is missing or was changed")]
    with pytest.raises(Conflict):
        read(world, digest)
    upload(world)
    assert damages(world) == []
    path.unlink()
    assert len(damages(world)) == 1
    with world.database.unit() as uow:
        uow.execute("UPDATE documents SET bytes = bytes + 1")
    upload(world)
    assert damages(world) == [(f"documents {digest}", "its length is not the recorded one")]


def test_a_refused_upload_leaves_no_record(world: World) -> None:
    with pytest.raises(Forbidden):
        upload(world, about="rcp_unrelated")
    with world.database.reader() as uow:
        assert uow.read("SELECT count(*) FROM documents") == [(0,)]


def test_several_threads_keep_one_file(tmp_path: Path) -> None:
    store, content = Store(tmp_path / "documents"), os.urandom(200_000)
    threads = [threading.Thread(target=store.put, args=(content,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    files = [file for file in store.folder.rglob("*") if file.is_file()]
    assert len(files) == 1
    assert store.get(files[0].name) == content
    assert list(store.remnants()) == []


WRITER = """
import sys
from pathlib import Path
from entrepot.kernel.documents import Store
store, number = Store(Path(sys.argv[1])), 0
while True:
    number += 1
    print(store.put(number.to_bytes(8) * 40_000), flush=True)
"""


@pytest.mark.parametrize("round_number", range(5))
def test_a_killed_writer_leaves_no_half_file(tmp_path: Path, round_number: int) -> None:
    folder = tmp_path / "documents"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    promised = [process.stdout.readline().strip()]
    time.sleep(0.01 + 0.013 * round_number)
    process.send_signal(signal.SIGKILL)
    promised += process.stdout.read().split()
    process.wait()
    process.stdout.close()
    store = Store(folder)
    for digest in promised:
        if len(digest) == 64:
            assert store.get(digest) is not None, "what was answered is there"
    for file in folder.rglob("*"):
        if file.is_file() and not file.name.startswith("."):
            assert store.get(file.name) is not None, "a file under its name is whole"


@given(st.sampled_from(MEDIA_TYPES), st.binary(max_size=50))
def test_sniffing_never_fails(media_type: str, content: bytes) -> None:
    assert looks_like(content, media_type) in {True, False}
    assert not looks_like(content, "application/octet-stream")
