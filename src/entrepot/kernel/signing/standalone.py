"""Verify an Entrepot evidence pack with nothing but Python 3.9 or later: no database, no network, no other package.

    python verify.py PACK.zip [--trust FINGERPRINT] [--json]

Take this program from a release of Entrepot, not from the pack: whoever forges a pack can forge the copy inside it.
FINGERPRINT is the operator's (or a witness's) key fingerprint, as you received it before and outside of the pack.

What is checked: every file against the signed manifest; every record against its hash; every hash against its block;
every block, along the chain, up to a head that the operator signed; every other signature; every key's registration.
Exit status: 0 verified, 1 broken, 2 incomplete (something is not sealed or signed yet), 3 unusable arguments.

One file on purpose, so that an auditor reads and compares a single text.
"""

# ruff: noqa: UP017 - this file also runs on Pythons older than the package's own
from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import sys
import zipfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

FORMAT = "entrepot-evidence/1"
MAX_BYTES = 512 * 1024 * 1024

# --- Ed25519, RFC 8032 section 5.1 -----------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
Point = tuple[int, int, int, int]  # extended homogeneous coordinates: x = X/Z, y = Y/Z, x*y = T/Z


def _edwards_add(p: Point, q: Point) -> Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def _edwards_multiply(scalar: int, point: Point) -> Point:
    result: Point = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = _edwards_add(result, point)
        point = _edwards_add(point, point)
        scalar >>= 1
    return result


def _edwards_equal(p: Point, q: Point) -> bool:
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


def _recover_x(y: int, sign: int) -> int | None:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_M1 % P
    if (x * x - square) % P or (x == 0 and sign):
        return None
    return P - x if x & 1 != sign else x


def _decompress(data: bytes) -> Point | None:
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = _recover_x(y, sign) if y < P else None
    return None if x is None else (x, y, 1, x * y % P)


_BASE_Y = 4 * pow(5, P - 2, P) % P
_BASE_X = _recover_x(_BASE_Y, 0) or 0
BASE: Point = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % P)


def ed25519_key_is_sound(public: bytes) -> bool:
    """Whether 32 bytes are a canonically encoded point outside the small subgroup."""
    point = _decompress(public) if len(public) == 32 else None
    return point is not None and not _edwards_equal(_edwards_multiply(8, point), (0, 1, 1, 0))


