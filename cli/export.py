"""`flowers export`: what it prints, and its exit status."""

import argparse
import os
from typing import TYPE_CHECKING

from cli import arguments
from cli.arguments import ExitStatus, add_root, add_version, examples
from cli.terminal import counting, list_unreadable, mistakes, say, terminal
from contracts.layout import Layout
from contracts.text import percent, points
from pipeline import preconditions

if TYPE_CHECKING:
    from inference.export import Exported

# As inference.export_formats.FORMATS and inference.export.INT8, which are heavy to import.
FORMATS = ("saved_model", "keras", "onnx", "litert")
INT8 = "int8"


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    exporting = verbs.add_parser(
        "export", help="write the champion for another runtime",
        description="Writes the champion in another format, and proves in that format's own runtime, on 100 photographs, that it "
        "computes the same: only then the file appears. PATH.json beside it says what goes in and comes out.",
        **examples("onnx -o champion.onnx --probe", "litert -o champion.tflite --quantize int8 --photographs FOLDER"))  # fmt: skip
    exporting.add_argument("format", metavar="FORMAT", choices=FORMATS, help="saved_model (a folder), keras, onnx or litert")
    exporting.add_argument("-o", "--output", required=True, metavar="PATH",
                           help="a new folder for saved_model, else a file: .keras, .onnx or .tflite")  # fmt: skip
    exporting.add_argument("--probe", action="store_true",
                           help="calibrated probabilities of the classes come out, instead of the vector")  # fmt: skip
    exporting.add_argument("--quantize", choices=(INT8,), metavar="INT8",
                           help="int8: of litert, a quarter of the size; what it costs is measured and printed")  # fmt: skip
    exporting.add_argument(
        "--photographs", default="", metavar="SOURCE", help="prove it on photographs of SOURCE (default: synthetic flowers); "
        "--quantize needs them").completer = arguments.sources  # fmt: skip
    add_version(exporting)
    add_root(exporting)
    exporting.set_defaults(verb=_export)


def _export(parsed: argparse.Namespace) -> ExitStatus:
    """Writes the export and prints what was proven, or what 8-bit numbers cost."""
    if parsed.photographs:
        preconditions.require_any_source(parsed.photographs)
    preconditions.require_registry(Layout.at(parsed.root), parsed.registry)
    with terminal() as (out, err), mistakes(err) as status, counting(err) as progress:
        from inference.export import export

        done = export(
            parsed.format, parsed.output.rstrip(os.sep), root=parsed.root, version=parsed.registered_version, name=parsed.name,
            registry=parsed.registry, unverified=parsed.unverified, probe=parsed.probe, photographs=parsed.photographs,
            quantize=parsed.quantize or "",
            on_unreadable=lambda one: list_unreadable(progress, one))  # fmt: skip
        for line in _about(done):
            say(out, line)
    return status[0]


def _about(done: "Exported") -> list[str]:
    lines = [f"Version {done.version} for {done.reads}, {done.size / 1e6:,.1f} MB, {1000 * done.seconds:.1f} ms an image here: "
             f"{done.path}"]  # fmt: skip
    if done.cost is None:
        return [*lines, f"Proven on {done.photographs:,} photographs: the largest difference is {done.difference:.1g}"]
    cost = done.cost
    lines.append(f"Of {cost.photographs:,} other photographs {percent(cost.same_class)} keep their most probable class")
    if cost.accuracy is not None:
        lines.append(f"Accuracy on the {cost.labelled:,} whose class is known: {points(cost.accuracy)} points "
                     f"(95 % interval {points(cost.low)} to {points(cost.high)})")  # fmt: skip
    return lines
