"""Finds what looks like a card number, so that a request that holds one is refused before anything of it is kept.

Invariant: a number of 13 to 19 digits with a valid check digit (ISO/IEC 7812-1, annex B), beginning as payment cards do, is
found wherever it stands: alone or within a text, with blanks, line ends, dashes, control or invisible characters between the
digits, in digits of any script, also raised, circled or full-width ones.

Left alone, because they would be refused by chance and are no cards: numbers that begin with 0, 1, 20, 21, 28 or 29, where no
card network issues (so timestamps in milliseconds, microseconds or as 20261123… pass); the digits of a UUID; and those of a
hexadecimal digest or trace id (32, 40, 64 or 128 characters, at least one of them a letter). One in about twenty other numbers
of 13 to 19 digits looks like a card by chance and is refused: an id made of digits alone should carry a letter.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import accumulate

MIN_DIGITS = 13
MAX_DIGITS = 19

_SEPARATORS = r"\x00-\x20\x7f\-._/"
_LONG_ENOUGH = re.compile(rf"[0-9](?:[{_SEPARATORS}]{{0,2}}[0-9]){{{MIN_DIGITS - 1}}}")
_CANDIDATE = re.compile(rf"[0-9](?:[{_SEPARATORS}]{{0,2}}[0-9]){{{MIN_DIGITS - 1},}}")
_GROUP = re.compile(r"[0-9]+")
_HARMLESS = re.compile(
    r"(?<![0-9A-Za-z])(?:"
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"
    r"|(?=[0-9]*[a-fA-F])(?:[0-9a-fA-F]{128}|[0-9a-fA-F]{64}|[0-9a-fA-F]{40}|[0-9a-fA-F]{32})"
    r")(?![0-9A-Za-z])"
)
_BEGINS_LIKE_A_CARD = re.compile(r"2[2-7]|[345689]")
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


class _Plain(dict[int, str]):
    """For `str.translate`: what a sign beyond ASCII is to a reader of digits."""

    def __missing__(self, code: int) -> str:
        sign = chr(code)
        match unicodedata.category(sign):
            case "Nd":
                return str(unicodedata.decimal(sign))
            case "Zs" | "Zl" | "Zp" | "Pd" | "Pc" | "Cc":
                return " "
            case "Cf" | "Mn" | "Me":  # invisible, or drawn over the sign before it
                return ""
        return "-" if sign == _MINUS else sign


_MINUS = "\u2212"
_PLAIN = _Plain({code: chr(code) for code in range(128)})


def _any_window(groups: list[str]) -> bool:
    """Try every run of whole groups: a card may stand beside its expiry date."""
    digits = "".join(groups)
    sums = _prefix_sums(digits)
    ends = list(accumulate(len(group) for group in groups))
    first_end = 0
    for start in (0, *ends[:-1]):
        if _BEGINS_LIKE_A_CARD.match(digits, start) is None:
            continue
        while first_end < len(ends) and ends[first_end] - start < MIN_DIGITS:
            first_end += 1
        for end in ends[first_end : first_end + MAX_DIGITS]:
            if end - start > MAX_DIGITS:
                break
            of_window = sums[end % 2]
            if (of_window[end] - of_window[start]) % 10 == 0:
                return True
    return False


def _prefix_sums(digits: str) -> tuple[list[int], list[int]]:
    """Return the running Luhn sums for windows that end before an even, and before an odd, position."""
    values = [int(digit) for digit in digits]
    return (
        list(accumulate((v if at % 2 else _DOUBLED[v] for at, v in enumerate(values)), initial=0)),
        list(accumulate((_DOUBLED[v] if at % 2 else v for at, v in enumerate(values)), initial=0)),
    )


def holds_card_number(text: str) -> bool:
    """Tell whether something in the text looks like a card number."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text).translate(_PLAIN)
    if _LONG_ENOUGH.search(text) is None:
        return False
    candidates = _CANDIDATE.finditer(_HARMLESS.sub(" x ", text))
    return any(_any_window(_GROUP.findall(candidate[0])) for candidate in candidates)
