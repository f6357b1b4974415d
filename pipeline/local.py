"""Runs the DAG on this machine, node after node, in this process.

`inspect_source` and `prepare` find out what the DAG is built from: the data's fingerprint, the code's versions, the champion.
`with_warm_start` is the configuration of a run that does not start from random weights, `starting_version` which registered
backbone a schedule's run starts from.
"""

import dataclasses
import json
import logging
import os
from collections.abc import Callable, Sequence

import numpy as np
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata as tfx_metadata
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import runtime_parameter_utils

import pipeline_config
from components.example_gen.known_content import KnownContent
from components.example_gen.source import Inspection, inspect
from contracts import files, how_to_run
from contracts.layout import Layout
from pipeline import engine, metadata, run_record
from pipeline.dag import Places, create_pipeline, how_pretrain_runs, of_warm_start
from pipeline.identity import Origin, changes, node_code, package_versions, recipe
from pipeline_config import Config, is_network
from registry import comparison, lifecycle, starting_point
from registry.backend import CHAMPION, Backend
from registry.opening import open_registry, registry_place
from registry.starting_point import Finished
from trainer import devices, replicas, starting_network, step_memory

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a run starts from.

    Attributes:
      origin: what identifies data and code.
      recipe: hash of everything that determines the candidate.
      champion: what the Evaluator compares with, as JSON; "" if there is none.
      registered: each version in the registry, with its alias or "".
    """

    origin: Origin
    recipe: str
    champion: str
    registered: dict[str, str]


def inspect_source(config: Config, layout: Layout, full_check: bool = False, say: Callable[[str], None] = log.info) -> Inspection:
    """What the source has now; its list of photographs and what is known of their content are kept for the next run.

    Args:
      full_check: read all files, also those that look as they did when they were read before.
      say: gets a sentence on what was read, on each file that changed without looking changed, and on a batch that the GPUs cannot hold.

    Raises:
      ConfigurationError: fewer GPUs than the settings ask for, which is said before hours of reading, or so many that they
        cannot share a batch.
      SourceNotFound: the source names no data.
      DataRefused: a class, or the whole source, has too few usable images.
    """
    devices.require_gpus(config.pretrain.min_gpus, config.pretrain.allow_cpu)
    replicas.require_shared(config.pretrain, devices.count())
    if too_large := step_memory.warning(config.pretrain):
        say(f"Warning: {too_large}")
    known = KnownContent(layout.known_content(config.data.source, config.data.unlabelled), full_check)
    try:
        inspection = inspect(config.data, str(layout.datasets), known.content)
    except BaseException:
        known.save(complete=False)  # reading can have taken hours
        raise
    known.save(complete=inspection.kind == "folder")
    for sentence in known.sentences():
        say(sentence)
    log.info("Source %s has %s", config.data.source,
             f"{len(inspection.classes)} classes: {', '.join(inspection.classes)}" if inspection.classes else "no labels")  # fmt: skip
    _keep_photographs(inspection, layout)
    return inspection


def prepare(config: Config, inspection: Inspection, layout: Layout, unverified: bool = False) -> Prepared:
    """Looks into the registry, and repairs what an interrupted run or command left there.

    Args:
      unverified: compare with registered versions in any case, see `registry.trust.require_usable`.

    Raises:
      RegistryError: the champion may not be used.
    """
    origin = Origin(data_fingerprint=inspection.fingerprint, code=node_code(), packages=package_versions())
    determined_by = recipe(config, origin)
    registry = _registry(config, layout)
    lifecycle.repair(registry)
    champion = comparison.champion_for_gate(registry, determined_by, unverified)
    return Prepared(
        origin=origin,
        recipe=determined_by,
        champion=json.dumps(champion, sort_keys=True) if champion else "",
        registered={version.version: CHAMPION if CHAMPION in version.aliases else "" for version in registry.versions()},
    )


# Beam in the process of the node, on Vertex AI. The (empty) list of packages keeps TFX from packing itself into one.
BEAM_ARGUMENTS = (f"--runner={engine.IN_PROCESS}", f"--requirements_file={os.devnull}")


class NodeDidNotRun(RuntimeError):
    """A node was skipped: TFX could not find its inputs, which it reports only to the log."""

    def __init__(self, node: str):
        super().__init__(f"{node} did not run: TFX did not find its inputs; the log names them")
        self.node = node


def places(config: Config, layout: Layout) -> Places:
    """Where the nodes of a run below `layout` read and write."""
    return Places(
        pipeline_root=str(layout.artifacts),
        datasets=str(layout.datasets),
        checkpoints=str(layout.checkpoints),
        registry=registry_place(config.registry.place, layout),
    )


def run(
    config: Config, prepared: Prepared, layout: Layout, run_id: str, expect: Callable[[list[str]], None] = lambda nodes: None,
    beam_endpoint: str = "", beam_workers: str = "",
) -> None:  # fmt: skip
    """Runs all nodes; those whose code, settings and inputs are unchanged come from the cache. `expect` gets all ids first.

    Nodes that use Beam run it in this process, or by the job server at `beam_endpoint`, HOST:PORT, whose workers are threads of this
    process or of the pool at `beam_workers`.

    Raises:
      NodeDidNotRun: a node's inputs were missing.
      Exception: whatever a node raised; later nodes have not run.
    """
    layout.root.mkdir(parents=True, exist_ok=True)
    for uri in metadata.forget_missing_artifacts(layout.metadata, prepared.registered):
        log.info("The output %s is missing or out of date; the node that wrote it runs again", uri)
    pipeline = create_pipeline(
        config, prepared.origin, prepared.champion, places(config, layout),
        metadata_connection_config=tfx_metadata.sqlite_metadata_connection_config(str(layout.metadata)),
        beam_pipeline_args=list(engine.ARGUMENTS),
    )  # fmt: skip
    representation = compiler.Compiler().compile(pipeline)
    # Set before the runner sets a run id of its own, the time of day. No cache key contains the run id.
    runtime_parameter_utils.substitute_runtime_parameter(
        representation, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run_id})  # fmt: skip
    nodes = [node.pipeline_node.node_info.id for node in representation.nodes]
    expect(nodes)
    with how_to_run.in_this_process(how_pretrain_runs(config)), engine.chosen(beam_endpoint, beam_workers):
        LocalDagRunner().run_with_ir(representation)
    _require_all_ran(nodes, layout, run_id)


def _registry(config: Config, layout: Layout) -> Backend:
    return open_registry(registry_place(config.registry.place, layout), config.registry.name)


def because(layout: Layout, run_id: str) -> dict[str, list[str]]:
    """Why each node of a run was not served from the cache, in sentences; also during the run."""

    def moved(before: str, now: str) -> str:
        return photographs_moved(*(np.load(path) if path.exists() else None for path in map(layout.photographs, (before, now))))

    return {node: changes(*made, moved) for node, made in metadata.made_of(layout.metadata, run_id).items()}


def photographs_moved(before: np.ndarray | None, now: np.ndarray | None) -> str:
    """How two states of a source differ, such as "3 photographs added, 1 removed".

    Args:
      before, now: `Inspection.photographs` of both; None if unknown.
    """
    if before is None or now is None:
        return "the photographs changed"
    _, at_before, at_now = np.intersect1d(before[:, 0], now[:, 0], assume_unique=True, return_indices=True)
    counts = {
        "added": len(now) - len(at_now),
        "removed": len(before) - len(at_before),
        "changed": int(np.sum(before[at_before, 1] != now[at_now, 1])),
    }
    parts = [f"{count} {what}" for what, count in counts.items() if count]
    if not parts:
        return "the photographs changed"
    first, _, rest = parts[0].partition(" ")
    return ", ".join([f"{first} photograph{'s' if first != '1' else ''} {rest}", *parts[1:]])


def _keep_photographs(inspection: Inspection, layout: Layout) -> None:
    """Keeps the list of photographs, so that the next run can say how many are new."""
    path = layout.photographs(inspection.fingerprint)
    if inspection.photographs is not None and not path.exists():
        with files.written(path) as file:
            np.save(file, inspection.photographs)


def _require_all_ran(nodes: list[str], layout: Layout, run_id: str) -> None:
    states = {found.node: found.state for found in metadata.executions(layout.metadata, run_id)}
    for node in nodes:
        if states.get(node) not in metadata.SUCCESSFUL:
            raise NodeDidNotRun(node)


def starting_version(
    config: Config, layout: Layout, schedule: str, wanted: str, from_scratch_every: int, fingerprint: str
) -> tuple[str, str]:
    """The version that a schedule's run starts from, "" for random weights, and why: `starting_point.starting_version`."""
    finished = finished_runs(run_record.read_all(layout), schedule)
    registered = starting_point.registered_names(_registry(config, layout))
    return starting_point.starting_version(finished, wanted, from_scratch_every, fingerprint, registered)


