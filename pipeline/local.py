"""Runs the DAG on this machine, node after node, in this process. Called by the verb `run`."""

import logging
from collections.abc import Callable

from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata as tfx_metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import runtime_parameter_utils

from pipeline import metadata
from pipeline.dag import Places, create_pipeline
from pipeline.layout import Layout
from pipeline.preparation import Prepared
from pipeline_config import Config

log = logging.getLogger(__name__)

# Named in full: Beam's DirectRunner would first try Prism, whose executable it downloads.
BEAM_RUNNER = "apache_beam.runners.portability.fn_api_runner.FnApiRunner"


class NodeDidNotRun(RuntimeError):
    """A node was passed over: TFX could not find its inputs, which it reports to the log alone."""

    def __init__(self, node: str):
        super().__init__(f"{node} did not run: its inputs were not found; the log says which")
        self.node = node


def places(layout: Layout) -> Places:
    """Where the nodes of a run below `layout` read and write."""
    return Places(
        pipeline_root=str(layout.artifacts),
        datasets=str(layout.datasets),
        checkpoints=str(layout.checkpoints),
        registry=str(layout.registry),
    )


def run(
    config: Config, prepared: Prepared, layout: Layout, run_id: str, expect: Callable[[list[str]], None] = lambda nodes: None
) -> None:
    """Runs all nodes, those from the cache whose code, settings and inputs are unchanged; `expect` is told their ids first.

    Raises:
      NodeDidNotRun: a node's inputs were missing.
      Exception: whatever a node raised; later nodes have not run.
    """
    layout.root.mkdir(parents=True, exist_ok=True)
    for uri in metadata.forget_missing_artifacts(layout.metadata, prepared.registered):
        log.info("What is recorded as %s is gone or not true any more; the node that wrote it runs again", uri)
    pipeline = create_pipeline(
        config, prepared.origin, prepared.champion, places(layout),
        metadata_connection_config=tfx_metadata.sqlite_metadata_connection_config(str(layout.metadata)),
        beam_pipeline_args=[f"--runner={BEAM_RUNNER}"],
    )  # fmt: skip
    representation = compiler.Compiler().compile(pipeline)
    # The runner would fill in a run id of its own, the time of day; it finds the place taken. No cache key contains the run id.
    runtime_parameter_utils.substitute_runtime_parameter(
        representation, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id})  # fmt: skip
    nodes = [node.pipeline_node.node_info.id for node in representation.nodes]
    expect(nodes)
    LocalDagRunner().run_with_ir(representation)
    _require_all_ran(nodes, layout, run_id)


def _require_all_ran(nodes: list[str], layout: Layout, run_id: str) -> None:
    states = {found.node: found.state for found in metadata.executions(layout.metadata, run_id)}
    for node in nodes:
        if states.get(node) not in metadata.SUCCESSFUL:
            raise NodeDidNotRun(node)
