"""Building an evidence pack: a zip file that proves what happened to one object, on a machine with only Python.

    manifest.json   SHA-256 of every other file          manifest.sig   the operator's signature over it
    pack.json       everything below                     verify.py      the verifier, the text of `standalone`
    summary.txt     the records, for people              documents/…    each under its SHA-256

`pack.json` holds: `rows`, each record as the exact JSON array that its hash covers; `members`, for each block that
sealed one of them, all its rows (stream, id, hash), from which the block's root follows; `blocks`, the headers from
there along the chain to a signed head; `signed`, texts with signatures over them (heads, seals, stamps, readings);
`keys`, the public keys, whose registrations are among the rows; `documents`.

Why a database administrator's edit is found, even if all hashes and blocks are computed anew: the heads were signed, by
the operator's key, which is not in the database, and by witnesses (banks, a regulator), whose keys are not in the
house. A rewritten chain has other block hashes, so the old signatures do not fit it, and the keeper of heads
(`heads.HeadKeeper`) signs only what continues its own file of heads. With a witness the operator cannot do it either.

What a pack cannot prove by itself is that nothing else happened: that no event about the object was left out rests on
the operator's signature over the manifest.

The same input gives the same bytes: files are stored uncompressed, in order, with a fixed date.
"""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import orjson

from entrepot.kernel.database.schema import from_us
from entrepot.kernel.operations.canonical import canonical
from entrepot.kernel.signing.keys import Key, operator_key
from entrepot.kernel.signing.standalone import FORMAT
from entrepot.kernel.signing.suites import SigningKey, to_base64url

EPOCH_OF_ZIP = (1980, 1, 1, 0, 0, 0)
READ_ONLY = 0o100444 << 16


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A record: `content` is the JSON array, tenant and id first, whose SHA-256 was sealed; position None: not yet."""

    stream: str
    id: str
    content: str
    position: int | None


@dataclass(frozen=True, slots=True)
class Block:
    """A header of the chain; hashes are hexadecimal."""

    height: int
    first: int
    last: int
    previous: str
    root: str
    hash: str
    sealed_at: int


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature (base64url) of a key over a text. `kind`: head, seal, stamp, or any word for what others signed."""

    kind: str
    key: str
    payload: str
    signature: str
    at_us: int


@dataclass(frozen=True, slots=True)
class Document:
    """A file and its SHA-256 in hexadecimal."""

    digest: str
    media_type: str
    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class PackInput:
    """All that goes into a pack; `members` maps the height of a block to its rows (stream, id, hash in hexadecimal)."""

    tenant: str
    subject: str
    made_at_us: int
    rows: Sequence[SealedRow] = ()
    blocks: Sequence[Block] = ()
    members: Sequence[tuple[int, Sequence[tuple[str, str, str]]]] = ()
    signed: Sequence[Signed] = ()
    keys: Sequence[Key] = ()
    documents: Sequence[Document] = ()


def verifier_text() -> bytes:
    """The program that verifies packs, as it is in this release."""
    return (resources.files("entrepot.kernel.signing") / "standalone.py").read_bytes()


def build(content: PackInput, signer: SigningKey | None) -> bytes:
    """The zip file. Without `signer` the manifest is unsigned, and the verifier says so."""
    keys = list(content.keys)
    if signer is not None and operator_key(signer).id not in {key.id for key in keys}:
        keys.append(operator_key(signer))
    files: dict[str, bytes] = {
        "pack.json": canonical(_plain(content, keys)).encode(),
        "summary.txt": _summary(content).encode(),
        "verify.py": verifier_text(),
    }
    for document in content.documents:
        files[f"documents/{document.digest}"] = document.content
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    files["manifest.json"] = canonical({"format": FORMAT, "files": digests}).encode()
    if signer is not None:
        signature = to_base64url(signer.sign(files["manifest.json"]))
        files["manifest.sig"] = canonical({"key": operator_key(signer).id, "signature": signature}).encode()
    return write_zip(files)


def write_zip(files: dict[str, bytes]) -> bytes:
    """A zip file of these files, the same bytes for the same input."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            info = zipfile.ZipInfo(name, EPOCH_OF_ZIP)
            info.create_system = 3
            info.external_attr = READ_ONLY
            archive.writestr(info, files[name])
    return buffer.getvalue()


def _plain(content: PackInput, keys: Sequence[Key]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "tenant": content.tenant,
        "subject": content.subject,
        "made_at": content.made_at_us,
        "rows": [
            {"stream": row.stream, "id": row.id, "content": row.content, "position": row.position}
            for row in content.rows
        ],
        "blocks": [
            {"height": block.height, "first": block.first, "last": block.last, "previous": block.previous,
             "root": block.root, "hash": block.hash, "sealed_at": block.sealed_at}
            for block in sorted(content.blocks, key=lambda block: block.height)
        ],
        "members": {str(height): [list(row) for row in rows] for height, rows in content.members},
        "signed": [
            {"kind": entry.kind, "key": entry.key, "payload": entry.payload, "signature": entry.signature,
             "at": entry.at_us}
            for entry in content.signed
        ],
        "keys": [
            {"id": key.id, "holder": key.holder, "suite": key.suite,
             "public": to_base64url(key.public) if key.provable else "", "purposes": list(key.purposes),
             "valid_from": key.valid_from_us, "valid_until": key.valid_until_us, "revoked_at": key.revoked_us}
            for key in sorted(keys, key=lambda key: key.id)
        ],
        "documents": [
            {"digest": entry.digest, "media_type": entry.media_type, "name": entry.name, "bytes": len(entry.content)}
            for entry in content.documents
        ],
    }  # fmt: skip


def _summary(content: PackInput) -> str:
    lines = [
        f"Evidence pack on 证据包: {content.subject}",
        f"Region 区域: {content.tenant}",
        f"Made at 生成时间: {from_us(content.made_at_us):%Y-%m-%d %H:%M:%S} UTC",
        "",
        "Verify on any machine with Python 3.9 or later 在任何装有 Python 的电脑上验证:",
        "    python -I -S verify.py THIS-FILE.zip",
        "with verify.py from a release of Entrepot, and compare the key fingerprints that it prints. 请核对公钥指纹。",
        "",
        "Records 记录",
    ]
    for row in content.rows:
        fields = orjson.loads(row.content)
        place = "not sealed yet 未封存" if row.position is None else f"position 位置 {row.position}"
        what = f"{from_us(fields[6]):%Y-%m-%d %H:%M:%S} UTC {fields[2]}" if row.stream == "events" else row.stream
        lines.append(f"  {what}  {row.id}  {place}")
    if content.documents:
        lines += ["", "Documents 文件", *(f"  {entry.digest}  {entry.name}" for entry in content.documents)]
    return "\n".join(lines) + "\n"
