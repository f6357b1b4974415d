"""What ML Metadata knows about one run: its executions, how they ended, their inputs and outputs.

Nothing is written but that an artifact is gone.
"""

import dataclasses
import pathlib
from collections.abc import Collection, Mapping

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2

from pipeline.identity import Ingredients
from pipeline_config import PIPELINE_NAME

State = metadata_store_pb2.Execution.State

SUCCESSFUL = ("COMPLETE", "CACHED")


@dataclasses.dataclass(frozen=True)
class Execution:
    """One node of one run.

    Attributes:
      node: the node's id in the DAG.
      state: COMPLETE, CACHED, FAILED or RUNNING (also after its process was killed).
      outputs: URI by output name; of a cached execution those from the cache.
    """

    node: str
    state: str
    outputs: dict[str, str]


def executions(database: pathlib.Path, run_id: str) -> list[Execution]:
    """The executions of one run, in the order in which they were started; none if the database or the run does not exist."""
    if not database.exists():
        return []
    store = _open(database)
    run = store.get_context_by_type_and_name("pipeline_run", run_id)
    if run is None:
        return []
    found = sorted(store.get_executions_by_context(run.id), key=lambda execution: execution.id)
    return [
        Execution(
            node=_node(store, execution.id),
            state=State.Name(execution.last_known_state),
            outputs=_outputs(store, execution.id),
        )
        for execution in found
    ]


def made_of(database: pathlib.Path, run_id: str) -> dict[str, tuple[Ingredients | None, Ingredients]]:
    """By node, what its last finished execution before a run was made of, and what its execution in the run is made of.

    Nodes that were served from the cache are left out. Works during the run: TFX enters an execution before it runs.
    """
    if not database.exists():
        return {}
    store = _open(database)
    run = store.get_context_by_type_and_name("pipeline_run", run_id)
    if run is None:
        return {}
    found = {}
    for execution in store.get_executions_by_context(run.id):
        if execution.last_known_state == State.CACHED:
            continue
        node = _node(store, execution.id)
        context = store.get_context_by_type_and_name("node", f"{PIPELINE_NAME}.{node}")
        earlier = [
            one for one in store.get_executions_by_context(context.id)
            if one.id < execution.id and State.Name(one.last_known_state) in SUCCESSFUL
        ]  # fmt: skip
        before = max(earlier, key=lambda one: one.id, default=None)
        found[node] = (before and _ingredients(store, before), _ingredients(store, execution))
    return found


def _ingredients(store: metadata_store.MetadataStore, execution: metadata_store_pb2.Execution) -> Ingredients:
    parameters = {name: getattr(value, value.WhichOneof("value")) for name, value in execution.custom_properties.items()}
    events = store.get_events_by_execution_ids([execution.id])
    ids = [event.artifact_id for event in events if event.type == metadata_store_pb2.Event.INPUT]
    # Of the executions that have an output, the oldest wrote it; the others got it from the cache.
    made = [event for event in store.get_events_by_artifact_ids(ids) if event.type == metadata_store_pb2.Event.OUTPUT]
    makers = {event.artifact_id: event.execution_id for event in sorted(made, key=lambda event: -event.execution_id)}
    inputs: dict[str, list[str]] = {}
    for artifact in store.get_artifacts_by_id(ids):
        if artifact.id in makers:
            inputs.setdefault(_node(store, makers[artifact.id]), []).append(artifact.uri)
    return Ingredients(parameters, {node: tuple(sorted(uris)) for node, uris in inputs.items()})


def _open(database: pathlib.Path) -> metadata_store.MetadataStore:
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(database)
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE
    return metadata_store.MetadataStore(config)


def _node(store: metadata_store.MetadataStore, execution_id: int) -> str:
    node_type = store.get_context_type("node").id
    contexts = store.get_contexts_by_execution(execution_id)
    # TFX names the context of a node PIPELINE.NODE.
    return next(context.name.rpartition(".")[2] for context in contexts if context.type_id == node_type)


def _outputs(store: metadata_store.MetadataStore, execution_id: int) -> dict[str, str]:
    events = [event for event in store.get_events_by_execution_ids([execution_id]) if event.type == metadata_store_pb2.Event.OUTPUT]
    artifacts = {artifact.id: artifact for artifact in store.get_artifacts_by_id([event.artifact_id for event in events])}
    return {
        event.path.steps[0].key: artifacts[event.artifact_id].uri
        for event in events
        if artifacts[event.artifact_id].state == metadata_store_pb2.Artifact.LIVE
    }


def forget_missing_artifacts(database: pathlib.Path, registered: Mapping[str, str]) -> list[str]:
    """Marks missing and outdated artifacts as deleted, so that no cache serves them and their nodes run again; returns the URIs.

    These are local artifacts without files, and records of a push whose version was since deleted, made champion or rolled back
    from.

    Args:
      registered: each version in the registry, with its alias or "".
    """
    if not database.exists():
        return []
    store = _open(database)
    gone = [
        artifact
        for artifact in store.get_artifacts()
        if artifact.state == metadata_store_pb2.Artifact.LIVE and (_without_files(artifact) or _is_outdated(artifact, registered))
    ]
    for artifact in gone:
        artifact.state = metadata_store_pb2.Artifact.DELETED
    store.put_artifacts(gone)
    return [artifact.uri for artifact in gone]


def _without_files(artifact: metadata_store_pb2.Artifact) -> bool:
    return artifact.uri.startswith("/") and not pathlib.Path(artifact.uri).exists()


def _is_outdated(artifact: metadata_store_pb2.Artifact, registered: Mapping[str, str]) -> bool:
    version, alias = (
        artifact.custom_properties[name].string_value if name in artifact.custom_properties else ""
        for name in ("pushed_version", "pushed_alias")
    )
    return bool(version) and registered.get(version) != alias


def places(uri: str) -> set[tuple[str, ...]]:
    """All that may be node, output and execution in a URI, which stay if DIR is moved: three parts in a row.

    They are its last three, but for an artifact that is a single value: its URI is that of the file `value` below them.
    """
    parts = pathlib.PurePath(uri).parts
    return {parts[-3:], parts[-4:-1]}


def forget(database: pathlib.Path, gone_places: Collection[tuple[str, ...]]) -> None:
    """Marks the artifacts in these folders (node, output, execution) as deleted, so that no cache serves them."""
    if not database.exists():
        return
    store = _open(database)
    gone = [one for one in store.get_artifacts()
            if one.state == metadata_store_pb2.Artifact.LIVE and not places(one.uri).isdisjoint(gone_places)]  # fmt: skip
    for artifact in gone:
        artifact.state = metadata_store_pb2.Artifact.DELETED
    store.put_artifacts(gone)
