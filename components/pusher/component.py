"""The TFX component RegistryPusher: verifies the chain from blessing to backbone, then registers the backbone.

The last node with an effect outside the run. A class rather than a decorated function, because LocalDagRunner gives the id of the
pipeline run only to executors; as a parameter the id would differ in every run, and the node would never be cached.
"""

import json
import logging
import posixpath

from tfx import types
from tfx.components.evaluator import constants
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.types import artifact_utils, channel, channel_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter
from tfx.utils import path_utils

from components.artifacts import IngestReport
from components.pusher import chain
from components.pusher.model_card import Facts, model_card
from components.pusher.sbom import bill_of_materials
from contracts import baseline, files, model_files
from contracts.content_hash import content_hash
from registry import mlflow_model, publishing
from registry.backend import ACCURACY, BEST_VERSION, CHAMPION, EVAL_SPLIT, FIGURE, RECIPE, RUN_ID, whole_recipe
from registry.opening import open_registry

logger = logging.getLogger(__name__)

# The parameter `run_id` in every DAG. Vertex AI substitutes the pipeline job's name for this placeholder (it is
# kfp.dsl.PIPELINE_JOB_NAME_PLACEHOLDER); LocalDagRunner leaves it unchanged and gives its executors the id.
PIPELINE_JOB_NAME = "{{$.pipeline_job_name}}"


