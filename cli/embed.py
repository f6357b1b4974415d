"""`flowers embed` and `flowers search`: what they print, and their exit status."""

import argparse

import rich.text
from rich.table import Table

from cli import arguments
from cli.arguments import ExitStatus, add_listing, add_root, add_version, examples, listing_of
from cli.terminal import counting, list_unreadable, mistakes, say, say_left_out, terminal
from contracts.layout import Layout
from contracts.text import visible
from pipeline import preconditions


def add(verbs) -> None:
    """Adds both verbs to what `argparse.ArgumentParser.add_subparsers` returned."""
    embedding = verbs.add_parser(
        "embed", help="compute the champion's vectors (embeddings) of images",
        description="Writes the vectors (embeddings) of all images of SOURCE by the champion of the registry, with their paths "
        "and content hashes. Images that cannot be read are listed and left out.",
        **examples("FOLDER -o photographs.parquet", "FOLDER -o photographs.parquet --update"))  # fmt: skip
    embedding.add_argument(
        "source", metavar="SOURCE", help="a folder of any layout, an image, tfds:NAME or synthetic"
    ).completer = arguments.sources
    embedding.add_argument("-o", "--output", required=True, metavar="FILE", help="FILE.parquet, or FILE.npy for millions of images")
    embedding.add_argument("--update", action="store_true",
                           help="keep the vectors that FILE has of unchanged files; the result is the same, sooner")  # fmt: skip
    add_listing(embedding)
    add_version(embedding)
    add_root(embedding)
    embedding.set_defaults(verb=_embed)

    searching = verbs.add_parser(
        "search", help="find the photographs most similar to an image",
        description="Finds the photographs of an index that are most similar to each QUERY, by exact cosine similarity of the "
        "champion's vectors, as seen from their mean: 1 is the same, 0 no more alike than any two.",
        **examples("rose.jpg --index photographs.parquet", "*.jpg --index photographs.parquet --top 3 --page nearest.html"))  # fmt: skip
    searching.add_argument("queries", metavar="QUERY", nargs="+", help="an image file")
    searching.add_argument("--index", required=True, metavar="FILE", help="what `flowers embed` wrote")
    searching.add_argument("--top", type=int, default=10, metavar="K", help="matches for each query (default: %(default)s)")
    searching.add_argument("--page", metavar="FILE.html", help="also write the matches as pictures on a self-contained page")
    add_version(searching)
    add_root(searching)
    searching.set_defaults(verb=_search)


def _embed(parsed: argparse.Namespace) -> ExitStatus:
    """Writes an index, lists on standard error the images that were left out, and prints the images embedded a second."""
    preconditions.require_any_source(parsed.source)
    preconditions.require_registry(Layout.at(parsed.root), parsed.registry)
    with terminal() as (out, err), mistakes(err) as status, counting(err) as progress:
        import inference

        task = progress.add_task("", total=None)
        done = inference.embed(
            parsed.source, parsed.output, root=parsed.root, version=parsed.registered_version, name=parsed.name,
            registry=parsed.registry, unverified=parsed.unverified, **listing_of(parsed), update=parsed.update,
            on_unreadable=lambda one: list_unreadable(progress, one),
            on_progress=lambda count: progress.update(task, completed=count))  # fmt: skip
        say(out, f"{done.images:,} images embedded by version {done.version}, {done.embedding_size:,} numbers each: "
                 f"{parsed.output}")  # fmt: skip
        if parsed.update:
            say(out, f"{done.images - done.kept:,} new, {done.kept:,} kept, {done.gone:,} gone")
        say_left_out(out, done.unreadable)
        say(out, f"{done.seconds:.1f} s, {done.images / done.seconds:.1f} images/s")
    return status[0]


def _search(parsed: argparse.Namespace) -> ExitStatus:
    """Prints a table of matches for each query, and writes the page if --page is given."""
    preconditions.require_search(parsed.queries, parsed.index)
    preconditions.require_registry(Layout.at(parsed.root), parsed.registry)
    preconditions.require_page(parsed.page)
    with terminal() as (out, err), mistakes(err) as status:
        import inference

        opened = inference.open_index(parsed.index)
        matches = inference.search(
            parsed.queries, opened, top=parsed.top, root=parsed.root, version=parsed.registered_version, name=parsed.name,
            registry=parsed.registry, unverified=parsed.unverified)  # fmt: skip
        for query, found in zip(parsed.queries, matches, strict=True):
            table = Table(title=rich.text.Text(visible(query)), title_justify="left")
            table.add_column("", justify="right")
            table.add_column("similarity", justify="right")
            table.add_column("photograph", overflow="fold")
            for rank, match in enumerate(found, start=1):
                table.add_row(str(rank), f"{match.similarity:.3f}", rich.text.Text(visible(match.path)))
            out.print(table)
        if parsed.page:
            from inference import contact_sheet

            contact_sheet.write(parsed.page, parsed.queries, matches, opened.header, parsed.root)
            say(out, f"The same as pictures: {parsed.page}")
    return status[0]
