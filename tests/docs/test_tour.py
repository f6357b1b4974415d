"""docs/tour.ipynb: what is committed tells nothing of a machine or a moment, and it shows what it shows when it runs."""

import base64
import io
import re

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from docs import make_tour
from tests.docs import documents

MOST_BYTES = 400_000
# Cells whose numbers depend on the processor: of what a network has learned, and how long it took. The others show the same anywhere.
VARIES = "varies"


@pytest.fixture(scope="module")
def tour():
    return nbformat.read(make_tour.NOTEBOOK, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def shown(cell):
    """What a cell shows, as far as it must be the same each time."""
    found = []
    for output in cell.outputs:
        data = output.get("data", {})
        sizes = [Image.open(io.BytesIO(base64.b64decode(data[kind]))).size for kind in data if kind.startswith("image/")]
        kinds = (output.output_type, output.get("name"), sorted(data), sizes)
        text = output.get("text") or data.get("text/plain")
        found.append(kinds if VARIES in cell.metadata.get("tags", ()) else (*kinds, text))
    return found


def test_it_is_whole_and_small(tour):
    nbformat.validate(tour)
    assert make_tour.NOTEBOOK.stat().st_size < MOST_BYTES
    cells = code_cells(tour)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = [kind for cell in cells for output in cell.outputs for kind in output.get("data", {})]
    assert set(kinds) == {"image/jpeg", "image/png", "text/plain"}  # no script
    assert "error" not in [output.output_type for cell in cells for output in cell.outputs]
    assert "stderr" not in [output.get("name") for cell in cells for output in cell.outputs]


def test_its_outputs_tell_nothing_of_the_machine_or_the_moment(tour):
    text = "\n".join(output.get("text", "") + output.get("data", {}).get("text/plain", "")
                     for cell in code_cells(tour) for output in cell.outputs)  # fmt: skip
    assert "Linear top-1" in text and "champion" in text
    for wrong in (r"/(tmp|home|root|Users|var|work|mnt)\b", r"\d s\b", r"\d images/s", r"min left", r"\b20\d{6}-", r"0x[0-9a-f]{6}"):
        assert not re.search(wrong, text), re.search(wrong, text)


def test_its_links_lead_somewhere(tour):
    text = "\n".join(cell.source for cell in tour.cells if cell.cell_type == "markdown")
    targets = re.findall(r"\]\(([^)#]+)", text)
    assert targets and all((documents.PROJECT / "docs" / target).exists() for target in targets)


def test_what_varies_is_taken_out_and_the_parts_of_a_stream_are_put_together(tmp_path):
    parts = [
        f"Run 20260131-184502-3fa9: data {tmp_path}/photographs\nExample",
        "Gen        12.3 s\nPretrain          cached\n",
        "  epoch 1/2, loss -0.1, 99 images/s, 0.1 min left\n  epoch 1/2, loss -0.2, kNN on train 9.0 %, 99 images/s, 0.1 min left\n",
    ]
    cell = new_code_cell(
        "x",
        outputs=[new_output("stream", name="stdout", text=part) for part in parts],
        metadata={"execution": {"iopub.status.idle": "2026-01-31T18:45:02Z"}},
    )
    (made,) = make_tour.cleaned(new_notebook(cells=[cell]), tmp_path).cells
    assert [output.text for output in made.outputs] == [
        "Run RUN_ID: data photographs\nExampleGen        … s\nPretrain          cached\n  epoch 1/2, loss -0.2, kNN on train 9.0 %, …\n"
    ]
    assert made.metadata == {}


@pytest.mark.slow
def test_it_shows_what_it_shows_when_it_runs(tour, tmp_path):
    made = make_tour.executed(tour, tmp_path)
    assert made.cells != [] and len(made.cells) == len(tour.cells)
    for before, now in zip(tour.cells, made.cells):
        assert now.source == before.source
        if now.cell_type == "code":
            assert shown(now) == shown(before), now.source
