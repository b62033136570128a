"""Currencies and their minor units (ISO 4217, list one)."""

from entrepot.kernel.operations.errors import Invalid

MINOR_UNITS = {
    "AED": 2, "AUD": 2, "BHD": 3, "BRL": 2, "CAD": 2, "CHF": 2, "CLP": 0, "CNY": 2, "CZK": 2, "DKK": 2, "EUR": 2,
    "GBP": 2, "HKD": 2, "HUF": 2, "IDR": 2, "ILS": 2, "INR": 2, "IQD": 3, "ISK": 0, "JOD": 3, "JPY": 0, "KGS": 2,
    "KRW": 0, "KWD": 3, "KZT": 2, "LAK": 2, "LYD": 3, "MMK": 2, "MNT": 2, "MOP": 2, "MXN": 2, "MYR": 2, "NOK": 2,
    "NPR": 2, "NZD": 2, "OMR": 3, "PHP": 2, "PKR": 2, "PLN": 2, "QAR": 2, "RUB": 2, "SAR": 2, "SEK": 2, "SGD": 2,
    "THB": 2, "TJS": 2, "TMT": 2, "TND": 3, "TRY": 2, "TWD": 2, "USD": 2, "UZS": 2, "VND": 0, "XAF": 0, "XOF": 0,
    "ZAR": 2,
}  # fmt: skip
"""Decimal places by currency code."""


def minor_units(currency: str) -> int:
    """Decimal places of a currency. Raises Invalid for one that is not listed."""
    try:
        return MINOR_UNITS[currency]
    except KeyError:
        raise Invalid("currency/unknown", f"The currency {currency!r} is not known here.", currency=currency) from None


def format_amount(amount_minor: int, currency: str) -> str:
    """An amount in minor units for a person to read.

    >>> format_amount(-123456789, "CNY"), format_amount(5, "KWD"), format_amount(1200, "JPY")
    ('-1,234,567.89 CNY', '0.005 KWD', '1,200 JPY')
    """
    places = minor_units(currency)
    whole, rest = divmod(abs(amount_minor), 10**places)
    decimals = f".{rest:0{places}d}" if places else ""
    return f"{'-' if amount_minor < 0 else ''}{whole:,}{decimals} {currency}"


def parse_amount(text: str, currency: str) -> int:
    """Minor units of a decimal number as a person or a bank file writes it. Raises Invalid, never rounds.

    >>> parse_amount("1,234.5", "CNY")
    123450
    """
    places = minor_units(currency)
    sign, digits = (-1, text.strip()[1:]) if text.strip().startswith("-") else (1, text.strip())
    whole, _, rest = digits.replace(",", "").partition(".")
    well_formed = (whole + rest).isascii() and whole.isdigit() and (rest.isdigit() or not rest)
    if not well_formed or len(rest.rstrip("0")) > places:
        raise Invalid("currency/amount", f"{text!r} is no amount with at most {places} decimal places.")
    return sign * int(whole + rest.rstrip("0").ljust(places, "0"))
