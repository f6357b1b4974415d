"""Numbers and untrusted names as text. The filters of the page's template; pure."""

import unicodedata

# Characters of a name that are shown: a path may have 4,096.
LONGEST = 80
# Format characters that emoji and some scripts are written with: joiners and non-joiners change no direction and hide nothing.
HARMLESS = {"\u200c", "\u200d"}


def name(text: object) -> str:
    """A file's or class's name as it may stand in a page: what is invisible or turns the direction is spelt out, the middle of
    what is too long is left out.

    Escaping for HTML is not done here: the template escapes everything.
    """
    text = str(text)
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]}…{text[-LONGEST // 2 + 1 :]}"
    return "".join(_visible(character) for character in text)


def sentence(text: object) -> str:
    """A sentence of ours that may hold such names: in full, with the same characters spelt out."""
    return "".join(_visible(character) for character in str(text))


def _visible(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp") and character not in HARMLESS
    return f"\\u{ord(character):04x}" if hidden else character


def percent(share: float | None, digits: int = 1) -> str:
    """A share in [0, 1]; what was not measured is a dash."""
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float) -> str:
    """A difference of shares, with its sign: percentage points."""
    return f"{'+' if difference >= 0 else '−'}{abs(100 * difference):.1f}"


def count(number: float | None) -> str:
    return "–" if number is None else f"{number:,.0f}".replace(",", "\u202f")


def decimal(number: float | None, digits: int = 3) -> str:
    return "–" if number is None else f"{number:.{digits}f}".replace("-", "−")


def duration(seconds: float | None) -> str:
    """Seconds as people say them."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


FILTERS = {function.__name__: function for function in (name, sentence, percent, points, count, decimal, duration)}
