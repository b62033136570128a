"""Commands and queries of signing."""

import base64
import hashlib
import re
from datetime import datetime
from typing import Literal

from pydantic import AwareDatetime, Field

from entrepot.kernel.database.schema import from_us, to_us
from entrepot.kernel.documents.operations import READERS, readable
from entrepot.kernel.operations import Answer, Context, Invalid, Request, own_party, owner_of, related
from entrepot.kernel.signing.heads import Head
from entrepot.kernel.signing.keys import Key
from entrepot.kernel.signing.pack import verifier_text
from entrepot.kernel.signing.service import Seal
from entrepot.kernel.signing.suites import from_base64url, to_base64url

Digest = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of a document, hexadecimal")
KeyId = Field(min_length=1, max_length=64, examples=["key_0"])
Base64Url = r"^[A-Za-z0-9_-]+$"
EVIDENCE_READERS = (*(relation for relation in READERS if relation != "reader"), "regulator")


class KeyView(Answer):
    """A registered public key."""

    id: str
    holder: str
    suite: str
    public: str = Field(description="base64url")
    fingerprint: str = Field(description="What people compare over the telephone or on paper")
    purposes: list[str]
    valid_from: datetime
    valid_until: datetime | None
    revoked_at: datetime | None


class KeyList(Answer):
    """Keys of a holder."""

    keys: list[KeyView]


class HeadView(Answer):
    """A sealed block as head of the chain, with the text that witnesses sign."""

    height: int
    last: int = Field(description="The last sealed position")
    hash: str
    sealed_at: datetime
    statement: str


class SealView(Answer):
    """A party's seal on a document."""

    document: str
    key_id: str
    holder: str
    at: datetime = Field(description="By the sealing party's clock")
    stamped_at: datetime = Field(description="By the time authority")


class SealList(Answer):
    """The seals on a document."""

    seals: list[SealView]


class EvidencePack(Answer):
    """A zip file that verifies offline."""

    subject: str
    file_name: str
    sha256: str
    content: str = Field(description="The zip file in base64")


class VerifierProgram(Answer):
    """The program that verifies evidence packs, as text."""

    file_name: str
    sha256: str
    text: str


class RegisterKey(Request[KeyView]):
    """Register a public key of your own party, for signing, sealing documents or witnessing heads of the chain."""

    holder: str = Field(min_length=1, max_length=64, description="Your own party")
    suite: Literal["ed25519", "sm2"] = "ed25519"
    public: str = Field(max_length=100, pattern=Base64Url, description="base64url; SM2: 04 ‖ x ‖ y")
    purposes: list[Literal["seal", "sign", "witness"]] = Field(min_length=1, max_length=3)
    valid_until: AwareDatetime | None = None
    proof: str = Field(
        "", max_length=100, description="Signature (base64url) of the possession statement, by the new key"
    )


class RevokeKey(Request[KeyView]):
    """Revoke a key of your party: from now on it signs nothing; what it signed before stays true."""

    key_id: str = KeyId


class ListKeys(Request[KeyList]):
    """List the public keys of a holder."""

    holder: str = Field(min_length=1, max_length=64, examples=["operator"])


class LatestHead(Request[HeadView]):
    """Show the newest sealed block and the statement that witnesses sign."""


class WitnessHead(Request[HeadView]):
    """Countersign a head of the chain: afterwards not even the operator can change what came before."""

    height: int = Field(ge=1, le=1 << 62)
    key_id: str = KeyId
    signature: str = Field(max_length=100, pattern=Base64Url, description="base64url, over the head's statement")


class SealDocument(Request[SealView]):
    """Seal a document with a key of your party; the time is stamped."""

    document: str = Digest
    key_id: str = KeyId
    at: AwareDatetime = Field(description="The time in the signed statement, to the microsecond")
    signature: str = Field(max_length=100, pattern=Base64Url, description="base64url, over the seal's statement")


class ListSeals(Request[SealList]):
    """List the seals on a document."""

    document: str = Digest


class GetEvidence(Request[EvidencePack]):
    """Get an evidence pack about an object: it verifies on any machine with Python, without this server."""

    subject: str = Field(min_length=1, max_length=64, examples=["rcp_0"])
    documents: bool = Field(True, description="Whether the documents that you may read are put in")


class GetVerifier(Request[VerifierProgram]):
    """Get the program that verifies evidence packs."""


@RegisterKey.command(
    "signing.register_key",
    http="POST /keys",
    scope="signing:own",
    title=("Register key", "登记公钥"),
    relation=own_party("holder"),
    subject="id",
    rate=60,
    example={"holder": "org_0", "public": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "purposes": ["sign"]},
)
def register_key(ctx: Context, request: RegisterKey) -> KeyView:
    """Sealing and witnessing keys come with a proof of possession."""
    key = ctx.signing.register_key(
        request.holder,
        request.suite,
        _decoded(request.public, "public key"),
        request.purposes,
        valid_until_us=to_us(request.valid_until) if request.valid_until else 0,
        proof=_decoded(request.proof, "proof") if request.proof else None,
    )
    ctx.relations.add(key.id, "owner", request.holder)
    return _key_view(key)


