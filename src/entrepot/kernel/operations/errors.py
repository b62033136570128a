"""Refusals: what a person or a program caused, said as RFC 9457 problem documents in two languages."""

from typing import Any, ClassVar

Title = tuple[str, str]

PROBLEM_BASE = "https://entrepot.dev/problems/"


class Refusal(Exception):
    """The operation is refused and nothing of it remains, except an event that says so.

    `code` is "<area>/<what>", stable for programs; `detail` says what was wrong, where, and what to do; `extras` are
    JSON values (figures, identifiers) that a program may use.
    """

    status: ClassVar[int] = 422
    title: ClassVar[Title] = ("Refused", "已拒绝")

    def __init__(self, code: str, detail: str, **extras: Any) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.extras = extras

    def problem(self) -> dict[str, Any]:
        """The problem document (RFC 9457), with the Chinese title as `title_zh` and the extras as members."""
        return {
            "type": PROBLEM_BASE + self.code,
            "title": self.title[0],
            "title_zh": self.title[1],
            "status": self.status,
            "detail": self.detail,
            **self.extras,
        }

    @staticmethod
    def from_problem(problem: dict[str, Any]) -> "Refusal":
        """The refusal that a stored problem document stands for."""
        known = {"type", "title", "title_zh", "status", "detail"}
        kind = _BY_STATUS.get(int(problem["status"]), Refusal)
        code = str(problem["type"]).removeprefix(PROBLEM_BASE)
        return kind(code, str(problem["detail"]), **{k: v for k, v in problem.items() if k not in known})


class BadRequest(Refusal):
    """400: the message itself cannot be read."""

    status = 400
    title = ("Malformed request", "请求格式错误")


class Unauthorised(Refusal):
    """401: nobody is signed in, or the key is unknown, expired or revoked."""

    status = 401
    title = ("Sign-in required", "需要登录")


class Forbidden(Refusal):
    """403: the actor lacks the scope, the relation, or approves an own request."""

    status = 403
    title = ("Not permitted", "没有权限")


class NotFound(Refusal):
    """404: there is no such thing in this tenant."""

    status = 404
    title = ("Not found", "未找到")


class Conflict(Refusal):
    """409: the state of things, or an earlier use of the idempotency key, forbids it."""

    status = 409
    title = ("Conflict", "状态冲突")


class TooLarge(Refusal):
    """413: the message is larger than this door takes."""

    status = 413
    title = ("Too large", "内容过大")


class Invalid(Refusal):
    """422: a field is wrong, or a business rule is not met."""

    status = 422
    title = ("Invalid", "内容无效")


class TooMany(Refusal):
    """429: the rate limit is reached; `retry_after_s` says when to come back."""

    status = 429
    title = ("Too many requests", "请求过于频繁")


class Unavailable(Refusal):
    """503: overloaded or stopping; nothing was done, the same key may be sent again."""

    status = 503
    title = ("Try again", "请稍后重试")


_BY_STATUS: dict[int, type[Refusal]] = {
    kind.status: kind
    for kind in (BadRequest, Unauthorised, Forbidden, NotFound, Conflict, TooLarge, Invalid, TooMany, Unavailable)
}
