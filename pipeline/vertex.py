"""The DAG as a Vertex AI PipelineJob, built without network and without credentials.

The same input gives the same job: it names no time and no random id. The job is what Vertex AI's API takes
(`pipelineJobs.create`): `pipelineSpec` and `runtimeConfig` come from KubeflowV2DagRunner, the rest from the section `vertex` of
the configuration.
"""

import dataclasses
from collections.abc import Mapping

from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.dsl.components.base import executor_spec
from tfx.extensions.google_cloud_ai_platform.constants import ENABLE_VERTEX_KEY, VERTEX_REGION_KEY
from tfx.extensions.google_cloud_ai_platform.trainer.component import Trainer
from tfx.extensions.google_cloud_ai_platform.trainer.executor import TRAINING_ARGS_KEY
from tfx.orchestration.kubeflow.decorators import FinalStatusStr
from tfx.orchestration.kubeflow.utils import TFX_DAG_NAME

# Not from tfx.v1, which silently omits the runner if kfp is missing.
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig
from tfx.orchestration.pipeline import Pipeline

from components.artifacts import HtmlPage
from components.example_gen.source import TFDS_PREFIX, inspect
from components.report import entry_point
from components.run_outcome import RunOutcome
from contracts import how_to_run
from pipeline import engine
from pipeline.dag import LookUpStart, Places, create_pipeline, how_pretrain_runs
from pipeline.identity import Origin, node_code, package_versions
from pipeline.local import BEAM_ARGUMENTS
from pipeline_config import PIPELINE_NAME, Config, Vertex, Worker, require
from registry.vertex_backend import MODEL_ID, vertex_place
from vertex.target import DATAFLOW, TASK, Target, require_legal

# They depend on what is among the inputs of none: photographs that may have changed, and the champion. The nodes after them follow
# what they find.
NEVER_CACHED = {"SourceInspector", "StartingPoint", "Champion", "Evaluator"}
# Pretrain's run_fn with a lock. Its file is no code of the node: what is trained does not depend on it.
RUN_FN = "components.exclusive_pretrain.run_fn"


def require_compilable(config: Config, target: Target) -> None:
    """Checks what concerns several sections or the target.

    Raises:
      ConfigurationError: a machine that does not exist, a source that a container cannot read, a key in another region.
    """
    require_legal(config.vertex.pretrain, "vertex.pretrain")
    require_legal(config.vertex.linear_eval, "vertex.linear_eval")
    source, labels, unlabelled = config.data.source, config.data.labels, config.data.unlabelled
    require(source == "synthetic" or source.startswith((TFDS_PREFIX, "gs://")), "data.source",
            "gs://BUCKET/FOLDER, tfds:NAME or synthetic: a container cannot read a folder of this machine", source)  # fmt: skip
    require(not labels or labels.startswith("gs://"), "data.labels", "gs://BUCKET/FILE: a container cannot read a file of this machine",
            labels)  # fmt: skip
    require(not unlabelled or unlabelled.startswith((TFDS_PREFIX, "gs://")), "data.unlabelled",
            "gs://BUCKET/FOLDER or tfds:NAME: a container cannot read a folder of this machine", unlabelled)  # fmt: skip
    for key, value in (("data.source", source), ("data.unlabelled", unlabelled)):
        elsewhere = f"--beam-runner {DATAFLOW}" if target.beam_runner == DATAFLOW else "--beam-endpoint" if target.beam_endpoint else ""
        require(not (value.startswith(TFDS_PREFIX) and elsewhere), key,
                f"gs://BUCKET/FOLDER with {elsewhere}: TFDS prepares its data on the task's own disk", value)  # fmt: skip
    require(MODEL_ID.fullmatch(config.registry.name) is not None, "registry.name",
            "at most 63 lower-case letters, digits, '-' and '_', beginning with a letter or '_', on Vertex AI",
            config.registry.name)  # fmt: skip
    require(not config.registry.place, "registry.place", "empty on Vertex AI, whose own registry keeps the versions",
            config.registry.place)  # fmt: skip
    key = config.vertex.kms_key
    require(not key or key.split("/")[3] == target.region, "vertex.kms_key", f"a key in {target.region}", key)


