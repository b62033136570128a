"""Check digits of the identifiers that businesses and people are known by."""

from datetime import date

from entrepot.kernel.operations.errors import Invalid

CREDIT_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
CREDIT_WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
IDENTITY_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
IDENTITY_CHECKS = "10X98765432"


def credit_code(text: str) -> str:
    """A unified social credit code (统一社会信用代码, GB 32100-2015), checked and in capitals.

    Eighteen characters without I, O, S, V, Z; the last is 31 minus the weighted sum modulo 31. Raises Invalid.
    """
    code = text.strip().upper()
    if len(code) != 18:
        raise Invalid("party/credit-code-length", f"A credit code has 18 characters, not {len(code)}.")
    for place, character in enumerate(code, start=1):
        if character not in CREDIT_ALPHABET:
            raise Invalid("party/credit-code-character", f"Character {place} ({character!r}) occurs in no credit code.")
    if not code[2:8].isdigit():
        raise Invalid("party/credit-code-region", "Characters 3 to 8 of a credit code are the digits of a division.")
    if code[17] != credit_check(code[:17]):
        raise Invalid("party/credit-code-check", "The last character does not fit the others: one was mistyped.")
    return code


def credit_check(body: str) -> str:
    """The check character of the first 17 characters of a credit code (GB 32100-2015)."""
    total = sum(CREDIT_ALPHABET.index(c) * w for c, w in zip(body, CREDIT_WEIGHTS, strict=True))
    return CREDIT_ALPHABET[(31 - total % 31) % 31]


def identity_number(text: str) -> str:
    """A resident identity number (公民身份号码, GB 11643-1999), checked. Raises Invalid, never quoting the number."""
    number = text.strip().upper()
    if len(number) != 18:
        raise Invalid("party/identity-form", f"An identity number has 18 characters, not {len(number)}.")
    for place, character in enumerate(number, start=1):
        # Only ASCII: str.isdigit and a pattern's \d take full-width and Arabic digits, too.
        if character not in "0123456789" and not (place == 18 and character == "X"):
            raise Invalid("party/identity-form", f"Character {place} of the identity number is no digit.")
    if number[0] == "0":
        raise Invalid("party/identity-form", "No identity number begins with 0.")
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        raise Invalid("party/identity-date", "Characters 7 to 14 of the identity number are no date.") from None
    if number[17] != identity_check(number[:17]):
        raise Invalid("party/identity-check", "The last character does not fit the others: one was mistyped.")
    return number


def identity_check(body: str) -> str:
    """The check character of 17 digits: ISO 7064 MOD 11-2, as GB 11643-1999 applies it."""
    return IDENTITY_CHECKS[sum(int(digit) * weight for digit, weight in zip(body, IDENTITY_WEIGHTS, strict=True)) % 11]
