"""Untrusted names, such as those of files and classes, as text that is safe to show."""

import unicodedata

# Unicode's categories of what hides, steers a terminal, turns the direction of a line or ends it.
HIDDEN = ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp")
# Joiners and non-joiners, with which emoji and some scripts are written: they change no direction and hide nothing.
HARMLESS = ("\u200c", "\u200d")


def visible(text: str) -> str:
    """`text` with every character that would not show as itself spelt out, such as `\\x1b` or `\\u202e`."""
    return "".join(_spelt_out(one) if unicodedata.category(one) in HIDDEN and one not in HARMLESS else one for one in text)


def _spelt_out(character: str) -> str:
    return character.encode("unicode_escape").decode()
