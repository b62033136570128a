"""The journal of a worker that will be killed: what was asked and what was answered, outside of the database.

A line `>` names a command before it is sent, a line `<` its answer, a line `~` the number of a reading that was
acknowledged. Each is on the disk before the worker goes on, so that the journal is the truth about what was promised.
"""

import json
import os
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NO_ANSWER = frozenset({401, 403, 429, 500, 503})
"""Statuses that promise nothing: the same key may be sent again and is then decided."""


@dataclass(slots=True)
class Promise:
    """A command by its key, with every answer it was ever given that counts: status and JSON.

    `orphan` says that the worker which was asked first gave no answer.
    """

    key: str
    person: str
    operation: str
    body: str
    answers: list[tuple[int, Any]] = field(default_factory=list)
    orphan: bool = False

    def add(self, status: int, text: str) -> None:
        """Take down an answer, if it is one."""
        if status not in NO_ANSWER:
            self.answers.append((status, json.loads(text)))

    @property
    def done(self) -> bool:
        """Whether it was answered that it happened."""
        return any(status == 200 for status, _ in self.answers)


class Journal:
    """The file of one worker, appended to."""

    def __init__(self, folder: Path, worker: int) -> None:
        self._out = (folder / f"journal-{worker:04}.jsonl").open("ab", buffering=0)
        self._lock = threading.Lock()

    def write(self, kind: str, key: str, **more: Any) -> None:
        """One line, durable when this returns."""
        line = json.dumps({"kind": kind, "key": key, **more}, ensure_ascii=False).encode() + b"\n"
        with self._lock:
            self._out.write(line)
            os.fsync(self._out.fileno())


def read(folder: Path) -> tuple[dict[str, Promise], set[int]]:
    """Every promise by key, and the acknowledged readings, of all workers in the order of their numbers."""
    promises: dict[str, Promise] = {}
    readings: set[int] = set()
    for file in sorted(folder.glob("journal-*.jsonl")):
        for line in file.read_bytes().split(b"\n")[:-1]:  # what follows the last end of line was never finished
            entry = json.loads(line)
            if entry["kind"] == ">":
                fields = {name: entry[name] for name in ("key", "person", "operation", "body")}
                promises.setdefault(entry["key"], Promise(**fields))
            elif entry["kind"] == "~":
                readings.add(int(entry["key"]))
            else:
                promises[entry["key"]].add(entry["status"], entry["json"])
        for promise in promises.values():
            promise.orphan |= not promise.answers
    return promises, readings
