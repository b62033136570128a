"""Which fields are sensitive, what they rest on, and what a commitment is. Pure.

Sources: Personal Information Protection Law of the People's Republic of China (个人信息保护法, 2021): article 6 purpose
limitation, 13 legal bases, 15 withdrawal, 19 retention, 28 and 29 sensitive information and separate consent, 45 copy,
47 deletion.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Literal

Category = Literal["", "face", "voice", "identity"]
CATEGORIES: tuple[Category, ...] = ("", "face", "voice", "identity")

# What a field is told by: its own name, or the part before the first dot ("face.template").
_SENSITIVE: Mapping[str, Category] = {
    "face": "face",
    "face_image": "face",
    "face_template": "face",
    "voice": "voice",
    "voice_print": "voice",
    "voice_recording": "voice",
    "identity_paper": "identity",
    "identity_card_image": "identity",
    "passport_image": "identity",
}

# A duty laid down by law needs no consent (article 13, first paragraph, item 3); neither may it serve anything else.
LEGAL_DUTIES: Mapping[str, tuple[str, str]] = {
    "customer-due-diligence": ("Anti-Money Laundering Law, customer due diligence", "反洗钱法 客户尽职调查"),
    "real-name-tax": ("Tax Collection Administration Law, real-name tax matters", "税收征收管理法 实名办税"),
}

SALT_BYTES = 32
FIELD = re.compile(r"[a-z][a-z0-9_]{0,47}(\.[a-z0-9_]{1,48})?")
PURPOSE = re.compile(r"[a-z][a-z0-9-]{0,47}")
MAX_VALUE_CHARACTERS = 1_000_000


def category_of(field: str) -> Category:
    """The category that a field's separate consent is asked for; "" for a field that needs none.

    >>> category_of("face.template"), category_of("name")
    ('face', '')
    """
    return _SENSITIVE.get(field.partition(".")[0], "")


def needs_separate_consent(field: str, purpose: str) -> bool:
    """Whether the field may be kept for the purpose only with the person's separate consent (article 29)."""
    return bool(category_of(field)) and purpose not in LEGAL_DUTIES


def commitment_of(tenant: str, person: str, field: str, purpose: str, salt: bytes, value: str) -> str:
    """SHA-256, hexadecimal, over the length-prefixed parts; hiding as long as the 32 random bytes of salt are secret.

    Lengths are eight bytes, most significant first, so that no two lists of parts give the same text.
    """
    digest = hashlib.sha256(b"entrepot/commitment/1")
    for part in (tenant.encode(), person.encode(), field.encode(), purpose.encode(), salt, value.encode()):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
