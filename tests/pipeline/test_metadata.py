"""What is read from ML Metadata, on a database filled by hand as TFX fills it."""

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

from pipeline import metadata
from pipeline.metadata import Execution


@pytest.fixture
def database(tmp_path):
    return tmp_path / "metadata.sqlite"


@pytest.fixture
def store(database):
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(database)
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return metadata_store.MetadataStore(config)


def context(store, type_name, name):
    type_id = store.put_context_type(pb.ContextType(name=type_name))
    found = store.get_context_by_type_and_name(type_name, name)
    return found.id if found else store.put_contexts([pb.Context(type_id=type_id, name=name)])[0]


def artifact(store, uri, state=pb.Artifact.LIVE, **properties):
    type_id = store.put_artifact_type(pb.ArtifactType(name="Model"))
    one = pb.Artifact(type_id=type_id, uri=str(uri), state=state)
    for name, value in properties.items():
        one.custom_properties[name].string_value = value
    return store.put_artifacts([one])[0]


def execution(store, run_id, node, state, **outputs):
    """As TFX does: contexts for the run and the node, one output event an artifact."""
    type_id = store.put_execution_type(pb.ExecutionType(name="tfx.Trainer"))
    events = []
    for key, artifact_id in outputs.items():
        event = pb.Event(type=pb.Event.OUTPUT, artifact_id=artifact_id)
        event.path.steps.add().key = key
        events.append((store.get_artifacts_by_id([artifact_id])[0], event))
    contexts = [pb.Context(id=context(store, *which)) for which in (("pipeline_run", run_id), ("node", f"flowers.{node}"))]
    contexts = store.get_contexts_by_id([one.id for one in contexts])
    store.put_execution(pb.Execution(type_id=type_id, last_known_state=state), events, contexts)


def test_no_database_has_no_executions_and_is_not_made(database):
    assert metadata.executions(database, "run") == []
    assert metadata.forget_missing_artifacts(database, {}) == []
    assert not database.exists()


def test_executions_of_one_run_in_order_with_state_and_outputs(store, database):
    model, half = artifact(store, "/x/model"), artifact(store, "/x/half", pb.Artifact.PENDING)
    execution(store, "one", "Pretrain", pb.Execution.COMPLETE, model=model)
    execution(store, "two", "Pretrain", pb.Execution.CACHED, model=model)
    execution(store, "two", "LinearEval", pb.Execution.RUNNING, model=half)
    assert metadata.executions(database, "two") == [
        Execution("Pretrain", "CACHED", {"model": "/x/model"}),
        Execution("LinearEval", "RUNNING", {}),  # what is half written is no output
    ]
    assert metadata.executions(database, "three") == []


def test_artifacts_without_files_are_forgotten(store, database, tmp_path):
    there, gone = artifact(store, tmp_path), artifact(store, tmp_path / "gone")
    remote = artifact(store, "gs://bucket/model")
    assert metadata.forget_missing_artifacts(database, {}) == [str(tmp_path / "gone")]
    states = {one.id: one.state for one in store.get_artifacts()}
    assert states == {there: pb.Artifact.LIVE, gone: pb.Artifact.DELETED, remote: pb.Artifact.LIVE}
    assert metadata.forget_missing_artifacts(database, {}) == []


def test_a_push_whose_version_is_not_registered_any_more_is_forgotten(store, database, tmp_path):
    artifact(store, tmp_path, pushed_version="1")
    artifact(store, tmp_path, pushed_version="")  # not blessed, so nothing was pushed
    assert metadata.forget_missing_artifacts(database, {"1": ""}) == []
    assert metadata.forget_missing_artifacts(database, {"2": ""}) == [str(tmp_path)]


def test_a_push_of_a_version_that_was_rolled_back_or_promoted_since_is_forgotten(store, database, tmp_path):
    for name, version, alias in (("champion", "1", "champion"), ("withheld", "2", "")):
        (tmp_path / name).mkdir()
        artifact(store, tmp_path / name, pushed_version=version, pushed_alias=alias)
    assert metadata.forget_missing_artifacts(database, {"1": "champion", "2": ""}) == []
    assert metadata.forget_missing_artifacts(database, {"1": "", "2": ""}) == [str(tmp_path / "champion")]
    assert metadata.forget_missing_artifacts(database, {"1": "", "2": "champion"}) == [str(tmp_path / "withheld")]
