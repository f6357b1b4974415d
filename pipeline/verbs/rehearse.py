"""Arguments of `flowers rehearse`."""

import argparse

from pipeline.arguments import EXIT_STATUSES, add_root
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    rehearse = verbs.add_parser(
        "rehearse", help="run a compiled pipeline on this machine", formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Runs a file of `flowers compile` on this machine, task by task.", epilog=EXIT_STATUSES)  # fmt: skip
    rehearse.add_argument("file", metavar="FILE", help="what `flowers compile` wrote")
    rehearse.add_argument("--data", metavar="DIR", help="the folder that stands for the gs:// folder of photographs")
    rehearse.add_argument("--in-image", metavar="IMAGE",
                          help="run the tasks in containers of this image, by docker, podman or buildah")  # fmt: skip
    add_root(rehearse)
    rehearse.set_defaults(verb=_rehearse)


def _rehearse(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import rehearse_command

    return rehearse_command.rehearse(parsed.file, parsed.data, Layout.at(parsed.root), parsed.in_image)
