"""What `flowers export` writes of a registered version: prints a table of every format.

    python benchmarks/exports.py --root runs/mine --photographs FOLDER

Each export is made and proven as by the verb, in a folder that is removed afterwards; a format whose packages are missing says so.
The int8 form takes the ranges of its numbers from 100 of the photographs, and its cost is measured on up to 400 others. Sizes are
those of the embedding, without the probe. Milliseconds are the median for one photograph at a time, from pixels (of saved_model:
from the file); they depend on other work of the machine.
"""

import argparse
import os
import tempfile

from contracts import libraries

libraries.set_variables()

from contracts.text import percent, points
from inference.export import Exported, ExportRefused, export
from inference.export_formats import FORMATS


def row(name: str, done: Exported) -> str:
    """One row of the table."""
    if done.cost is None:
        agreement = f"largest difference {done.difference:.0e} on {done.photographs} photographs"
    else:
        agreement = f"{percent(done.cost.same_class)} of {done.cost.photographs} keep their class"
        if done.cost.accuracy is not None:
            agreement += (f"; accuracy {points(done.cost.accuracy)} points (95 % interval {points(done.cost.low)} to "
                          f"{points(done.cost.high)})")  # fmt: skip
    return f"| `{name}` | {done.reads} | {done.size / 1e6:.1f} MB | {1000 * done.seconds:.1f} ms | {agreement} |"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="runs", help="the DIR of the registry")
    parser.add_argument("--version", default="champion")
    parser.add_argument("--photographs", required=True, help="a source, such as the folder of the run")
    arguments = parser.parse_args()
    print("| format | read by | size | one image | agreement |\n|---|---|---|---|---|")
    for name, quantize in [*((name, "") for name in FORMATS), ("litert", "int8")]:
        with tempfile.TemporaryDirectory() as folder:
            output = os.path.join(folder, f"export{FORMATS[name].ending}")
            try:
                done = export(name, output, root=arguments.root, version=arguments.version, photographs=arguments.photographs,
                              quantize=quantize)  # fmt: skip
            except ExportRefused as error:
                print(f"| `{name}` | {error} | | | |", flush=True)
                continue
            print(row(f"{name} {quantize}".strip(), done), flush=True)


if __name__ == "__main__":
    main()
