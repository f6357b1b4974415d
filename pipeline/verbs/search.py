"""Arguments of `flowers search`."""

import argparse

from pipeline.arguments import add_root, add_version
from pipeline.exit_status import ExitStatus


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    search = verbs.add_parser(
        "search", help="find the photographs most similar to an image",
        description="Finds the photographs of an index that are most similar to each QUERY, by exact cosine similarity of the "
        "champion's vectors.")  # fmt: skip
    search.add_argument("queries", metavar="QUERY", nargs="+", help="an image file")
    search.add_argument("--index", required=True, metavar="FILE", help="what `flowers embed` wrote")
    search.add_argument("--top", type=int, default=10, metavar="K", help="matches for each query (default: %(default)s)")
    search.add_argument("--page", metavar="FILE.html", help="also write the matches as pictures on a self-contained page")
    add_version(search)
    add_root(search)
    search.set_defaults(verb=_search)


def _search(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import embedding_command

    return embedding_command.search(
        parsed.queries, parsed.index, parsed.top, parsed.page, parsed.root, parsed.registered_version, parsed.name)  # fmt: skip
