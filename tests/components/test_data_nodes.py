"""The data half of the DAG under the local runner: it works with the stock components, is cached, and refuses bad data."""

import io
import json
import shutil

import numpy as np
import pytest
from ml_metadata.proto import metadata_store_pb2
from PIL import Image
from tfx import v1 as tfx
from tfx.orchestration import metadata

import pipeline_config
from components.data_gate import DataGate
from components.errors import DataRefused
from components.example_gen import source
from components.example_gen.component import FlowersExampleGen
from components.schema_gen import FlowersSchemaGen, statistics_options


def photograph(seed):
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(small).resize((48, 36)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture
def flowers(tmp_path):
    for split, count in (("train", 8), ("eval", 3)):
        for label, name in enumerate(("daisy", "rose")):
            folder = tmp_path / "flowers" / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                (folder / f"{index}.jpg").write_bytes(photograph(100 * label + 50 * (split == "eval") + index))
    return tmp_path / "flowers"


def run(flowers, root):
    """Runs the nodes up to DataGate; gives the state of each one's newest execution by node id."""
    data = pipeline_config.Data(source=str(flowers), max_side=32)
    found = source.inspect(data, str(root / "datasets"))
    example_gen = FlowersExampleGen(
        data=json.dumps(pipeline_config.ingest(data)), datasets_dir=str(root / "datasets"), fingerprint=found.fingerprint,
        code_version="1").with_id("ExampleGen")  # fmt: skip
    statistics_gen = tfx.components.StatisticsGen(examples=example_gen.outputs["examples"], stats_options=statistics_options())
    schema_gen = FlowersSchemaGen(statistics=statistics_gen.outputs["statistics"], code_version="1").with_id("SchemaGen")
    validator = tfx.components.ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"])  # fmt: skip
    data_gate = DataGate(
        ingest_report=example_gen.outputs["ingest_report"], anomalies=validator.outputs["anomalies"],
        max_bad_fraction=data.max_bad_fraction, batch_size=2, code_version="1")  # fmt: skip
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite"))
    tfx.orchestration.LocalDagRunner().run(tfx.dsl.Pipeline(
        "data", str(root / "artifacts"), components=[example_gen, statistics_gen, schema_gen, validator, data_gate],
        enable_cache=True, metadata_connection_config=connection))  # fmt: skip
    with metadata.Metadata(connection) as handler:
        store = handler.store
        newest = {}
        for execution in sorted(store.get_executions(), key=lambda execution: execution.id):
            node = next(c.name for c in store.get_contexts_by_execution(execution.id) if c.name.startswith("data."))
            newest[node.removeprefix("data.")] = metadata_store_pb2.Execution.State.Name(execution.last_known_state)
    return newest


NODES = ("DataGate", "ExampleGen", "ExampleValidator", "SchemaGen", "StatisticsGen")


# Five runs; test_run_end_to_end.py has one with a changed photograph.
@pytest.mark.slow
def test_good_data_passes_is_cached_and_is_read_again_when_it_changes(flowers, tmp_path):
    assert run(flowers, tmp_path) == dict.fromkeys(NODES, "COMPLETE")
    assert run(flowers, tmp_path) == dict.fromkeys(NODES, "CACHED")
    (flowers / "train" / "rose" / "0.jpg").rename(flowers / "train" / "rose" / "renamed.jpg")
    assert run(flowers, tmp_path)["ExampleGen"] == "COMPLETE"


@pytest.mark.slow
def test_a_class_that_only_eval_has_is_refused_in_words(flowers, tmp_path):
    shutil.copytree(flowers / "eval" / "rose", flowers / "eval" / "tulip")
    for index in range(3):
        (flowers / "eval" / "tulip" / f"{index}.jpg").write_bytes(photograph(900 + index))
    with pytest.raises(DataRefused, match="eval, feature 'class_name'.*tulip"):
        run(flowers, tmp_path)


@pytest.mark.slow
def test_two_percent_damaged_is_refused_with_reason_and_path(flowers, tmp_path):
    (flowers / "train" / "rose" / "bad.jpg").write_bytes(b"")
    with pytest.raises(DataRefused, match=r"1 of 23 files .*zero bytes .*; 'train/rose/bad.jpg'"):
        run(flowers, tmp_path)