@RevokeKey.command(
    "signing.revoke_key",
    http="POST /keys/{key_id}/revoke",
    scope="signing:own",
    title=("Revoke key", "吊销公钥"),
    confirm=True,
    relation=owner_of("key_id"),
    example={"key_id": "key_0"},
)
def revoke_key(ctx: Context, request: RevokeKey) -> KeyView:
    """See `Signing.revoke_key`."""
    return _key_view(ctx.signing.revoke_key(request.key_id))


@ListKeys.query(
    "signing.keys", http="GET /keys", scope="signing:read", title=("Keys", "公钥"), example={"holder": "operator"}
)
def list_keys(ctx: Context, request: ListKeys) -> KeyList:
    """Public keys are for everyone of the region to see; shared device keys are not shown."""
    return KeyList(keys=[_key_view(key) for key in ctx.signing.keys(request.holder) if key.provable])


@LatestHead.query("signing.head", http="GET /head", scope="signing:read", title=("Head of the chain", "链头"))
def latest_head(ctx: Context, request: LatestHead) -> HeadView:
    """A witness signs `statement` with its own key and sends the signature to `signing.witness`."""
    return _head_view(ctx.signing.latest_head())


@WitnessHead.command(
    "signing.witness",
    http="POST /heads/{height}/witness",
    scope="signing:witness",
    title=("Witness head", "见证链头"),
    relation=owner_of("key_id"),
    subject="key_id",
    example={"height": 1, "key_id": "key_0", "signature": "A" * 86},
)
def witness_head(ctx: Context, request: WitnessHead) -> HeadView:
    """See `Signing.witness_head`."""
    return _head_view(ctx.signing.witness_head(request.height, request.key_id, request.signature))


@SealDocument.command(
    "signing.seal",
    http="POST /seals",
    scope="signing:own",
    title=("Seal document", "文件签章"),
    relation=owner_of("key_id"),
    subject="document",
    example={"document": "0" * 64, "key_id": "key_0", "at": "2026-01-01T00:00:00Z", "signature": "A" * 86},
)
def seal_document(ctx: Context, request: SealDocument) -> SealView:
    """The statement is the canonical JSON of statement, tenant, document, key and at, see `statements.seal`."""
    at_us = to_us(request.at)
    return _seal_view(ctx.signing.seal_document(request.document, request.key_id, at_us, request.signature))


@ListSeals.query(
    "signing.seals",
    http="GET /documents/{document}/seals",
    scope="signing:read",
    title=("Seals on a document", "文件签章记录"),
    relation=related("document", *READERS),
    example={"document": "0" * 64},
)
def list_seals(ctx: Context, request: ListSeals) -> SealList:
    """Oldest first."""
    return SealList(seals=[_seal_view(seal) for seal in ctx.signing.seals(request.document)])


@GetEvidence.query(
    "signing.evidence",
    http="GET /evidence/{subject}",
    scope="signing:evidence",
    title=("Evidence pack", "存证包"),
    phrases=("give me the evidence", "证据包"),
    relation=related("subject", *EVIDENCE_READERS),
    rate=60,
    example={"subject": "rcp_0"},
)
def get_evidence(ctx: Context, request: GetEvidence) -> EvidencePack:
    """See `pack` for what is inside and why it holds."""
    pack = ctx.signing.evidence_pack(
        request.subject,
        read_document=lambda digest: readable(ctx, digest) if request.documents else None,
    )
    return EvidencePack(
        subject=request.subject,
        file_name=f"evidence-{re.sub('[^A-Za-z0-9._-]', '_', request.subject)}.zip",
        sha256=hashlib.sha256(pack).hexdigest(),
        content=base64.b64encode(pack).decode(),
    )


@GetVerifier.query("signing.verifier", http="GET /verifier", scope="", title=("Verifier", "验证程序"))
def get_verifier(ctx: Context, request: GetVerifier) -> VerifierProgram:
    """Compare its SHA-256 with the one of a release before trusting it."""
    text = verifier_text()
    return VerifierProgram(file_name="verify.py", sha256=hashlib.sha256(text).hexdigest(), text=text.decode())


def _decoded(text: str, what: str) -> bytes:
    try:
        return from_base64url(text)
    except ValueError as error:
        raise Invalid("signing/malformed", f"The {what} is {error}.") from None


def _key_view(key: Key) -> KeyView:
    return KeyView(
        id=key.id,
        holder=key.holder,
        suite=key.suite,
        public=to_base64url(key.public),
        fingerprint=key.fingerprint,
        purposes=list(key.purposes),
        valid_from=from_us(key.valid_from_us),
        valid_until=from_us(key.valid_until_us) if key.valid_until_us else None,
        revoked_at=from_us(key.revoked_us) if key.revoked_us else None,
    )


def _head_view(head: Head) -> HeadView:
    return HeadView(
        height=head.height,
        last=head.last,
        hash=head.hash,
        sealed_at=from_us(head.sealed_at_us),
        statement=head.statement,
    )


def _seal_view(seal: Seal) -> SealView:
    return SealView(
        document=seal.document,
        key_id=seal.key,
        holder=seal.holder,
        at=from_us(seal.at_us),
        stamped_at=from_us(seal.stamped_us),
    )
