"""`flowers embed` and `flowers search`: what they print, and their exit status."""

import argparse
from collections.abc import Sequence

import rich.text
from rich.table import Table

from cli import arguments, preconditions
from cli.arguments import ExitStatus, add_root, add_version, examples
from cli.terminal import counting, list_unreadable, mistakes, say, say_left_out, terminal
from contracts.layout import Layout
from contracts.text import visible


def add(verbs) -> None:
    """Adds both verbs to what `argparse.ArgumentParser.add_subparsers` returned."""
    embedding = verbs.add_parser(
        "embed", help="compute the champion's vectors (embeddings) of images",
        description="Writes the vectors (embeddings) of all images of SOURCE by the champion of the registry, with their paths "
        "and content hashes. Images that cannot be read are listed and left out.",
        **examples("FOLDER -o photographs.parquet", "FOLDER -o photographs.npy --version 3"))  # fmt: skip
    embedding.add_argument(
        "source", metavar="SOURCE", help="a folder of any layout, an image, tfds:NAME or synthetic").completer = arguments.sources  # fmt: skip
    embedding.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="FILE.parquet, or FILE.npy for millions of images"
    )
    add_version(embedding)
    add_root(embedding)
    embedding.set_defaults(verb=_embed)

    searching = verbs.add_parser(
        "search", help="find the photographs most similar to an image",
        description="Finds the photographs of an index that are most similar to each QUERY, by exact cosine similarity of the "
        "champion's vectors.",
        **examples("rose.jpg --index photographs.parquet", "*.jpg --index photographs.parquet --top 3 --page nearest.html"))  # fmt: skip
    searching.add_argument("queries", metavar="QUERY", nargs="+", help="an image file")
    searching.add_argument("--index", required=True, metavar="FILE", help="what `flowers embed` wrote")
    searching.add_argument("--top", type=int, default=10, metavar="K", help="matches for each query (default: %(default)s)")
    searching.add_argument("--page", metavar="FILE.html", help="also write the matches as pictures on a self-contained page")
    add_version(searching)
    add_root(searching)
    searching.set_defaults(verb=_search)


def _embed(parsed: argparse.Namespace) -> ExitStatus:
    preconditions.require_any_source(parsed.source)
    preconditions.require_registry(Layout.at(parsed.root))
    return embed(parsed.source, parsed.output, parsed.root, parsed.registered_version, parsed.name)


def _search(parsed: argparse.Namespace) -> ExitStatus:
    preconditions.require_search(parsed.queries, parsed.index)
    preconditions.require_registry(Layout.at(parsed.root))
    return search(
        parsed.queries, parsed.index, parsed.top, parsed.page, parsed.root, parsed.registered_version, parsed.name)  # fmt: skip


def embed(source: str, output: str, root: str, version: str, name: str) -> ExitStatus:
    """Writes an index, lists on standard error the images that were left out, and prints the images embedded a second."""
    with terminal() as (out, err), mistakes(err) as status, counting(err) as progress:
        import inference

        task = progress.add_task("", total=None)
        done = inference.embed(
            source, output, root=root, version=version, name=name, on_unreadable=lambda one: list_unreadable(progress, one),
            on_progress=lambda count: progress.update(task, completed=count))  # fmt: skip
        say(out, f"{done.images:,} images embedded by version {done.version}, {done.embedding_size:,} numbers each: {output}")
        say_left_out(out, done.unreadable)
        say(out, f"{done.seconds:.1f} s, {done.images / done.seconds:.1f} images/s")
    return status[0]


def search(queries: Sequence[str], index: str, top: int, page: str | None, root: str, version: str, name: str) -> ExitStatus:
    """Prints a table of matches for each query, and writes the page if `page` is given."""
    with terminal() as (out, err), mistakes(err) as status:
        import inference

        opened = inference.open_index(index)
        matches = inference.search(queries, opened, top=top, root=root, version=version, name=name)
        for query, found in zip(queries, matches, strict=True):
            table = Table(title=rich.text.Text(visible(query)), title_justify="left")
            table.add_column("", justify="right")
            table.add_column("similarity", justify="right")
            table.add_column("photograph", overflow="fold")
            for rank, match in enumerate(found, start=1):
                table.add_row(str(rank), f"{match.similarity:.3f}", rich.text.Text(visible(match.path)))
            out.print(table)
        if page:
            from inference import contact_sheet

            contact_sheet.write(page, queries, matches, opened.header, root)
            say(out, f"The same as pictures: {page}")
    return status[0]
