"""Makes docs/tour.ipynb anew: runs its cells in a folder that is removed afterwards, and keeps what they show.

    .venv/bin/python docs/make_tour.py

Edit the notebook in any editor for notebooks, then run this. What depends on the machine or the moment is taken out: the folder,
run ids, seconds, speeds.
"""

import os
import pathlib
import re
import sys
import tempfile

import nbformat
from nbclient import NotebookClient

NOTEBOOK = pathlib.Path(__file__).with_name("tour.ipynb")
# A busy machine is no reason to fail.
PATIENCE_SECONDS = 1200
# What is written in place of what differs from run to run.
ELLIPSIS = "…"
VARYING = (
    # Lines of progress come by the clock; those of the epochs in which kNN is measured are kept.
    (re.compile(r"^  epoch (?!.*kNN).*\n", re.MULTILINE), ""),
    (re.compile(r"\b\d{8}-\d{6}-[0-9a-f]{4}\b"), "RUN_ID"),  # contracts.layout.new_run_id
    (re.compile(r"\b[\d,.]+ images/s, [\d,.]+ min left"), ELLIPSIS),
    (re.compile(r"\b[\d.]+ s$", re.MULTILINE), f"{ELLIPSIS} s"),
)


def executed(notebook: nbformat.NotebookNode, folder: str | os.PathLike) -> nbformat.NotebookNode:
    """A copy of `notebook` whose cells ran in `folder`, by this interpreter, with what they showed, cleaned.

    Raises:
      nbclient.exceptions.CellExecutionError: a cell failed.
    """
    copy = nbformat.from_dict(notebook)
    # A kernel of this interpreter, whatever kernels are installed for the user.
    client = NotebookClient(
        copy, timeout=PATIENCE_SECONDS, startup_timeout=PATIENCE_SECONDS, resources={"metadata": {"path": str(folder)}})  # fmt: skip
    client.create_kernel_manager()
    client.km.kernel_spec.argv[0] = sys.executable
    client.execute()
    return cleaned(copy, folder)


def cleaned(notebook: nbformat.NotebookNode, folder: str | os.PathLike) -> nbformat.NotebookNode:
    """`notebook` without what differs from run to run or tells of the machine; one text for each stream of a cell."""
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
        if cell.cell_type != "code":
            continue
        outputs = []
        for output in cell.outputs:
            former = outputs[-1] if outputs else None
            if output.output_type == "stream" and former and former.output_type == "stream" and former.name == output.name:
                former.text += output.text
            else:
                outputs.append(output)
        for output in outputs:
            if output.output_type == "stream":
                output.text = without_varying(output.text, folder)
            elif "text/plain" in output.get("data", {}):
                output.data["text/plain"] = without_varying(output.data["text/plain"], folder)
        cell.outputs = outputs
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def without_varying(text: str, folder: str | os.PathLike) -> str:
    """`text` in which VARYING is replaced, and paths in `folder` are relative to it."""
    for place in {os.path.realpath(folder), str(folder)}:
        text = text.replace(f"{place}/", "")
    for pattern, instead in VARYING:
        text = pattern.sub(instead, text)
    return text


def main() -> None:
    """Runs the notebook and writes it back, whole or not at all."""
    with tempfile.TemporaryDirectory() as folder:
        made = executed(nbformat.read(NOTEBOOK, as_version=4), folder)
    nbformat.validate(made)
    beside = NOTEBOOK.with_suffix(".unfinished")
    nbformat.write(made, beside)
    os.replace(beside, NOTEBOOK)
    print(f"{NOTEBOOK}: {NOTEBOOK.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