def ed25519_verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is the Ed25519 signature of the message under the key (32 bytes)."""
    if len(signature) != 64 or not ed25519_key_is_sound(public):
        return False
    key, commitment = _decompress(public), _decompress(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or s >= L:
        return False
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    return _edwards_equal(_edwards_multiply(s, BASE), _edwards_add(commitment, _edwards_multiply(challenge, key)))


# --- SM3, GB/T 32905-2016 --------------------------------------------------------------------------------------------

_MASK = 0xFFFFFFFF
_SM3_START = (0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E)


def _rotate(x: int, n: int) -> int:
    n %= 32
    return ((x << n) | (x >> (32 - n))) & _MASK


def sm3(message: bytes) -> bytes:
    """The SM3 hash: 32 bytes."""
    padded = message + b"\x80" + bytes((55 - len(message)) % 64) + (8 * len(message)).to_bytes(8, "big")
    state = list(_SM3_START)
    for offset in range(0, len(padded), 64):
        w = [int.from_bytes(padded[offset + 4 * j : offset + 4 * j + 4], "big") for j in range(16)]
        for j in range(16, 68):
            x = w[j - 16] ^ w[j - 9] ^ _rotate(w[j - 3], 15)
            w.append(x ^ _rotate(x, 15) ^ _rotate(x, 23) ^ _rotate(w[j - 13], 7) ^ w[j - 6])
        a, b, c, d, e, f, g, h = state
        for j in range(64):
            ss1 = _rotate(_rotate(a, 12) + e + _rotate(0x79CC4519 if j < 16 else 0x7A879D8A, j) & _MASK, 7)
            ff = a ^ b ^ c if j < 16 else (a & b) | (a & c) | (b & c)
            gg = e ^ f ^ g if j < 16 else (e & f) | (~e & _MASK & g)
            tt1 = (ff + d + (ss1 ^ _rotate(a, 12)) + (w[j] ^ w[j + 4])) & _MASK
            tt2 = (gg + h + ss1 + w[j]) & _MASK
            a, b, c, d, e, f, g, h = tt1, a, _rotate(b, 9), c, tt2 ^ _rotate(tt2, 9) ^ _rotate(tt2, 17), e, \
                _rotate(f, 19), g  # fmt: skip
        state = [old ^ new for old, new in zip(state, (a, b, c, d, e, f, g, h))]  # noqa: B905 - Python 3.9
    return b"".join(word.to_bytes(4, "big") for word in state)


# --- SM2 signatures, GB/T 32918.2-2016 on the curve of GB/T 32918.5-2017 ---------------------------------------------

SM2_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
SM2_A = SM2_P - 3
SM2_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
SM2_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
SM2_G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
SM2_USER = b"1234567812345678"  # the identifier of GM/T 0009-2012 where the parties agreed on no other
Jacobian = tuple[int, int, int]  # x = X/Z², y = Y/Z³; Z = 0 is the point at infinity


def _double(p: Jacobian) -> Jacobian:
    x, y, z = p
    yy, zz = y * y % SM2_P, z * z % SM2_P
    s, m = 4 * x * yy % SM2_P, 3 * (x - zz) * (x + zz) % SM2_P  # the short form for a = -3
    x3 = (m * m - 2 * s) % SM2_P
    return (x3, (m * (s - x3) - 8 * yy * yy) % SM2_P, 2 * y * z % SM2_P)


def _add(p: Jacobian, q: Jacobian) -> Jacobian:
    if not p[2]:
        return q
    if not q[2]:
        return p
    z1, z2 = p[2] * p[2] % SM2_P, q[2] * q[2] % SM2_P
    u1, u2 = p[0] * z2 % SM2_P, q[0] * z1 % SM2_P
    s1, s2 = p[1] * z2 * q[2] % SM2_P, q[1] * z1 * p[2] % SM2_P
    h, r = u2 - u1, s2 - s1
    if not h % SM2_P:
        return _double(p) if not r % SM2_P else (1, 1, 0)
    hh = h * h % SM2_P
    hhh, v = h * hh % SM2_P, u1 * hh % SM2_P
    x = (r * r - hhh - 2 * v) % SM2_P
    return (x, (r * (v - x) - s1 * hhh) % SM2_P, p[2] * q[2] * h % SM2_P)


def sm2_key_is_sound(public: bytes) -> bool:
    """Whether 65 bytes, 04 ‖ x ‖ y, are a point of the curve (whose order is prime, so of full order)."""
    x, y = int.from_bytes(public[1:33], "big"), int.from_bytes(public[33:], "big")
    on_curve = (y * y - x * x * x - SM2_A * x - SM2_B) % SM2_P == 0
    return len(public) == 65 and public[0] == 4 and x < SM2_P and y < SM2_P and on_curve


def sm2_verify(public: bytes, message: bytes, signature: bytes, user: bytes = SM2_USER) -> bool:
    """Whether `signature` (r ‖ s, 64 bytes) is the SM2-with-SM3 signature under the key (04 ‖ x ‖ y, 65 bytes)."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    t = (r + s) % SM2_N
    if len(signature) != 64 or not (0 < r < SM2_N and 0 < s < SM2_N and t) or not sm2_key_is_sound(public):
        return False
    curve = b"".join(number.to_bytes(32, "big") for number in (SM2_A, SM2_B, *SM2_G))
    z = sm3((8 * len(user)).to_bytes(2, "big") + user + curve + public[1:])
    e = int.from_bytes(sm3(z + message), "big")
    base: Jacobian = (*SM2_G, 1)
    key: Jacobian = (int.from_bytes(public[1:33], "big"), int.from_bytes(public[33:], "big"), 1)
    both, total = _add(base, key), (1, 1, 0)
    for bit in range(255, -1, -1):  # [s]G + [t]P in one pass
        total = _double(total)
        picked = (s >> bit & 1, t >> bit & 1)
        if picked != (0, 0):
            total = _add(total, {(1, 0): base, (0, 1): key, (1, 1): both}[picked])
    if not total[2]:
        return False
    inverse = pow(total[2], SM2_P - 2, SM2_P)
    return (e + total[0] * inverse * inverse % SM2_P) % SM2_N == r


