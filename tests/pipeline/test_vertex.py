"""The compiled pipeline as Vertex AI would read it: tasks, edges, images, commands, machines, parameters and types."""

import dataclasses
import importlib
import json
import pathlib
import re
from types import SimpleNamespace

import pytest
import yaml
from google.cloud.aiplatform_v1.types import CustomJob, PipelineJob
from google.protobuf import json_format
from kfp import dsl
from kfp.pipeline_spec import pipeline_spec_pb2

import pipeline_config
from cli.submit import as_text
from components import exclusive_pretrain
from components.pusher.component import PIPELINE_JOB_NAME
from components.report import entry_point
from contracts import how_to_run
from pipeline import vertex
from pipeline.identity import node_code
from pipeline.settings import configuration
from pipeline_config import ConfigurationError
from registry.opening import open_registry
from trainer import pretrain
from vertex.target import legal_accelerators

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden" / "vertex_gpu.txt"
TARGET = vertex.Target("a-project", "europe-west4", "gs://a-bucket/flowers", "europe-west4-docker.pkg.dev/a-project/r/flowers:1")
DATA = "data.source=gs://photographs/flowers"
EDGES = {
    "SourceInspector": set(),
    "ExampleGen": {"SourceInspector"},
    "StatisticsGen": {"ExampleGen"},
    "SchemaGen": {"StatisticsGen"},
    "ExampleValidator": {"StatisticsGen", "SchemaGen"},
    "DataGate": {"ExampleGen", "ExampleValidator"},
    "Pretrain": {"ExampleGen", "DataGate"},
    "Champion": {"SourceInspector", "Pretrain"},
    "ChampionRecord": {"Champion"},
    "LinearEval": {"ExampleGen", "DataGate", "Pretrain", "ChampionRecord"},
    "Evaluator": {"ExampleGen", "LinearEval", "Champion"},
    "Pusher": {"ExampleGen", "Pretrain", "LinearEval", "Evaluator"},
    "Report": {"ExampleGen", "ExampleValidator", "Pretrain", "LinearEval", "Evaluator", "Pusher"},
}
BEAM = {"ExampleGen", "StatisticsGen", "Evaluator"}


def compiled(*overrides, target=TARGET):
    return vertex.pipeline_job(configuration("gpu", [DATA, *overrides]), target)


@pytest.fixture(scope="module")
def job():
    return compiled()


@pytest.fixture(scope="module")
def tasks(job):
    return tasks_of(job)


def tasks_of(job):
    """All tasks but the exit handler, which are a DAG within the DAG."""
    return job["pipelineSpec"]["components"]["tfx-dag"]["dag"]["tasks"]


def containers(job):
    return {name.removesuffix("_executor"): executor["container"]
            for name, executor in job["pipelineSpec"]["deploymentSpec"]["executors"].items()}  # fmt: skip


def parameter(job, task, name):
    return tasks_of(job)[task]["inputs"]["parameters"][name]["runtimeValue"]["constant"]


def custom_job(job, task):
    """The trainer's CustomJob in the API's own type, which refuses unknown fields, wrong types and unknown names."""
    arguments = json.loads(parameter(job, task, "custom_config"))["ai_platform_training_args"]
    assert arguments.pop("project") == "a-project"
    return CustomJob(arguments)


def summary(job):
    """What a review has to see of a change: each task with what it waits for, runs, runs on, takes and gives; no values."""
    lines = [
        f"{job['displayName']}: labels {dict(sorted(job['labels'].items()))}, outputs below {job['runtimeConfig']['gcsOutputDirectory']}"
    ]
    components = job["pipelineSpec"]["components"]
    for name, task in sorted((tasks_of(job) | job["pipelineSpec"]["root"]["dag"]["tasks"]).items()):
        if name == "tfx-dag":
            continue
        container, inputs, gives = containers(job)[name], task["inputs"], components[name].get("outputDefinitions", {})
        entry_point, executor = container["command"], container["args"][1]
        options = container["args"][6:]
        lines += [
            "", f"{name}{'' if 'cachingOptions' in task else ', never cached'}",
            f"  after {', '.join(sorted(task.get('dependentTasks', ['nothing'])))}",
            f"  runs {' '.join(entry_point)} {executor} {' '.join(options)}".rstrip(),
            *([f"  on {dict(sorted(container['resources'].items()))}"] if "resources" in container else []),
            *(job_lines(job, name) if "custom_config" in inputs["parameters"] else []),
            *(f"  takes {kind} {', '.join(sorted(inputs[kind]))}" for kind in ("artifacts", "parameters") if kind in inputs),
            *(f"  gives {kind} {', '.join(sorted(gives[kind]))}" for kind in ("artifacts", "parameters") if kind in gives),
        ]  # fmt: skip
    return "\n".join([*lines, ""])


