"""Arguments of `flowers embed`."""

import argparse

from pipeline import completers
from pipeline.arguments import add_root, add_version
from pipeline.exit_status import ExitStatus


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    embed = verbs.add_parser(
        "embed", help="turn images into vectors by the champion",
        description="Writes the vectors of all images of SOURCE by the champion of the registry, with their paths and content "
        "hashes. Images that cannot be read are listed and left out.")  # fmt: skip
    embed.add_argument(
        "source", metavar="SOURCE", help="a folder of any layout, an image, tfds:NAME or synthetic").completer = completers.sources  # fmt: skip
    embed.add_argument("-o", "--output", required=True, metavar="FILE", help="FILE.parquet, or FILE.npy for millions of images")
    add_version(embed)
    add_root(embed)
    embed.set_defaults(verb=_embed)


def _embed(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import embedding_command

    return embedding_command.embed(parsed.source, parsed.output, parsed.root, parsed.registered_version, parsed.name)