def seal_digest(payload: str, signature: str) -> str:
    """What a time stamp on a seal covers: SHA-256 over statement, newline and signature (base64url), hexadecimal."""
    return hashlib.sha256(payload.encode() + b"\n" + signature.encode()).hexdigest()


VERIFIERS = {"ed25519": ed25519_verify, "sm2": sm2_verify}


def fingerprint(suite: str, public: bytes) -> str:
    """How people compare keys: the first 20 bytes of SHA-256 over suite and key, in groups of four digits."""
    digits = hashlib.sha256(suite.encode() + b"\0" + public).hexdigest()[:40]
    return "-".join(digits[i : i + 4] for i in range(0, 40, 4))


# --- the pack --------------------------------------------------------------------------------------------------------


class Broken(Exception):
    """The evidence does not hold."""


def _need(condition: Any, what: str) -> None:
    if not condition:
        raise Broken(what)


def read_pack(place: str) -> dict[str, bytes]:
    """The files of a pack, zip or folder, by name. Raises Broken."""
    path = Path(place)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return {file.relative_to(path).as_posix(): file.read_bytes() for file in files}
    try:
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as pack:
            names = pack.namelist()
            _need(len(names) == len(set(names)), "two files of the pack have one name")
            _need(sum(info.file_size for info in pack.infolist()) <= MAX_BYTES, "the pack is too large")
            return {name: pack.read(name) for name in names}
    except (OSError, zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Broken(f"the pack cannot be read: {error}") from None


class Verifier:
    """One pass over a pack. `facts` are what was verified, `gaps` what is not proven yet."""

    def __init__(self, files: dict[str, bytes], trusted: list[str]) -> None:
        self.files = files
        self.trusted = [text.replace("-", "").replace(" ", "").lower() for text in trusted]
        self.facts: list[str] = []
        self.gaps: list[str] = []
        self.pack: dict[str, Any] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        self.signers: dict[str, dict[str, Any]] = {}
        self.proven: list[dict[str, Any]] = []

    def run(self) -> None:
        """Check everything. Raises Broken at the first thing that does not hold."""
        try:
            self._manifest()
            heads = self._signatures()
            sealed = self._blocks(heads)
            self._rows(sealed)
            self._key_registrations()
            self._documents()
            self._trust()
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError, OverflowError) as error:
            raise Broken(f"the pack is malformed: {type(error).__name__} {error}") from None

    def _manifest(self) -> None:
        _need("manifest.json" in self.files and "pack.json" in self.files, "manifest.json or pack.json is missing")
        manifest = json.loads(self.files["manifest.json"])
        _need(manifest["format"] == FORMAT, "the pack has another format")
        listed = manifest["files"]
        present = set(self.files) - {"manifest.json", "manifest.sig"}
        _need(present == set(listed), f"files differ from the manifest: {sorted(present ^ set(listed))}")
        for name, digest in listed.items():
            _need(hashlib.sha256(self.files[name]).hexdigest() == digest, f"{name} was changed")
        self.pack = json.loads(self.files["pack.json"])
        _need(self.pack["format"] == FORMAT, "pack.json has another format")
        for key in self.pack["keys"]:
            _need(key["id"] not in self.keys, f"key {key['id']} is listed twice")
            self.keys[key["id"]] = key
        if "manifest.sig" not in self.files:
            self.gaps.append("the operator has not signed the manifest, so records may have been left out")
            return
        signed = json.loads(self.files["manifest.sig"])
        self._signature(signed["key"], self.files["manifest.json"], signed["signature"], self.pack["made_at"])
        _need("operator" in self.keys[signed["key"]]["purposes"], "the manifest is not signed by the operator")
        self.facts.append(f"{len(listed)} files are as the operator signed them")

    def _signature(self, key_id: str, payload: bytes, signature: str, at: int) -> dict[str, Any]:
        _need(key_id in self.keys, f"key {key_id} is not in the pack")
        key = self.keys[key_id]
        verify = VERIFIERS.get(key["suite"])
        _need(verify is not None, f"key {key_id}: signatures of suite {key['suite']} cannot be verified outside")
        public, raw = _decode(key["public"]), _decode(signature)
        _need(verify is not None and verify(public, payload, raw), f"a signature of key {key_id} is false")
        _need(key["valid_from"] <= at, f"key {key_id} was used before it was valid")
        _need(not key["valid_until"] or at < key["valid_until"], f"key {key_id} was used after it expired")
        _need(not key["revoked_at"] or at < key["revoked_at"], f"key {key_id} was used after it was revoked")
        self.signers[key_id] = key
        return key

    def _signatures(self) -> dict[int, dict[str, Any]]:
        heads: dict[int, dict[str, Any]] = {}
        kinds: dict[str, int] = {}
        documents = {entry["digest"] for entry in self.pack["documents"]}
        seals: list[str] = []
        stamped = set()
        for entry in self.pack["signed"]:
            key = self._signature(entry["key"], entry["payload"].encode(), entry["signature"], entry["at"])
            kinds[entry["kind"]] = kinds.get(entry["kind"], 0) + 1
            if entry["kind"] in ("head", "seal", "stamp"):
                statement = json.loads(entry["payload"])
                _need(statement["statement"] == "entrepot/" + entry["kind"], "a signature is shown as another kind")
                _need(statement["tenant"] == self.pack["tenant"], "a signature belongs to another region")
            if entry["kind"] == "head":
                _need(statement["sealed_at"] == entry["at"], "a head's time is not the signed one")
                _need({"operator", "witness"} & set(key["purposes"]), f"key {key['id']} may not sign heads")
                known = heads.setdefault(statement["height"], {"statement": statement, "operator": False})
                _need(known["statement"] == statement, f"two different heads of height {statement['height']}")
                known["operator"] = known["operator"] or "operator" in key["purposes"]
            elif entry["kind"] == "seal":
                _need("seal" in key["purposes"], f"key {key['id']} may not seal documents")
                _need(
                    statement["key"] == key["id"] and statement["at"] == entry["at"], "a seal is shown with other data"
                )
                seals.append(seal_digest(entry["payload"], entry["signature"]))
                if statement["document"] not in documents:
                    self.gaps.append(f"a sealed document is not in the pack: {statement['document']}")
            elif entry["kind"] == "stamp":
                _need("time" in key["purposes"], f"key {key['id']} may not stamp times")
                _need(statement["at"] == entry["at"], "a stamp's time is not the signed one")
                stamped.add(statement["digest"])
        for kind, count in sorted(kinds.items()):
            self.facts.append(f"{count} signature(s) of kind {kind} are true")
        if not stamped.issuperset(seals):
            self.gaps.append("a seal has no time stamp")
        return heads

    def _blocks(self, heads: dict[int, dict[str, Any]]) -> dict[tuple[str, str], tuple[int, str, int]]:
        """Check hashes and chaining; (stream, row id) → (position, hash, time of sealing)."""
        blocks = {block["height"]: block for block in self.pack["blocks"]}
        _need(len(blocks) == len(self.pack["blocks"]), "a block is listed twice")
        for height, block in blocks.items():
            fields = [self.pack["tenant"], height, *(block[name] for name in
                      ("first", "last", "previous", "root", "sealed_at"))]  # fmt: skip
            _need(_json_hash(fields) == block["hash"], f"block {height}: its header was changed")
            if height - 1 in blocks:
                before = blocks[height - 1]
                _need(block["previous"] == before["hash"], f"block {height} does not continue the one before it")
                _need(block["first"] == before["last"] + 1, f"block {height} leaves a gap")
        for height, head in heads.items():
            _need(height in blocks, f"the signed head {height} is not in the pack")
            differs = any(head["statement"][name] != blocks[height][name] for name in ("hash", "last", "sealed_at"))
            _need(not differs, f"block {height} is not the one that was signed: the chain was rewritten")
        sealed: dict[tuple[str, str], tuple[int, str, int]] = {}
        for text, rows in self.pack["members"].items():
            block, digest = blocks[int(text)], hashlib.sha256()
            _need(len(rows) == block["last"] - block["first"] + 1, f"block {text}: sealed rows are missing")
            for offset, (stream, row_id, row_hash) in enumerate(rows):
                digest.update(stream.encode() + b"\0" + row_id.encode() + b"\0" + bytes.fromhex(row_hash))
                _need((stream, row_id) not in sealed, f"{row_id} is sealed twice")
                sealed[(stream, row_id)] = (block["first"] + offset, row_hash, block["sealed_at"])
            _need(digest.hexdigest() == block["root"], f"block {text}: its sealed rows were changed")
            height = int(text)
            while not heads.get(height, {}).get("operator") and height + 1 in blocks:
                height += 1
            if not heads.get(height, {}).get("operator"):
                self.gaps.append(f"block {text} is not yet under a head that the operator signed")
        self.facts.append(f"{len(blocks)} blocks are chained, {len(heads)} head(s) of the chain are signed")
        return sealed

    def _rows(self, sealed: dict[tuple[str, str], tuple[int, str, int]]) -> None:
        for row in self.pack["rows"]:
            fields = json.loads(row["content"])
            where = f"{row['stream']} {row['id']}"
            _need(fields[0] == self.pack["tenant"] and fields[1] == row["id"], f"{where} is shown under another name")
            found = sealed.get((row["stream"], row["id"]))
            digest = hashlib.sha256(row["content"].encode()).hexdigest()
            if found is None:
                _need(row["position"] is None, f"{where}: the block that sealed it is not in the pack")
                self.gaps.append(f"{where} is not sealed yet")
                continue
            _need(found[1] == digest, f"{where} is not what was sealed: it was changed")
            _need(found[0] == row["position"], f"{where} is shown at another position")
            self.proven.append({"stream": row["stream"], "position": found[0], "sealed_at": found[2], "fields": fields})
        self.proven.sort(key=lambda entry: int(entry["position"]))
        self.facts.append(f"{len(self.proven)} of {len(self.pack['rows'])} records are sealed in the chain")

    def _key_registrations(self) -> None:
        registered = {entry["fields"][1]: entry["fields"] for entry in self.proven if entry["stream"] == "signing-keys"}
        for key_id, key in self.keys.items():
            shown = [key[name] for name in ("holder", "suite", "public", "purposes", "valid_from", "valid_until")]
            if key_id not in registered:
                self.gaps.append(f"key {key_id}: its registration is not sealed in this pack")
            else:
                _need(registered[key_id][2:] == shown, f"key {key_id} is not the one that was registered")
            revoked = registered.get(key_id + "#revoked")
            _need(revoked is None or revoked[2] == key["revoked_at"], f"key {key_id}: its revocation was changed")

    def _documents(self) -> None:
        for entry in self.pack["documents"]:
            digest = str(entry["digest"])
            _need(re.fullmatch(r"[0-9a-f]{64}", digest), "a document has a malformed digest")
            content = self.files.get("documents/" + digest)
            _need(content is not None, f"document {digest} is missing")
            _need(hashlib.sha256(content or b"").hexdigest() == digest, f"document {digest} was changed")
        if self.pack["documents"]:
            self.facts.append(f"{len(self.pack['documents'])} document(s) are unchanged")

    def _trust(self) -> None:
        known = {fingerprint(key["suite"], _decode(key["public"])).replace("-", "") for key in self.signers.values()}
        for wanted in self.trusted:
            _need(wanted in known, f"no signature is by the key that you trust ({wanted})")
        if self.trusted:
            self.facts.append(f"{len(self.trusted)} key(s) that you trust have signed")


