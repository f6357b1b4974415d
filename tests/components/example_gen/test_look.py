"""What doctor sees in a folder is what ingest finds: the same division, the same refusals, copies that were saved again."""

import dataclasses
import json

import apache_beam as beam
import numpy as np
import pytest
from PIL import Image

import pipeline_config
from components.example_gen import look, records, source


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two classes of 12, two pictures in both of them under another format, one file that is damaged, one class nearly black."""
    folder = tmp_path_factory.mktemp("photographs")
    for number, name in enumerate(("rose", "tulip")):
        (folder / name).mkdir()
        for index in range(12):
            small = np.random.default_rng(100 * number + index).integers(0, 256 if number else 9, (6, 8, 3), np.uint8)
            picture = Image.fromarray(small).resize((64, 48), Image.Resampling.BICUBIC)
            picture.save(folder / name / f"{index}.png")
            if number and index < 2:
                picture.save(folder / "rose" / f"copy{index}.webp")
    (folder / "rose" / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    return pipeline_config.Data(source=str(folder), min_eval=4)


def test_a_look_at_all_files_is_ingest_s_own_report(photographs, tmp_path):
    opened = source.open_source(photographs, "")
    found = look.look([opened], photographs)
    path = tmp_path / "report.json"
    options = beam.options.pipeline_options.PipelineOptions(runner="apache_beam.runners.portability.fn_api_runner.FnApiRunner")
    records.ingest(beam.Pipeline(options=options), opened, photographs.max_side, photographs.max_pixels, photographs.eval_fraction,
                   photographs.min_eval, "", str(tmp_path / "examples"), str(path))  # fmt: skip
    ingested = json.loads(path.read_text())
    assert found.is_whole and json.loads(json.dumps(found.report)) == ingested
    assert len(found.report["near_duplicates"]["in_two_classes"]) == 2 and found.report["quarantined"]["total"] == 1


def test_of_many_files_as_many_as_were_asked_for_are_looked_at_in_equal_distances(photographs):
    opened = source.open_source(photographs, "")
    found = look.look([opened], photographs, most=9)
    assert (found.looked_at, found.files, found.is_whole) == (9, 27, False)
    assert found.report["images"] + found.report["quarantined"]["total"] == 9
    both = [sum(found.report["splits"][split]["by_class"][name] for split in ("train", "eval")) for name in ("rose", "tulip")]
    assert min(both) >= 3  # of both classes, as the distances are equal


def test_a_second_folder_is_looked_at_too(photographs):
    both = dataclasses.replace(photographs, unlabelled=photographs.source)
    found = look.look(source.open_source(both, "").parts, both)
    assert found.files == 54
    # Every one of the second folder shows what one of the first does, and what eval shows is left out.
    assert 0 < found.report["splits"]["unlabelled"]["images"] < 26