class RegistryPusherSpec(ComponentSpec):
    """Inputs, outputs and parameters of RegistryPusher."""

    PARAMETERS = {
        "registry_dir": ExecutionParameter(type=str),
        "name": ExecutionParameter(type=str),
        "recipe": ExecutionParameter(type=str),
        "run_id": ExecutionParameter(type=str),
        "code": ExecutionParameter(type=str),
        "code_version": ExecutionParameter(type=str),
        "licence": ExecutionParameter(type=str),
        "signing_key": ExecutionParameter(type=str),
    }
    INPUTS = {
        "backbone": ChannelParameter(type=standard_artifacts.Model),
        "probe": ChannelParameter(type=standard_artifacts.Model),
        "blessing": ChannelParameter(type=standard_artifacts.ModelBlessing),
        "evaluation": ChannelParameter(type=standard_artifacts.ModelEvaluation),
        "ingest_report": ChannelParameter(type=IngestReport),
        "pretrain_run": ChannelParameter(type=standard_artifacts.ModelRun),
        "probe_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }
    OUTPUTS = {"pushed_model": ChannelParameter(type=standard_artifacts.PushedModel)}


class RegistryPusherExecutor(base_executor.BaseExecutor):
    """Verifies the chain and publishes; see RegistryPusher."""

    def Do(self, input_dict: dict, output_dict: dict, exec_properties: dict) -> None:  # noqa: N802 (TFX's name)
        inputs = {name: artifact_utils.get_single_instance(input_dict[name]) for name in RegistryPusherSpec.INPUTS}
        pushed_model = artifact_utils.get_single_instance(output_dict["pushed_model"])
        parameters = {name: exec_properties[name] for name in RegistryPusherSpec.PARAMETERS}
        del parameters["code_version"]
        record = push(**inputs, **parameters | {"run_id": self._run_id(parameters["run_id"])})
        pushed_model.set_int_custom_property("pushed", int(record["pushed"]))
        pushed_model.set_string_custom_property("pushed_version", record["version"] or "")
        pushed_model.set_string_custom_property("pushed_alias", record["alias"] or "")
        files.write_json(posixpath.join(pushed_model.uri, model_files.PUSH_RECORD), record)

    def _run_id(self, given: str) -> str:
        run_id = (self._context and self._context.pipeline_run_id) if given == PIPELINE_JOB_NAME else given
        if not run_id:
            raise RuntimeError("the runner must give RegistryPusher a pipeline run id, got none: the version could not be traced")
        return run_id


class RegistryPusher(base_component.BaseComponent):
    """Registers the backbone of a blessed probe; a backbone that was not blessed is not registered, and the record says why.

    Output `pushed_model` holds contracts.model_files.PUSH_RECORD: {"schema_version", "pushed", "name", "version", "alias",
    "reasons", "created"}. `pushed` is true if the registry has this backbone as `version`, `created` if this execution
    registered it; `alias` is "champion", or null where the version was registered without it.
    """

    SPEC_CLASS = RegistryPusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(RegistryPusherExecutor)

    def __init__(
        self,
        backbone: types.BaseChannel,
        probe: types.BaseChannel,
        blessing: types.BaseChannel,
        evaluation: types.BaseChannel,
        ingest_report: types.BaseChannel,
        pretrain_run: types.BaseChannel,
        probe_run: types.BaseChannel,
        registry_dir: str,
        name: str,
        recipe: str,
        run_id: str,
        code: str,
        code_version: str,
        licence: str,
        signing_key: str,
    ):
        """The channels are outputs of Pretrain and LinearEval (model, model_run), the Evaluator (both) and ExampleGen.

        Args:
          registry_dir: the registry's place, as `registry.opening` takes it: DIR/registry on this machine.
          name: pipeline_config.Registry.name.
          recipe: SHA-256 of settings and code that determine the candidate; see `registry.backend.whole_recipe`.
          run_id: PIPELINE_JOB_NAME.
          code: the versions of the code that made and judged the candidate, in one line, for the version's tags.
          code_version: hashes of the files that this component runs; the cache follows them.
          licence: of the data as the user stated it (pipeline_config.Data.licence), for the model card.
          signing_key: pipeline_config.Registry.signing_key.
        """
        pushed_model: channel.Channel = channel_utils.as_channel([standard_artifacts.PushedModel()])
        super().__init__(RegistryPusherSpec(
            backbone=backbone, probe=probe, blessing=blessing, evaluation=evaluation, ingest_report=ingest_report,
            pretrain_run=pretrain_run, probe_run=probe_run, registry_dir=registry_dir, name=name, recipe=recipe, run_id=run_id,
            code=code, code_version=code_version, licence=licence, signing_key=signing_key, pushed_model=pushed_model))  # fmt: skip


def push(
    backbone: standard_artifacts.Model,
    probe: standard_artifacts.Model,
    blessing: standard_artifacts.ModelBlessing,
    evaluation: standard_artifacts.ModelEvaluation,
    ingest_report: IngestReport,
    pretrain_run: standard_artifacts.ModelRun,
    probe_run: standard_artifacts.ModelRun,
    registry_dir: str,
    name: str,
    recipe: str,
    code: str,
    run_id: str,
    licence: str,
    signing_key: str,
) -> dict:
    """Verifies, registers and returns the content of push.json.

    Raises:
      chain.ChainBroken: the artifacts do not belong together; nothing was registered.
    """
    backbone_dir, probe_dir = (path_utils.serving_model_path(model.uri) for model in (backbone, probe))
    judged_backbone = chain.Model(backbone.uri, str(backbone.id), content_hash(backbone_dir))
    judged_probe = chain.Model(probe.uri, str(probe.id), content_hash(probe_dir))
    blessed = _blessing(blessing)
    verdict = files.read_json(posixpath.join(evaluation.uri, model_files.VERDICT))
    chain.verify_chain(blessed, _evaluation(verdict), judged_probe, _probe_record(probe_dir), judged_backbone)

    record = {"schema_version": 1, "pushed": False, "created": False, "name": name, "version": None, "alias": None}
    if not blessed.blessed:
        return record | {"reasons": ["not blessed, so not pushed", *verdict["reasons"]]}

    report = files.read_json(posixpath.join(ingest_report.uri, model_files.INGEST_REPORT))
    linear_eval = files.read_json(posixpath.join(probe_run.uri, model_files.LINEAR_EVAL_REPORT))
    backbone_record = files.read_json(posixpath.join(backbone_dir, model_files.BACKBONE_RECORD))
    recipe = whole_recipe(recipe, report["fingerprint"], backbone_record["pretrain"]["warm_start"]["content_hash"])
    card = model_card(Facts(
        name=name, backbone_hash=judged_backbone.content_hash, probe_hash=judged_probe.content_hash, run_id=run_id,
        code=code, recipe=recipe, stated_licence=licence,
        backbone=backbone_record, ingest=report, linear_eval=linear_eval,
        pretrain=files.read_json(posixpath.join(pretrain_run.uri, model_files.PRETRAIN_REPORT)), verdict=verdict))  # fmt: skip
    publication = publishing.publish(
        open_registry(registry_dir, name), backbone=backbone_dir, probe=probe_dir,
        backbone_hash=judged_backbone.content_hash, probe_hash=judged_probe.content_hash,
        judged_against=blessed.baseline_version or None, card=card, sbom=bill_of_materials(), signing_key=signing_key,
        model=mlflow_model.model_documents(backbone_record, judged_backbone.content_hash, judged_probe.content_hash),
        withheld="" if blessed.takes_alias else verdict["reasons"][-1],
        tags={
            ACCURACY: repr(verdict["metrics"]["candidate"]["accuracy"]),
            FIGURE: repr(verdict["figure"]),
            BEST_VERSION: verdict["best_version"] or "",
            "baseline": baseline.of(verdict),
            "floor": repr(verdict["metrics"]["untrained"]["accuracy"]),
            "knn": repr(linear_eval["knn_top1"]),
            "knn_floor": repr(linear_eval["random_init_knn_top1"]),
            "eval_examples": str(verdict["eval_examples"]),
            "gate": json.dumps(verdict["gate"]),
            "reasons": json.dumps(verdict["reasons"]),
            EVAL_SPLIT: verdict["eval_split"],
            "data_fingerprint": report["fingerprint"],
            "data_source": report["source"],
            "code_version": code,
            RUN_ID: run_id,
            RECIPE: recipe,
            "mlmd_backbone_id": str(backbone.id),
            "mlmd_probe_id": str(probe.id),
            "mlmd_blessing_id": str(blessing.id),
            "mlmd_evaluation_id": str(evaluation.id),
        },
    )  # fmt: skip
    logger.info("%s version %s: %s.", name, publication.version.version, publication.reason)
    return record | {
        "pushed": True, "created": publication.created, "version": publication.version.version,
        "alias": CHAMPION if publication.is_champion else None, "reasons": [publication.reason],
    }  # fmt: skip


def _blessing(artifact: standard_artifacts.ModelBlessing) -> chain.Blessing:
    return chain.Blessing(
        blessed=artifact.get_int_custom_property(constants.ARTIFACT_PROPERTY_BLESSED_KEY) == constants.BLESSED_VALUE,
        probe_uri=artifact.get_string_custom_property(constants.ARTIFACT_PROPERTY_CURRENT_MODEL_URI_KEY),
        probe_id=artifact.get_string_custom_property("probe_id"),
        probe_content_hash=artifact.get_string_custom_property("probe_content_hash"),
        baseline_version=artifact.get_string_custom_property("baseline_version"),
        takes_alias=bool(artifact.get_int_custom_property("takes_alias")),
    )


def _evaluation(verdict: dict) -> chain.Evaluation:
    probe = verdict["probe"]
    return chain.Evaluation(
        verdict["blessed"], probe["uri"], probe["content_hash"], verdict["baseline_version"] or "", verdict["takes_alias"]
    )


def _probe_record(probe_dir: str) -> chain.ProbeRecord:
    record = files.read_json(posixpath.join(probe_dir, model_files.PROBE_RECORD))
    return chain.ProbeRecord(record["backbone_uri"], record["backbone_content_hash"])