def _decode(text: str) -> bytes:
    _need(re.fullmatch(r"[A-Za-z0-9_-]*", text), "a key or signature is not base64url")
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    _need(base64.urlsafe_b64encode(raw).decode().rstrip("=") == text, "a key or signature is not canonical base64url")
    return raw


def _json_hash(fields: list[Any]) -> str:
    return hashlib.sha256(json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def time_text(microseconds: int) -> str:
    """An instant for people, in UTC."""
    instant = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=microseconds)
    return instant.strftime("%Y-%m-%d %H:%M:%S UTC")


def report(verifier: Verifier, broken: str) -> dict[str, Any]:
    """The result as plain data."""
    signers = [
        {"id": key["id"], "holder": key["holder"], "suite": key["suite"], "purposes": key["purposes"],
         "fingerprint": fingerprint(key["suite"], _decode(key["public"]))}
        for key in verifier.signers.values()
    ]  # fmt: skip
    return {
        "result": "broken" if broken else "incomplete" if verifier.gaps else "verified",
        "broken": broken,
        "tenant": verifier.pack.get("tenant"),
        "subject": verifier.pack.get("subject"),
        "facts": verifier.facts,
        "gaps": verifier.gaps,
        "signers": signers,
        "records": verifier.proven,
    }


VERDICTS = {
    "verified": "VERIFIED 已验证: every record is sealed under a signed head of the chain.",
    "incomplete": "INCOMPLETE 尚不完整: nothing is false, but not everything is proven yet.",
    "broken": "BROKEN 不成立: this pack is not evidence.",
}


