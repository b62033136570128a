"""Files under their SHA-256 in a folder: `ab/cd/<digest>`. A file is there whole or not at all."""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

_DIGEST = re.compile(r"[0-9a-f]{64}")


class Store:
    """A folder of content-addressed files. Safe for several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, digest: str) -> Path:
        """Where the file of a digest lies."""
        assert _DIGEST.fullmatch(digest), "a digest is 64 hexadecimal digits"
        return self.folder / digest[:2] / digest[2:4] / digest

    def put(self, content: bytes) -> str:
        """Keep the content, on the disk when this returns; its digest. The same content is kept once.

        The bytes go to a file of another name first, are flushed, and take their name by a rename: a crash leaves at
        most a file that nothing refers to. A file of the name that was damaged is replaced.
        """
        digest = hashlib.sha256(content).hexdigest()
        path = self.path(digest)
        if self.get(digest) is not None:
            return digest
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{digest[:16]}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        for folder in (path.parent, path.parent.parent, self.folder):
            _sync(folder)  # the names, too, must survive a power cut
        return digest

    def get(self, digest: str) -> bytes | None:
        """The content, None when the file is missing or is no longer what its name says."""
        try:
            content = self.path(digest).read_bytes()
        except OSError:
            return None
        return content if hashlib.sha256(content).hexdigest() == digest else None

    def remnants(self) -> Iterator[Path]:
        """Temporary files that a crash left."""
        return (file for file in self.folder.glob("??/??/.*") if file.is_file())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
