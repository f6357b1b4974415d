"""The DAG: photographs in, a registered backbone out, the gate between.

     photographs -> ExampleGen -> StatisticsGen -> SchemaGen -> ExampleValidator -> DataGate (refuses the data, or lets it pass)
                        |                                                              :
                        +----------> Pretrain   (SimSiam, no labels)  <................+
                        |                | backbone                                    :
                        +----------> LinearEval (the same probe on frozen  <...........+
                        |                | probes    backbones: candidate, random-init, champion)
                        +----------> Evaluator  (measures and compares them)
                                         | blessing
                                     Pusher     (blessing <-> probe <-> backbone, then the registry)
                                         |
                                     Report     (one HTML page of all outputs)

`create_pipeline` is pure: its result depends on its arguments alone; it reads, writes and looks up nothing.
"""

import dataclasses
import json
from collections.abc import Mapping

from tfx.components.example_validator.component import ExampleValidator
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.trainer.component import Trainer
from tfx.dsl.components.base.base_node import BaseNode
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import trainer_pb2

import pipeline_config
from components.champion.champion import Champion
from components.champion.champion_record import ChampionRecord
from components.data_gate import DataGate
from components.evaluator.component import GateEvaluator
from components.example_gen.component import FlowersExampleGen
from components.pusher.component import PIPELINE_JOB_NAME, RegistryPusher
from components.report import artifacts as reported
from components.report.component import RunReport
from components.schema_gen import FlowersSchemaGen, statistics_options
from components.source_inspector import SourceInspector
from components.warm_start.starting_backbone import StartingBackbone
from components.warm_start.starting_point import StartingPoint
from contracts import how_to_run
from contracts.examples import TRAIN, UNLABELLED
from pipeline.identity import MAKERS, Origin, code_line, recipe, settings_and_code
from pipeline_config import PIPELINE_NAME, Config
from registry import comparison
from registry.starting_point import SAME


@dataclasses.dataclass(frozen=True)
class Places:
    """Where the nodes read and write, local or remote. The same for every run below one DIR, as the cache requires.

    Attributes:
      pipeline_root: folder of the nodes' outputs.
      datasets: folder of generated data sets.
      checkpoints: folder with a subfolder for each pre-training's checkpoints.
      registry: place of the registry, as registry.opening understands it.
    """

    pipeline_root: str
    datasets: str
    checkpoints: str
    registry: str


@dataclasses.dataclass(frozen=True)
class LookUpStart:
    """A pre-training that continues from a registered version which the run looks up when it starts.

    Attributes:
      wanted: number or alias of the version.
      starts, outcomes: folders of the records from which the runs of a schedule decide.
      schedule: name of the schedule that starts the runs; "" for a run that is started by itself.
      from_scratch_every: each run of the schedule of this number starts from random weights; 0: none but the first.
    """

    wanted: str
    starts: str
    outcomes: str
    schedule: str = ""
    from_scratch_every: int = 0


