"""Names that come from anywhere, as text for people."""


def visible(name: str) -> str:
    """`name` with every character that does not print as an escape: a file name must not steer a terminal or reorder a line."""
    return "".join(character if character.isprintable() else character.encode("unicode_escape").decode() for character in name)
