"""Requests that timers send; their handlers are in `monitoring`."""

from pydantic import Field

from entrepot.kernel.operations import Answer, Request


class Followed(Answer):
    """What became of it: nothing, expired, withdrawn or offered."""

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