def create_pipeline(config: Config, origin: Origin, champion: str | None, places: Places, trainer: type[Trainer] = Trainer,
                    jobs: Mapping[str, dict] | None = None, start: LookUpStart | None = None,
                    pretrain_run_fn: str = "trainer.pretrain.run_fn", **runner_options) -> Pipeline:  # fmt: skip
    """The ten nodes and their edges. Before them SourceInspector where `origin` has no fingerprint; before Pretrain, with `start`,
    StartingPoint and StartingBackbone; before LinearEval, where `champion` is None, Champion and ChampionRecord.

    Args:
      config: the settings.
      origin: what identifies data and code; nodes whose inputs did not change are served from the cache.
      champion: JSON of the versions that the candidate is judged against (registry.comparison.champion_for_gate); "" if there is
        no champion; None: they are looked up in the run, after Pretrain.
      places: where nodes read and write.
      trainer: the component class of both trainers; TFX has another that starts a job on Vertex AI.
      jobs: what that other class needs in custom_config, by node id.
      start: the version to continue from, where it is looked up in the run; None: what config.pretrain.warm_start says.
      pretrain_run_fn: path of Pretrain's run_fn.
      **runner_options: passed on to `Pipeline` (metadata connection, Beam arguments).
    """
    code = {node: json.dumps(files, sort_keys=True) for node, files in origin.code.items()}
    data = json.dumps(pipeline_config.ingest(config.data), sort_keys=True)
    inspector, fingerprint = [], origin.data_fingerprint
    if not fingerprint:
        inspector = [SourceInspector(data=data, datasets_dir=places.datasets,
                                     code_version=code["SourceInspector"]).with_id("SourceInspector")]  # fmt: skip
        fingerprint = inspector[0].outputs["fingerprint"].future()[0].value
    example_gen = FlowersExampleGen(
        data=data,
        datasets_dir=places.datasets,
        fingerprint=fingerprint,
        code_version=code["ExampleGen"],
    ).with_id("ExampleGen")
    examples = example_gen.outputs["examples"]

    statistics_gen = StatisticsGen(examples=examples, stats_options=statistics_options()).with_id("StatisticsGen")
    schema_gen = FlowersSchemaGen(statistics=statistics_gen.outputs["statistics"], code_version=code["SchemaGen"]).with_id("SchemaGen")
    example_validator = ExampleValidator(statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]).with_id(
        "ExampleValidator"
    )
    data_gate = DataGate(
        ingest_report=example_gen.outputs["ingest_report"],
        anomalies=example_validator.outputs["anomalies"],
        max_bad_fraction=config.data.max_bad_fraction,
        batch_size=config.pretrain.batch_size,
        code_version=code["DataGate"],
    ).with_id("DataGate")

    jobs = jobs or {"Pretrain": {}, "LinearEval": {}}
    looked_up = starting_nodes(config, start, fingerprint, places, code) if start else []
    warm = of_warm_start(config) if start else None
    pretrain = trainer(
        examples=examples,
        base_model=looked_up[-1].outputs["model"] if looked_up else None,
        run_fn=pretrain_run_fn,
        train_args=trainer_pb2.TrainArgs(splits=[TRAIN, UNLABELLED]),
        # kNN is tracked on the train split: pre-training never opens the eval split.
        eval_args=trainer_pb2.EvalArgs(splits=[TRAIN]),
        custom_config={
            "pretrain": as_json(config.pretrain),
            "embedding": as_json(config.embedding),
            "checkpoint_dir": places.checkpoints,
            "code_version": code["Pretrain"],
            **({"warm_start": json.dumps(warm, sort_keys=True)} if warm else {}),
            **jobs["Pretrain"],
        },
    ).with_id("Pretrain")
    found, judged_recipe, champions = champion, "", []
    if champion is None:
        beginning = looked_up[0].outputs["start"].future()[0].value if looked_up else as_json(config.pretrain.warm_start)
        champions = champion_nodes(config, settings_and_code(config, origin, warm), fingerprint, beginning, places, code)
        # As late as can be: pre-training takes hours.
        champions[0].add_upstream_node(pretrain)
        found, judged_recipe = (champions[0].outputs[name].future()[0].value for name in ("champion", "candidate_recipe"))
    linear_eval = trainer(
        examples=examples,
        base_model=pretrain.outputs["model"],
        hyperparameters=champions[-1].outputs["record"] if champions else None,
        run_fn="trainer.linear_eval.run_fn",
        custom_config={
            "linear_eval": as_json(config.linear_eval),
            "code_version": code["LinearEval"],
            **({"champion": json.dumps(comparison.compared(json.loads(champion)), sort_keys=True)} if champion else {}),
            **jobs["LinearEval"],
        },
    ).with_id("LinearEval")
    # Data that is refused must not cost hours of training first.
    pretrain.add_upstream_node(data_gate)
    linear_eval.add_upstream_node(data_gate)

    evaluator = GateEvaluator(
        examples=examples,
        probe=linear_eval.outputs["model"],
        probe_run=linear_eval.outputs["model_run"],
        gate=as_json(config.gate),
        champion=found,
        registry=places.registry,
        name=config.registry.name,
        recipe=judged_recipe or recipe(config, origin),
        code_version=code["Evaluator"],
    ).with_id("Evaluator")
    pusher = RegistryPusher(
        backbone=pretrain.outputs["model"],
        probe=linear_eval.outputs["model"],
        blessing=evaluator.outputs["blessing"],
        evaluation=evaluator.outputs["evaluation"],
        ingest_report=example_gen.outputs["ingest_report"],
        pretrain_run=pretrain.outputs["model_run"],
        probe_run=linear_eval.outputs["model_run"],
        registry_dir=places.registry,
        name=config.registry.name,
        recipe=settings_and_code(config, origin, warm),
        run_id=PIPELINE_JOB_NAME,
        # The code of every node that contributes to the version, for its record.
        code=code_line({node: origin.code[node] for node in (*MAKERS, "Evaluator", "Pusher")}),
        code_version=code["Pusher"],
        licence=config.data.licence,
        signing_key=config.registry.signing_key,
    ).with_id("Pusher")
    nodes = [example_gen, statistics_gen, schema_gen, example_validator, data_gate, pretrain, *champions, linear_eval, evaluator, pusher]
    by_id = {node.id: node for node in nodes}
    report = RunReport(
        **{name: by_id[node].outputs[output] for name, (node, output) in reported.INPUTS.items()},
        configuration=as_json(config),
        preset=as_json(pipeline_config.PRESETS[config.preset]),
        code=code_line({node: origin.code[node] for node in (*MAKERS, "Evaluator", "Pusher")}),
        code_version=code["Report"],
    ).with_id("Report")

    return Pipeline(
        pipeline_name=PIPELINE_NAME,
        pipeline_root=places.pipeline_root,
        components=[*inspector, *looked_up, *nodes, report],
        enable_cache=True,
        **runner_options,
    )


