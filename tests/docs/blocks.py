"""Fenced blocks of a Markdown page, and the commands in `console` blocks with what they must print."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Block:
    """A fenced block: the words after the fence, the lines between, and the line where it begins."""

    info: tuple[str, ...]
    text: str
    line: int

    @property
    def kind(self) -> str:
        return self.info[0] if self.info else ""

    def option(self, name: str) -> str:
        """The value of `name=value` in the fence, or ""."""
        return next((word.partition("=")[2] for word in self.info if word.startswith(f"{name}=")), "")


@dataclass
class Command:
    """A command, the lines that its output must hold in this order, and its exit status."""

    text: str
    expected: list[str] = field(default_factory=list)
    status: int = 0


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    found: list[Block] = []
    info: tuple[str, ...] | None = None
    lines: list[str] = []
    begun = 0
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("```"):
            lines.append(line)
        elif info is None:
            info, lines, begun = tuple(line[3:].split()), [], number
        else:
            found.append(Block(info, "\n".join(lines) + "\n", begun))
            info = None
    assert info is None, f"{page.name}: the block of line {begun} has no end"
    return found


def commands(block: Block) -> list[Command]:
    """Lines after `$ ` are commands; the others what is printed; `(exit status N)` how it ends; `…` stands for more."""
    found: list[Command] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif line.startswith("(exit status "):
            found[-1].status = int(line.removeprefix("(exit status ").removesuffix(")"))
        elif line.strip() not in ("", "…"):
            found[-1].expected.append(line.strip())
    return found
