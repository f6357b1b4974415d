"""Text for people: untrusted names, such as those of files and classes, made safe to show; and shares as percentages."""

import unicodedata

# Unicode's categories of what hides, steers a terminal, turns the direction of a line or ends it.
HIDDEN = ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")
# Joiners and non-joiners, with which emoji and some scripts are written: they change no direction and hide nothing.
HARMLESS = ("\u200c", "\u200d")
# What a spreadsheet takes as the beginning of a formula (OWASP, CSV Injection), and full-width forms of the same by NFKC.
FORMULA = ("=", "+", "-", "@")


def visible(text: str) -> str:
    """`text` with every character that would not show as itself spelt out, such as `\\x1b` or `\\u202e`."""
    return "".join(_spelt_out(one) if unicodedata.category(one) in HIDDEN and one not in HARMLESS else one for one in text)


def percent(share: float, digits: int = 1) -> str:
    """A share in [0, 1] as it is written everywhere, such as `76.6 %`: with a space, as ISO 80000-1 (7.3.3) has it."""
    return f"{100 * share:.{digits}f} %"


def points(difference: float) -> str:
    """A difference of two shares in percentage points, always with its sign: `+1.5`, `−0.3` (U+2212), `+0.0`."""
    shown = f"{abs(100 * difference):.1f}"
    return f"{'−' if difference < 0 and float(shown) else '+'}{shown}"


def printable(name: str) -> str:
    """A file name as valid UTF-8: invalid bytes appear as `\\xNN`, so that report and records can hold any name."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def cell(name: str) -> str:
    """A name as it may stand in a CSV file: `visible`, and with an apostrophe before it if it looked like a formula."""
    shown = visible(name)
    return f"'{shown}" if unicodedata.normalize("NFKC", shown[:1]) in FORMULA else shown


def _spelt_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