def _plain(line: str) -> str:
    """Without control characters: text inside a forged pack may not paint a verdict of its own."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in line)


def text_of(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [f"Evidence on 证据标的: {result['subject']}   region 区域: {result['tenant']}", ""]
    lines += [f"  + {fact}" for fact in result["facts"]]
    lines += [f"  ? {gap}" for gap in result["gaps"]]
    if result["broken"]:
        lines.append(f"  X {result['broken']}")
    elif result["records"]:
        lines += ["", "Records 记录"]
        for entry in result["records"]:
            what = f"{entry['fields'][2]} by {entry['fields'][4]}" if entry["stream"] == "events" else entry["stream"]
            lines.append(f"  {entry['position']:>8}  {time_text(entry['sealed_at'])}  {what}  {entry['fields'][1]}")
    if result["signers"]:
        lines += ["", "Signed by 签名者: compare these fingerprints with those you hold 请核对指纹"]
        lines += [f"  {key['fingerprint']}  {key['holder']} ({key['suite']}; {', '.join(key['purposes'])})"
                  for key in result["signers"]]  # fmt: skip
    return "\n".join([*map(_plain, lines), "", VERDICTS[result["result"]], ""])


def main(arguments: list[str]) -> int:
    """Run the command line; the exit status."""
    trusted: list[str] = []
    places: list[str] = []
    as_json = False
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        if argument == "--trust" and rest:
            trusted.append(rest.pop(0))
        elif argument == "--json":
            as_json = True
        elif argument.startswith("-"):
            sys.stderr.write(__doc__ or "")
            return 3
        else:
            places.append(argument)
    if len(places) != 1 or not Path(places[0]).exists():
        sys.stderr.write(__doc__ or "")
        return 3
    verifier, broken = Verifier({}, trusted), ""
    try:
        verifier.files = read_pack(places[0])
        verifier.run()
    except Broken as problem:
        broken = str(problem)
    try:
        result = report(verifier, broken)
    except Exception as problem:  # noqa: BLE001 - a forged pack may not break its own verdict
        result = report(Verifier({}, []), broken or f"the pack is malformed: {problem!r}")
    output = json.dumps(result, ensure_ascii=False, indent=2) + "\n" if as_json else text_of(result)
    sys.stdout.buffer.write(output.encode("utf-8", "backslashreplace"))
    return {"verified": 0, "broken": 1, "incomplete": 2}[str(result["result"])]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