def pipeline_job(config: Config, target: Target, warm_start: str | None = None, schedule: str = "", from_scratch_every: int = 0) -> dict:
    """The PipelineJob as JSON-ready dictionaries.

    Args:
      config: the settings.
      target: where it is to run.
      warm_start: number or alias of the registered version that pre-training continues from, which the run looks up when it starts;
        None for random weights.
      schedule: name of the schedule that starts the job; "" for a job that is started by itself.
      from_scratch_every: each run of the schedule of this number starts from random weights in spite of `warm_start`; 0: none.

    Raises:
      ConfigurationError: see require_compilable.
    """
    require_compilable(config, target)
    source, unlabelled = config.data.source, config.data.unlabelled
    origin = Origin(
        # Only synthetic data is known without reading it.
        data_fingerprint=inspect(config.data, "").fingerprint if source == "synthetic" and not unlabelled else "",
        code=node_code(),
        packages=package_versions(),
    )
    labels = {"pipeline": PIPELINE_NAME, "preset": config.preset} | dict(one.split("=", 1) for one in config.vertex.labels)
    jobs = {
        "Pretrain": _custom_job("pretrain", config.vertex.pretrain, config.vertex, target, labels,
                                {how_to_run.VARIABLE: how_pretrain_runs(_with_gpus(config, config.vertex.pretrain))}),
        "LinearEval": _custom_job(
            "linear-eval", config.vertex.linear_eval, config.vertex, target, labels,
            {how_to_run.VARIABLE: how_pretrain_runs(_with_gpus(config, config.vertex.linear_eval))}
            if config.vertex.linear_eval.accelerators else {}),
    }  # fmt: skip
    start = None
    if warm_start is not None:
        starts = f"{target.bucket}/starts/{schedule}"
        start = LookUpStart(warm_start, starts, target.outcomes, schedule, from_scratch_every)
    pipeline = create_pipeline(
        # No champion: it is looked up in the run.
        config, origin, None, places(config.vertex, target), Trainer, jobs, start, RUN_FN)  # fmt: skip
    _prepare_beam_nodes(pipeline, config.vertex, target, labels)
    runner = KubeflowV2DagRunner(KubeflowV2DagRunnerConfig(default_image=target.image, use_pipeline_spec_2_1=True))
    runner.set_exit_handler(RunOutcome(final_status=FinalStatusStr(), outcomes_dir=target.outcomes).with_id("RunOutcome"))
    compiled = runner.run(pipeline, write_out=False)
    spec = compiled["pipelineSpec"]
    tasks = spec["components"][TFX_DAG_NAME]["dag"]["tasks"]
    for name in NEVER_CACHED & tasks.keys():
        del tasks[name]["cachingOptions"]
    _name_producers(tasks)
    _show_the_page(spec)
    optional = {
        "serviceAccount": config.vertex.service_account,
        "network": config.vertex.network,
        "encryptionSpec": {"kmsKeyName": config.vertex.kms_key} if config.vertex.kms_key else None,
    }
    return {
        "displayName": PIPELINE_NAME,
        "labels": labels,
        "pipelineSpec": spec,
        "runtimeConfig": compiled["runtimeConfig"],
    } | {key: value for key, value in optional.items() if value}


def _with_gpus(config: Config, worker: Worker) -> Config:
    """`config` for a task on this machine, which is refused where it sees fewer GPUs than the machine should have."""
    return dataclasses.replace(config, pretrain=dataclasses.replace(config.pretrain, min_gpus=worker.accelerators))


def _name_producers(tasks: dict) -> None:
    """Corrects what TFX 1.21 makes invalid: it refers to the producer of a parameter by a former naming of its tasks."""
    for task in tasks.values():
        for parameter in task["inputs"].get("parameters", {}).values():
            if producer := parameter.get("taskOutputParameter"):
                producer["producerTask"] = producer["producerTask"].removesuffix("_task")


def places(vertex: Vertex, target: Target) -> Places:
    """Where the nodes read and write."""
    return Places(
        pipeline_root=f"{target.bucket}/pipeline_root",
        datasets=f"{target.bucket}/datasets",
        checkpoints=f"{target.bucket}/checkpoints",
        registry=vertex_place(target.project, target.region, f"{target.bucket}/registry",
                              serving_image=vertex.serving_image, kms_key=vertex.kms_key),
    )  # fmt: skip


