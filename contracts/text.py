"""Untrusted names, such as those of files and classes, as text that is safe to show."""

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


def cell(name: str) -> str:
    """A name as it may stand in a CSV file: `visible`, and with an apostrophe before it if it looked like a formula."""
    shown = visible(name)
    return f"'{shown}" if unicodedata.normalize("NFKC", shown[:1]) in FORMULA else shown


def _spelt_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