def job_lines(job, task):
    """What a trainer's own job runs on, and is told."""
    spec = custom_job(job, task).job_spec
    (pool,) = spec.worker_pool_specs
    machine, disk, ways = pool.machine_spec, pool.disk_spec, spec.scheduling
    config = json.loads(parameter(job, task, "custom_config"))
    accelerators = f"{machine.accelerator_count} x {machine.accelerator_type.name}" if machine.accelerator_count else "no accelerator"
    return [
        f"  as a job on {pool.replica_count} x {machine.machine_type}, {accelerators}, {disk.boot_disk_size_gb} GB {disk.boot_disk_type}",
        f"  scheduled {ways.strategy.name}, for {ways.timeout}, restart {ways.restart_job_on_worker_restart}",
        f"  with environment {', '.join(sorted(one.name for one in pool.container_spec.env)) or 'as it is'}",
        f"  told {', '.join(sorted(config))}",
    ]  # fmt: skip


def test_the_gpu_preset_compiles_to_what_the_golden_summary_says(job):
    # After a change that is meant: PYTHONPATH=. python tests/pipeline/test_vertex.py, and the review sees what it changed.
    assert summary(job) == GOLDEN.read_text()


def test_the_settings_in_the_job_are_those_of_the_preset(job):
    config = configuration("gpu", [DATA])
    pretrain = json.loads(parameter(job, "Pretrain", "custom_config"))
    assert json.loads(pretrain["pretrain"]) == as_json(pipeline_config.identity(config.pretrain))
    assert json.loads(pretrain["embedding"]) == as_json(pipeline_config.identity(config.embedding))
    linear_eval = json.loads(parameter(job, "LinearEval", "custom_config"))
    assert json.loads(linear_eval["linear_eval"]) == as_json(pipeline_config.identity(config.linear_eval))
    assert json.loads(parameter(job, "ExampleGen", "data")) == as_json(pipeline_config.ingest(config.data))
    assert json.loads(parameter(job, "Evaluator", "gate")) == as_json(dataclasses.asdict(config.gate))
    assert tasks_of(job)["DataGate"]["inputs"]["parameters"]["max_bad_fraction"]["runtimeValue"]["constant"] == (
        config.data.max_bad_fraction)  # fmt: skip


def as_json(value):
    return json.loads(json.dumps(value))


def test_the_same_input_gives_the_same_bytes(job):
    assert as_text(compiled()) == as_text(job)


