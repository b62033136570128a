"""Requests that timers send; their handlers are in `monitoring`."""

from pydantic import Field

from entrepot.kernel.operations import Answer, Request


class Followed(Answer):
    """What became of it: nothing, cured, expired, withdrawn, put off, offered or instructed."""

    id: str
    result: str


class ExpireCall(Request[Followed]):
    """The deadline of a margin call has come."""

    facility_id: str = Field(max_length=64)
    case_id: str = Field(max_length=64)


class Dispose(Request[Followed]):
    """The notice period of a disposal is over."""

    facility_id: str = Field(max_length=64)
    case_id: str = Field(max_length=64)


class PayAgain(Request[Followed]):
    """A payment back to the borrower that the bank did not carry out is instructed again."""

    instruction_id: str = Field(max_length=64)
