"""One declaration opens every door: a typed request with its handler becomes an `Operation` of the registry."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Generic, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict

from entrepot.kernel.operations.relations import RelationRule

if TYPE_CHECKING:
    from entrepot.kernel.database import UnitOfWork
    from entrepot.kernel.operations.context import Context

A = TypeVar("A", bound="Answer")
T = TypeVar("T")


class _Mark:
    def __init__(self, name: str) -> None:
        self.name = name


PERSONAL = _Mark("personal")
SECRET = _Mark("secret")
Personal = Annotated[T, PERSONAL]
"""A field that says something about a person: never written into events; the handler puts it into the vault."""
Secret = Annotated[T, SECRET]
"""A password or key: never written anywhere."""


class Answer(BaseModel):
    """What an operation answers. Immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Request(BaseModel, Generic[A]):
    """What an operation is asked; `Request[Pledge]` is answered by a `Pledge`. Immutable, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True, allow_inf_nan=False)
    operation: ClassVar["Operation | None"] = None

    @classmethod
    def command(
        cls, name: str, *, http: str, scope: str, title: tuple[str, str], **details: Any
    ) -> Callable[[Callable[["Context", Self], A]], Callable[["Context", Self], A]]:
        """Declare the decorated handler as the command `name`; see `Operation` for the details."""
        return cls._declare("command", name, http, scope, title, details)

    @classmethod
    def query(
        cls, name: str, *, http: str, scope: str, title: tuple[str, str], **details: Any
    ) -> Callable[[Callable[["Context", Self], A]], Callable[["Context", Self], A]]:
        """Declare the decorated handler as the query `name`: it reads, leaves no event and needs no key."""
        return cls._declare("query", name, http, scope, title, details)

    @classmethod
    def _declare(
        cls, kind: Literal["command", "query"], name: str, http: str, scope: str, title: tuple[str, str],
        details: Mapping[str, Any],
    ) -> Callable[[Callable[["Context", Self], A]], Callable[["Context", Self], A]]:  # fmt: skip
        def declare(handler: Callable[["Context", Self], A]) -> Callable[["Context", Self], A]:
            method, _, path = http.partition(" ")
            cls.operation = Operation(
                name=name, kind=kind, request=cls, answer=_answer_of(cls), handler=handler, method=method, path=path,
                scope=scope, title=title, **details,
            )  # fmt: skip
            return handler

        return declare


@dataclass(slots=True, eq=False)
class Operation:
    """A declared operation.

    `http` is "METHOD /path" under `/v1/<system>`, with `{field}` for path fields; `scope` is what the actor must hold
    ("" for everyone, signed in or not); `relation` what the actor's party must be to the object; `not_by` who may not
    (own approval); `rate` the commands a minute and actor; `confirm` asks a person twice; `phrases` feed the teller;
    `prepare(reader, tenant, request)` computes what is slow before the
    transaction (a password hash) and hands it over as `ctx.prepared`; `subject` names the field, of answer or
    request, that the event is about; `example` is a complete, valid request, for the generated tests and the API
    description.
    """

    name: str
    kind: Literal["command", "query"]
    request: type[Request[Any]]
    answer: type[Answer]
    handler: Callable[["Context", Any], Answer]
    method: str
    path: str
    scope: str
    title: tuple[str, str]
    phrases: tuple[str, ...] = ()
    confirm: bool = False
    relation: RelationRule | None = None
    not_by: RelationRule | None = None
    rate: int = 6000
    example: Mapping[str, Any] = field(default_factory=dict)
    subject: str = ""
    prepare: Callable[["UnitOfWork", str, Any], Any] | None = None
    needs_savepoint: bool = False
    locks_rows: bool = False
    hidden: frozenset[str] = frozenset()
    hidden_answer: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        system, dot, rest = self.name.partition(".")
        named = bool(dot and rest) and system.isidentifier()
        assert named, f"{self.name}: an operation is named <system>.<verb>"
        assert self.method in {"GET", "POST", "PUT", "PATCH", "DELETE"}, f"{self.name}: http says {self.method!r}"
        assert self.path.startswith("/"), f"{self.name}: http needs a path"
        assert self.kind == "command" or self.method in {"GET", "POST"}, f"{self.name}: a query is GET or POST"
        self.hidden = _marked(self.request)
        self.hidden_answer = _marked(self.answer)

    @property
    def system(self) -> str:
        """The name before the dot."""
        return self.name.partition(".")[0]

    @property
    def public(self) -> bool:
        """Open to people who are not signed in."""
        return self.scope == ""

    @property
    def summary(self) -> str:
        """The first line of the request's docstring."""
        return (self.request.__doc__ or self.title[0]).strip().splitlines()[0]


def _answer_of(request: type[Request[Any]]) -> type[Answer]:
    for base in request.__mro__:
        arguments = getattr(base, "__pydantic_generic_metadata__", {}).get("args")
        if arguments and isinstance(arguments[0], type) and issubclass(arguments[0], Answer):
            return arguments[0]
    raise TypeError(f"{request.__name__} must derive from Request[ItsAnswer]")


def _marked(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(
        name
        for name, info in model.model_fields.items()
        if any(isinstance(mark, _Mark) for mark in info.metadata) or _holds_mark(info.annotation, {model})
    )


def _holds_mark(annotation: Any, seen: set[Any]) -> bool:
    # `Personal[str] | None`, lists and nested models: a mark anywhere inside hides the whole field.
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in seen:
            return False
        seen.add(annotation)
        return any(
            any(isinstance(mark, _Mark) for mark in info.metadata) or _holds_mark(info.annotation, seen)
            for info in annotation.model_fields.values()
        )
    return any(isinstance(part, _Mark) or _holds_mark(part, seen) for part in _parts(annotation))


def _parts(annotation: Any) -> tuple[Any, ...]:
    return (*get_args(annotation), *getattr(annotation, "__metadata__", ()))