def test_google_s_own_types_accept_the_job(job):
    parsed = PipelineJob.from_json(json.dumps(job))  # raises for a field that the API does not have
    assert parsed.runtime_config.gcs_output_directory == "gs://a-bucket/flowers/pipeline_root"
    spec = json_format.ParseDict(job["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(job["pipelineSpec"]["deploymentSpec"], pipeline_spec_pb2.PipelineDeploymentConfig())
    assert spec.schema_version == "2.1.0"


def test_tasks_and_edges_are_those_of_the_drawing(tasks):
    assert {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()} == EDGES


def test_every_task_runs_our_image_by_tfx_s_entry_point(job):
    tfx = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"
    assert entry_point.TFX == tfx
    for name, container in containers(job).items():
        assert container["image"] == TARGET.image, name
        # The page's type has to be made known first; see there.
        assert container["command"] == ["python", "-m", "components.report.entry_point" if name == "Report" else tfx]
        assert container["args"][2:4] == ["--json_serialized_invocation_args", "{{$}}"]


def test_every_executor_and_artifact_type_can_be_imported_by_its_name(job):
    # A container imports them so: an artifact type of ours by the title of its schema.
    names = [container["args"][1] for container in containers(job).values()]
    for component in job["pipelineSpec"]["components"].values():  # of which one is the inner DAG and has no types
        for side in ("inputDefinitions", "outputDefinitions"):
            for artifact in component.get(side, {}).get("artifacts", {}).values():
                kind = artifact["artifactType"]
                title = yaml.safe_load(kind["instanceSchema"])["title"] if "instanceSchema" in kind else kind["schemaTitle"]
                names += [] if title.startswith(("tfx.", "system.")) else [title]
    assert "components.IngestReport" in names
    for name in names:
        module, _, attribute = name.rpartition(".")
        assert isinstance(getattr(importlib.import_module(module), attribute), type), name


def test_the_page_has_the_type_under_which_vertex_ai_shows_a_page(job):
    # As kfp's own component with an HTML output has it.
    @dsl.component
    def write(page: dsl.Output[dsl.HTML]): ...

    expected = write.component_spec.outputs["page"]
    title, version = expected.type.split("@")
    artifacts = job["pipelineSpec"]["components"]["Report"]["outputDefinitions"]["artifacts"]
    assert artifacts["page"]["artifactType"] == {"schemaTitle": title, "schemaVersion": version}


def test_pre_training_is_a_job_on_spot_gpus_that_starts_again(job):
    found = custom_job(job, "Pretrain").job_spec
    (pool,) = found.worker_pool_specs
    assert pool.machine_spec.machine_type == "a2-highgpu-4g" and pool.machine_spec.accelerator_type.name == "NVIDIA_TESLA_A100"
    assert pool.machine_spec.accelerator_count == 4 and pool.replica_count == 1
    assert pool.disk_spec.boot_disk_size_gb == 200 and pool.container_spec.image_uri == TARGET.image
    assert found.scheduling.strategy.name == "SPOT" and found.scheduling.restart_job_on_worker_restart
    assert found.scheduling.timeout.total_seconds() == 72 * 3600


def test_pre_training_there_has_a_lock_and_is_the_same_otherwise(job, monkeypatch):
    module, _, function = parameter(job, "Pretrain", "run_fn").rpartition(".")
    run_fn, seen = getattr(importlib.import_module(module), function), []
    monkeypatch.setattr(pretrain, "run_fn", lambda *given: seen.append(given))
    run_fn(SimpleNamespace(custom_config=json.loads(parameter(job, "Pretrain", "custom_config"))))
    ((_, alone_in),) = seen
    assert (alone_in.func, alone_in.keywords) == (exclusive_pretrain.alone_in, {"project": "a-project"})


def test_linear_evaluation_is_a_job_on_a_smaller_machine(job):
    (pool,) = custom_job(job, "LinearEval").job_spec.worker_pool_specs
    assert pool.machine_spec.machine_type == "n2-standard-8" and pool.machine_spec.accelerator_count == 0


def test_beam_runs_on_the_task_s_machine_or_on_dataflow(job):
    for name, container in containers(job).items():
        assert ("resources" in container) == any("FnApiRunner" in argument for argument in container["args"]) == (name in BEAM)
    on_dataflow = containers(compiled(target=dataclasses.replace(TARGET, beam_runner="dataflow")))
    for name, container in on_dataflow.items():
        assert ("--runner=DataflowRunner" in container["args"]) == (name in BEAM)
        assert "resources" not in container
    assert {"--project=a-project", "--region=europe-west4", "--temp_location=gs://a-bucket/flowers/dataflow",
            f"--sdk_container_image={TARGET.image}"} <= set(on_dataflow["ExampleGen"]["args"])  # fmt: skip


def test_beam_runs_by_a_job_server_whose_workers_are_a_pool_s(job):
    target = dataclasses.replace(TARGET, beam_endpoint="flink.inside:8099", beam_workers="localhost:50000")
    for name, container in containers(compiled(target=target)).items():
        assert "resources" not in container  # the work is not the task's
        wanted = {"--runner=PortableRunner", "--job_endpoint=flink.inside:8099", "--environment_type=EXTERNAL",
                  "--environment_config=localhost:50000"}  # fmt: skip
        assert wanted <= set(container["args"]) if name in BEAM else wanted.isdisjoint(container["args"])
        assert not any("FnApiRunner" in argument for argument in container["args"])


def test_who_runs_it_and_where_is_everywhere_it_has_to_be():
    key = "projects/a-project/locations/europe-west4/keyRings/r/cryptoKeys/k"
    account, network = "runner@a-project.iam.gserviceaccount.com", "projects/12/global/networks/inside"
    found = compiled(f"vertex.service_account={account}", f"vertex.network={network}", f"vertex.kms_key={key}",
                     "vertex.labels=team=flowers,cost=7", "vertex.linear_eval.timeout_hours=0.5",
                     target=dataclasses.replace(TARGET, beam_runner="dataflow"))  # fmt: skip
    labels = {"pipeline": "flowers", "preset": "gpu", "team": "flowers", "cost": "7"}
    assert (found["serviceAccount"], found["network"], found["encryptionSpec"]["kmsKeyName"]) == (account, network, key)
    assert found["labels"] == labels
    PipelineJob.from_json(json.dumps(found))
    for task in ("Pretrain", "LinearEval"):
        started = custom_job(found, task)
        assert (started.job_spec.service_account, started.job_spec.network) == (account, network)
        assert started.encryption_spec.kms_key_name == key and dict(started.labels) == labels
    assert started.job_spec.scheduling.timeout.total_seconds() == 1800
    on_dataflow = {f"--service_account_email={account}", "--network=inside", f"--dataflow_kms_key={key}", "--labels=team=flowers"}
    assert on_dataflow <= set(containers(found)["Evaluator"]["args"])


def test_the_pusher_is_told_the_job_s_name(job):
    assert parameter(job, "Pusher", "run_id") == PIPELINE_JOB_NAME == dsl.PIPELINE_JOB_NAME_PLACEHOLDER


def test_photographs_that_nobody_looked_at_are_looked_at_in_every_run(tasks):
    # Vertex AI's cache compares the values of parameters and the ids of artifacts: the same fingerprint is the same ExampleGen,
    # and all that follows from it; another fingerprint is none that was ever seen.
    assert "cachingOptions" not in tasks["SourceInspector"]
    others = {name: task for name, task in tasks.items() if name not in ("SourceInspector", "Champion", "Evaluator")}
    assert all(task["cachingOptions"] == {"enableCache": True} for task in others.values())
    assert tasks["ExampleGen"]["inputs"]["parameters"]["fingerprint"] == {
        "taskOutputParameter": {"producerTask": "SourceInspector", "outputParameterKey": "fingerprint"}}  # fmt: skip


@pytest.fixture(scope="module")
def warm():
    """The job of a schedule whose runs continue from the champion."""
    config = configuration("gpu", [DATA, "pretrain.warm_start_epochs=11"])
    return vertex.pipeline_job(config, TARGET, warm_start="champion", schedule="weekly", from_scratch_every=4)


def test_a_warm_start_is_looked_up_in_every_run_and_copied_where_it_is_another(warm):
    tasks = tasks_of(warm)
    assert {name: set(task.get("dependentTasks", ())) for name, task in tasks.items()} == EDGES | {
        "StartingPoint": {"SourceInspector"}, "StartingBackbone": {"StartingPoint"},
        "Champion": {"SourceInspector", "StartingPoint", "Pretrain"},
        "Pretrain": {"ExampleGen", "DataGate", "StartingBackbone"}}  # fmt: skip
    assert {name for name, task in tasks.items() if "cachingOptions" not in task} == {
        "SourceInspector", "StartingPoint", "Champion", "Evaluator"}  # fmt: skip
    # The cache compares a parameter by its value: the same version is the same copy, by the same id, and so the same Pretrain.
    for task, name, producer, output in (("StartingPoint", "fingerprint", "SourceInspector", "fingerprint"),
                                         ("StartingBackbone", "start", "StartingPoint", "start")):  # fmt: skip
        assert tasks[task]["inputs"]["parameters"][name] == {
            "taskOutputParameter": {"producerTask": producer, "outputParameterKey": output}}  # fmt: skip
    assert tasks["StartingBackbone"]["inputs"]["parameters"].keys() == {"start", "code_version"}
    assert tasks["Pretrain"]["inputs"]["artifacts"]["base_model"] == {
        "taskOutputArtifact": {"producerTask": "StartingBackbone", "outputArtifactKey": "model"}}  # fmt: skip
    spec = json_format.ParseDict(warm["pipelineSpec"], pipeline_spec_pb2.PipelineSpec())
    assert set(spec.components["StartingPoint"].output_definitions.parameters) == {"start"}


def test_the_lookup_knows_schedule_registry_and_network(warm):
    given = {name: parameter(warm, "StartingPoint", name) for name in (
        "wanted", "schedule", "from_scratch_every", "registry", "name", "starts_dir", "outcomes_dir", "job")}  # fmt: skip
    assert given == {
        "wanted": "champion", "schedule": "weekly", "from_scratch_every": 4, "registry": parameter(warm, "Pusher", "registry_dir"),
        "name": "flowers-backbone", "starts_dir": "gs://a-bucket/flowers/starts/weekly", "outcomes_dir": "gs://a-bucket/flowers/outcomes",
        "job": PIPELINE_JOB_NAME}  # fmt: skip
    assert json.loads(parameter(warm, "StartingPoint", "network")) == {
        "backbone": "resnet50", "width": 64, "stem": "imagenet", "resolution": 224}  # fmt: skip


def test_pre_training_has_both_schedules_and_their_candidates_are_different_recipes(warm, job):
    custom = json.loads(parameter(warm, "Pretrain", "custom_config"))
    rate = pipeline_config.GPU.pretrain.warm_start_learning_rate
    assert json.loads(custom["warm_start"]) == {"epochs": 11, "base_learning_rate": rate}
    assert json.loads(custom["pretrain"])["epochs"] == pipeline_config.GPU.pretrain.epochs
    assert "warm_start" not in json.loads(parameter(job, "Pretrain", "custom_config"))
    assert parameter(warm, "Pusher", "recipe") != parameter(job, "Pusher", "recipe")


def test_the_fingerprint_of_synthetic_data_is_known_without_a_look():
    synthetic = vertex.pipeline_job(configuration("gpu"), TARGET)
    assert set(tasks_of(synthetic)) == set(EDGES) - {"SourceInspector"}
    assert re.fullmatch("[0-9a-f]{64}", parameter(synthetic, "ExampleGen", "fingerprint"))


def test_labels_and_unlabelled_photographs_of_buckets_are_looked_at_in_every_run_too():
    job = compiled("data.labels=gs://photographs/labels.csv", "data.unlabelled=gs://photographs/more")
    for task in ("SourceInspector", "ExampleGen"):
        data = json.loads(parameter(job, task, "data"))
        assert (data["labels"], data["unlabelled"]) == ("gs://photographs/labels.csv", "gs://photographs/more")
    # What is drawn is known without a look; what lies in a bucket beside it is not.
    assert "SourceInspector" in tasks_of(vertex.pipeline_job(configuration("gpu", ["data.unlabelled=gs://photographs/more"]), TARGET))


def test_the_champion_is_looked_up_in_every_run_and_linear_eval_is_served_from_the_cache_where_it_is_the_same(job, warm, tasks):
    place = "vertex://a-project/europe-west4/gs://a-bucket/flowers/registry"
    assert (
        parameter(job, "Champion", "registry")
        == parameter(job, "Evaluator", "registry")
        == parameter(job, "Pusher", "registry_dir")
        == place
    )
    for task in ("Champion", "Evaluator", "Pusher"):
        assert parameter(job, task, "name") == "flowers-backbone"
    # With the recipe as the Pusher registers it, a champion that this job makes is compared with what it was judged against.
    for one in (job, warm):
        assert parameter(one, "Champion", "recipe") == parameter(one, "Pusher", "recipe")
    assert json.loads(parameter(job, "Champion", "start")) == {"version": "", "backbone": "", "content_hash": "", "network": ""}
    # Another champion is another question, and no input of the tasks shows it.
    assert not any("cachingOptions" in tasks[task] for task in ("Champion", "Evaluator"))

    def comes_from(task, name):
        return tasks[task]["inputs"]["parameters"][name]["taskOutputParameter"]

    # The cache compares a parameter by its value: the same versions are the same record, by the same id, and so the same LinearEval.
    assert tasks["ChampionRecord"]["inputs"]["parameters"].keys() == {"compared", "code_version"}
    assert comes_from("ChampionRecord", "compared") == {"producerTask": "Champion", "outputParameterKey": "compared"}
    assert tasks["LinearEval"]["inputs"]["artifacts"]["hyperparameters"] == {
        "taskOutputArtifact": {"producerTask": "ChampionRecord", "outputArtifactKey": "record"}}  # fmt: skip
    assert comes_from("Evaluator", "champion") == {"producerTask": "Champion", "outputParameterKey": "champion"}
    assert comes_from("Evaluator", "recipe") == {"producerTask": "Champion", "outputParameterKey": "candidate_recipe"}
    registry = open_registry(place, "flowers-backbone")
    assert (registry.connection.project, registry.connection.region) == ("a-project", "europe-west4")
    assert registry.folder == "gs://a-bucket/flowers/registry"


def test_container_and_key_of_versions_can_be_set():
    key, image = "projects/a-project/locations/europe-west4/keyRings/r/cryptoKeys/k", "europe-docker.pkg.dev/p/r/serving:1"
    found = compiled(f"vertex.kms_key={key}", f"vertex.serving_image={image}")
    registry = open_registry(parameter(found, "Pusher", "registry_dir"), "flowers-backbone")
    assert (registry.kms_key, registry.serving_image) == (key, image)


def test_the_outcome_is_reported_after_all_other_tasks_however_they_ended(job):
    at_root = job["pipelineSpec"]["root"]["dag"]["tasks"]
    assert set(at_root) == {"tfx-dag", "RunOutcome"}
    assert at_root["RunOutcome"]["dependentTasks"] == ["tfx-dag"] and "cachingOptions" not in at_root["RunOutcome"]
    assert at_root["RunOutcome"]["triggerPolicy"] == {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}
    given = at_root["RunOutcome"]["inputs"]["parameters"]
    assert given["final_status"] == {"taskFinalStatus": {"producerTask": "tfx-dag"}}
    assert given["outcomes_dir"]["runtimeValue"]["constant"] == "gs://a-bucket/flowers/outcomes"


def test_caches_follow_the_code(job, warm):
    code = node_code()
    for task in ("SourceInspector", "ExampleGen", "SchemaGen", "DataGate", "Champion", "ChampionRecord", "Evaluator", "Pusher", "Report"):
        assert json.loads(parameter(job, task, "code_version")) == code[task]
    for task in ("StartingPoint", "StartingBackbone"):
        assert json.loads(parameter(warm, task, "code_version")) == code[task]
    # An edit to the registry looks the version up anew, and pre-trains nothing anew.
    assert "registry/backend.py" in code["StartingPoint"] and "registry/backend.py" not in code["StartingBackbone"]
    assert "registry/backend.py" in code["Champion"]
    assert not any("registry/backend.py" in code[task] for task in ("ChampionRecord", "LinearEval"))
    for task in ("Pretrain", "LinearEval"):
        assert json.loads(json.loads(parameter(job, task, "custom_config"))["code_version"]) == code[task]


def test_nothing_in_the_job_is_a_path_of_this_machine(job):
    assert str(pathlib.Path.home()) not in as_text(job) and str(pathlib.Path(__file__).parents[2]) not in as_text(job)


@pytest.mark.parametrize(("overrides", "message"), [
    (["data.source=/home/me/flowers"], "data.source must be gs://BUCKET/FOLDER"),
    ([DATA, "data.labels=labels.csv"], "data.labels must be gs://BUCKET/FILE"),
    ([DATA, "data.unlabelled=/home/me/more"], "data.unlabelled must be gs://BUCKET/FOLDER or tfds:NAME"),
    (["vertex.pretrain.machine_type=a2-highgpu-3g"], "a2-highgpu-4g"),
    (["vertex.pretrain.accelerators=2"], "4 x NVIDIA_TESLA_A100 for a2-highgpu-4g"),
    (["vertex.linear_eval.accelerator=NVIDIA_L4", "vertex.linear_eval.accelerators=1"], "must be none for n2-standard-8"),
    (["vertex.pretrain.machine_type=a3-highgpu-1g", "vertex.pretrain.accelerator=NVIDIA_H100_80GB",
      "vertex.pretrain.accelerators=1", "vertex.pretrain.spot=false"], "vertex.pretrain.spot must be true"),
    (["vertex.pretrain.boot_disk_gb=50"], "vertex.pretrain.boot_disk_gb must be between 100 and 64,000"),
    (["registry.name=Flowers.1"], "registry.name must be at most 63 lower-case letters"),
    (["registry.place=http://mlflow.example.org:5000"], "registry.place must be empty on Vertex AI"),
    (["vertex.serving_image=an image"], "vertex.serving_image must be HOST/PATH:TAG"),
    (["vertex.labels=Team=Flowers"], "vertex.labels must be KEY=VALUE of lower-case"),
    (["vertex.service_account=-----BEGIN PRIVATE KEY-----"], "vertex.service_account must be a service account's email"),
    (["vertex.kms_key=projects/a/locations/us-east1/keyRings/r/cryptoKeys/k"], "vertex.kms_key must be a key in europe-west4"),
])  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_is_built(overrides, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        vertex.require_compilable(configuration("gpu", [DATA, *overrides]), TARGET)


@pytest.mark.parametrize("key", ["data.source", "data.unlabelled"])
@pytest.mark.parametrize(("engine", "option"), [
    ({"beam_runner": "dataflow"}, "--beam-runner dataflow"), ({"beam_endpoint": "a:1", "beam_workers": "b:2"}, "--beam-endpoint"),
])  # fmt: skip
def test_a_tfds_data_set_is_refused_where_other_machines_ingest(key, engine, option):
    with pytest.raises(ConfigurationError, match=f"{key} must be gs://BUCKET/FOLDER with {option}"):
        vertex.require_compilable(configuration("gpu", [DATA, f"{key}=tfds:stl10"]), dataclasses.replace(TARGET, **engine))


@pytest.mark.parametrize(("engine", "message"), [
    ({"beam_endpoint": "a:1"}, "--beam-workers must be given together with --beam-endpoint"),
    ({"beam_workers": "a:1"}, "--beam-workers must be given together with --beam-endpoint"),
    ({"beam_endpoint": "a", "beam_workers": "b:2"}, "--beam-endpoint must be HOST:PORT"),
    ({"beam_endpoint": "a:1", "beam_workers": "b:2 --runner=X"}, "--beam-workers must be HOST:PORT"),
    ({"beam_endpoint": "a:1", "beam_workers": "b:2", "beam_runner": "dataflow"}, "--beam-runner must be left out with --beam-endpoint"),
])  # fmt: skip
def test_an_engine_that_cannot_be_one_is_refused(engine, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)):
        dataclasses.replace(TARGET, **engine)


@pytest.mark.parametrize(("field", "value"), [
    ("project", "A Project"), ("region", "europe"), ("bucket", "a-bucket"), ("bucket", "gs://a-bucket/"),
    ("image", "flowers"), ("beam_runner", "flink"),
])  # fmt: skip
def test_a_target_that_cannot_be_one_is_refused(field, value):
    with pytest.raises(ConfigurationError, match=field.replace("_", "-")):
        dataclasses.replace(TARGET, **{field: value})


@pytest.mark.parametrize(("machine", "legal"), [
    # The rows of Google's table of GPUs by machine type.
    ("n1-standard-8", {("NVIDIA_TESLA_T4", 1), ("NVIDIA_TESLA_T4", 2), ("NVIDIA_TESLA_T4", 4), ("NVIDIA_TESLA_V100", 1),
                       ("NVIDIA_TESLA_V100", 2), ("NVIDIA_TESLA_V100", 4), ("NVIDIA_TESLA_V100", 8), ("NVIDIA_TESLA_P100", 1),
                       ("NVIDIA_TESLA_P100", 2), ("NVIDIA_TESLA_P100", 4), ("", 0)}),
    ("n1-standard-96", {("NVIDIA_TESLA_T4", 4), ("NVIDIA_TESLA_V100", 8), ("", 0)}),
    ("g2-standard-24", {("NVIDIA_L4", 2)}),
    ("e2-standard-4", {("", 0)}),
])  # fmt: skip
def test_the_table_of_accelerators_is_google_s(machine, legal):
    assert set(legal_accelerators(machine)) == legal


if __name__ == "__main__":
    GOLDEN.write_text(summary(compiled()))


@pytest.mark.parametrize(("settings", "pretrain", "linear_eval"), [
    ((), 4, None),
    (("vertex.pretrain.machine_type=n1-standard-8", "vertex.pretrain.accelerator=NVIDIA_TESLA_T4", "vertex.pretrain.accelerators=1",
      "vertex.linear_eval.machine_type=n1-standard-8", "vertex.linear_eval.accelerator=NVIDIA_TESLA_T4",
      "vertex.linear_eval.accelerators=2"), 1, 2),
])  # fmt: skip
def test_a_task_is_told_how_many_gpus_its_machine_should_have(settings, pretrain, linear_eval):
    config = configuration("gpu", ("data.source=gs://photographs/f", *settings))
    for worker, count in ((config.vertex.pretrain, pretrain), (config.vertex.linear_eval, linear_eval or 0)):
        running = how_to_run.settings({how_to_run.VARIABLE: vertex.how_pretrain_runs(vertex._with_gpus(config, worker))})
        assert (running["min_gpus"], running["allow_cpu"]) == (count, False)