def beam_arguments(vertex: Vertex, target: Target, labels: Mapping[str, str]) -> list[str]:
    """Beam's options: the same runner as on one machine, a job server, or Dataflow with this image on its workers."""
    if target.beam_endpoint:
        return engine.portable_arguments(target.beam_endpoint, target.beam_workers)
    if target.beam_runner == TASK:
        return list(BEAM_ARGUMENTS)
    optional = {
        "service_account_email": vertex.service_account,
        "network": vertex.network.rpartition("/")[2],
        "dataflow_kms_key": vertex.kms_key,
    }
    return [
        "--runner=DataflowRunner",
        f"--project={target.project}",
        f"--region={target.region}",
        f"--temp_location={target.bucket}/dataflow",
        f"--sdk_container_image={target.image}",
        # The image has everything: nothing is installed when a worker starts.
        "--sdk_location=container",
        f"--max_num_workers={vertex.dataflow_max_workers}",
        *(f"--labels={key}={value}" for key, value in sorted(labels.items())),
        *(f"--{key}={value}" for key, value in optional.items() if value),
    ]


def _show_the_page(spec: dict) -> None:
    """Gives the page the artifact type that Vertex AI shows as a page, and its task the entry point that knows this type."""
    artifacts = spec["components"]["Report"]["outputDefinitions"]["artifacts"]
    artifacts["page"]["artifactType"] = {"schemaTitle": HtmlPage.TYPE_NAME, "schemaVersion": "0.0.1"}
    command = spec["deploymentSpec"]["executors"]["Report_executor"]["container"]["command"]
    command[command.index(entry_point.TFX)] = entry_point.__name__


def _custom_job(name: str, worker: Worker, vertex: Vertex, target: Target, labels: Mapping[str, str],
                variables: Mapping[str, str]) -> dict:  # fmt: skip
    """custom_config of TFX's Vertex trainer: a CustomJob, to which TFX adds the command; `variables` become its environment."""
    machine: dict = {"machine_type": worker.machine_type}
    if worker.accelerators:
        machine |= {"accelerator_type": worker.accelerator, "accelerator_count": worker.accelerators}
    job_spec: dict = {
        "worker_pool_specs": [{
            "machine_spec": machine,
            "replica_count": 1,
            "disk_spec": {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": worker.boot_disk_gb},
            "container_spec": {
                "image_uri": target.image,
                **({"env": [{"name": name, "value": value} for name, value in variables.items()]} if variables else {}),
            },
        }],
        "scheduling": {
            "timeout": {"seconds": round(worker.timeout_hours * 3600)},
            # A worker that was taken away or failed starts again, and pre-training continues from its last checkpoint.
            "restart_job_on_worker_restart": True,
            **({"strategy": "SPOT"} if worker.spot else {}),
        },
        **({"service_account": vertex.service_account} if vertex.service_account else {}),
        **({"network": vertex.network} if vertex.network else {}),
    }  # fmt: skip
    job: dict = {
        "project": target.project,
        "display_name": f"{PIPELINE_NAME}-{name}",
        "labels": dict(labels),
        "job_spec": job_spec,
    }
    if vertex.kms_key:
        job["encryption_spec"] = {"kms_key_name": vertex.kms_key}
    return {ENABLE_VERTEX_KEY: True, VERTEX_REGION_KEY: target.region, TRAINING_ARGS_KEY: job}


def _prepare_beam_nodes(pipeline: Pipeline, vertex: Vertex, target: Target, labels: Mapping[str, str]) -> None:
    """Gives the nodes that run Beam their options and, if they are also its workers, larger machines."""
    resources = pipeline_spec_pb2.PipelineDeploymentConfig.PipelineContainerSpec.ResourceSpec(
        cpu_limit=vertex.beam_cpus, memory_limit=vertex.beam_memory_gb)  # fmt: skip
    for node in pipeline.components:
        if not isinstance(node.executor_spec, executor_spec.BeamExecutorSpec):
            continue
        node.executor_spec.beam_pipeline_args = beam_arguments(vertex, target, labels)
        if target.beam_runner == TASK and not target.beam_endpoint:
            node.with_platform_config(resources)
