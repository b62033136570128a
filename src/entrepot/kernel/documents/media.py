"""Which kinds of files are taken, and whether bytes are what they are said to be. Pure."""

import json

MEDIA_TYPES = ("application/json", "application/pdf", "application/zip", "image/jpeg", "image/png", "text/plain")
_STARTS = {
    "application/pdf": (b"%PDF-",),
    "application/zip": (b"PK\x03\x04", b"PK\x05\x06"),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
}
_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\r\f")


def looks_like(content: bytes, media_type: str) -> bool:
    """Whether the content begins, or for text and JSON reads, as its media type says.

    >>> looks_like(b"%PDF-1.7", "application/pdf"), looks_like(b"<html>", "application/pdf")
    (True, False)
    """
    if media_type in _STARTS:
        return content.startswith(_STARTS[media_type])
    if media_type not in MEDIA_TYPES:
        return False
    try:
        text = content.decode("utf-8")
        if media_type == "application/json":
            json.loads(text)
    except (ValueError, RecursionError):
        return False
    return not _CONTROLS.intersection(content)