def finished_runs(records: Sequence[dict], schedule: str) -> list[Finished]:
    """Those runs (run.json, oldest first) that the schedule started and that finished."""
    return [Finished(one["data"]["fingerprint"], one["configuration"]["pretrain"]["warm_start"]["version"]) for one in records
            if one.get("schedule") == schedule and one["status"] == "finished" and one.get("data")]  # fmt: skip


def with_warm_start(config: Config, layout: Layout, wanted: str, unverified: bool = False) -> Config:
    """`config` with what is started from as pretrain.warm_start, and the epochs and rate of a warm start.

    Path and content hash become settings of pre-training, so that cache, checkpoints and recipe depend on them. A network of
    others is trained in float32, and has one stage, which is averaged.

    Args:
      config: the settings.
      layout: where copies of networks are, and the registry, if it is that of DIR.
      wanted: number or alias of a version, FILE.keras or keras:NAME.
      unverified: start from a version in any case, see `registry.trust.require_usable`.

    Raises:
      ConfigurationError: as `starting_point.warm_start` and `starting_network.keep`, or a network cannot be built for the sides
        that the settings name.
    """
    if is_network(wanted):
        start = starting_network.keep(wanted, config.pretrain.resolution, layout.starts)
    else:
        registry = _registry(config, layout)
        start = starting_point.warm_start(registry, wanted, pipeline_config.to_dict(config.pretrain), unverified)
    pretrain = {"warm_start": start} | of_warm_start(config)
    if not start.network:
        return dataclasses.replace(config, pretrain=dataclasses.replace(config.pretrain, **pretrain))
    for side in (config.pretrain.resolution, config.embedding.resolution):
        starting_network.at_side(starting_network.read(start.backbone), side)
    return dataclasses.replace(
        config, pretrain=dataclasses.replace(config.pretrain, precision="float32", **pretrain),
        embedding=dataclasses.replace(config.embedding, stages=1, pooling=("mean",)))  # fmt: skip