def starting_nodes(config: Config, start: LookUpStart, fingerprint: object, places: Places, code: Mapping[str, str]) -> list[BaseNode]:
    """StartingPoint, which finds out where pre-training starts, and StartingBackbone, whose output `model` Pretrain takes.

    Args:
      fingerprint: of the photographs, or the output of SourceInspector that will be it.
      code: hashes of the files that each node runs, as JSON.
    """
    point = StartingPoint(
        wanted=start.wanted,
        network=json.dumps({name: getattr(config.pretrain, name) for name in SAME}, sort_keys=True),
        fingerprint=fingerprint,
        registry=places.registry,
        name=config.registry.name,
        schedule=start.schedule,
        from_scratch_every=start.from_scratch_every,
        starts_dir=start.starts,
        outcomes_dir=start.outcomes,
        job=PIPELINE_JOB_NAME,
        code_version=code["StartingPoint"],
    ).with_id("StartingPoint")
    backbone = StartingBackbone(start=point.outputs["start"].future()[0].value, code_version=code["StartingBackbone"]).with_id(
        "StartingBackbone"
    )
    return [point, backbone]


def champion_nodes(
    config: Config, determined_by: str, fingerprint: object, start: object, places: Places, code: Mapping[str, str]
) -> list[BaseNode]:
    """Champion, which finds out what the candidate is compared with, and ChampionRecord, whose output `record` LinearEval takes.

    Args:
      determined_by: the part of the recipe that settings and code give.
      fingerprint: of the photographs, or the output of SourceInspector that will be it.
      start: where pre-training starts, a pipeline_config.WarmStart as JSON, or the output of StartingPoint that will be it.
      code: hashes of the files that each node runs, as JSON.
    """
    champion = Champion(
        registry=places.registry, name=config.registry.name, recipe=determined_by, fingerprint=fingerprint, start=start,
        code_version=code["Champion"],
    ).with_id("Champion")  # fmt: skip
    record = ChampionRecord(compared=champion.outputs["compared"].future()[0].value, code_version=code["ChampionRecord"]).with_id(
        "ChampionRecord"
    )
    return [champion, record]


def of_warm_start(config: Config) -> dict[str, object]:
    """The settings of pre-training that are others where it continues from a registered backbone."""
    return {"epochs": config.pretrain.warm_start_epochs, "base_learning_rate": config.pretrain.warm_start_learning_rate}


def as_json(section: object) -> str:
    """A section of the configuration as JSON for a node's parameter, without the settings that only say how to run."""
    return json.dumps(pipeline_config.identity(section), sort_keys=True)


def how_pretrain_runs(config: Config) -> str:
    """Pretrain's settings that are not parameters, as the value of the variable contracts.how_to_run.VARIABLE."""
    # kNN only monitors training, so its neighbours do not change what is trained.
    return how_to_run.as_text(pipeline_config.running(config.pretrain) | {"neighbours": config.linear_eval.neighbours})
