"""The DAG's nodes and edges, as the representation has them that every runner executes."""

import json

import pytest

from pipeline import dag
from pipeline.identity import EXECUTED, Origin, recipe
from pipeline.settings import configuration

CODE = {node: {f"{node}.py": "0123456789ab"} for node in EXECUTED}
ORIGIN = Origin(data_fingerprint="print", code=CODE, packages={})
PLACES = dag.Places(pipeline_root="/r/artifacts", datasets="/r/datasets", checkpoints="/r/checkpoints", registry="/r/registry")

# Set here, so that the presets may change without these tests.
SETTINGS = ("pretrain.views.hue=0.03", "linear_eval.neighbours=7", "linear_eval.folds=4", "gate.min_accuracy=0.6")

CHAMPION = json.dumps({"version": "3", "challenge": 4, "best": {"version": "2"}})

# Every node with the nodes that it waits for: the drawing in docs.
EDGES = {
    "ExampleGen": set(),
    "StatisticsGen": {"ExampleGen"},
    "SchemaGen": {"StatisticsGen"},
    "ExampleValidator": {"StatisticsGen", "SchemaGen"},
    "DataGate": {"ExampleGen", "ExampleValidator"},
    "Pretrain": {"ExampleGen", "DataGate"},
    "LinearEval": {"ExampleGen", "DataGate", "Pretrain"},
    "Evaluator": {"ExampleGen", "LinearEval"},
    "Pusher": {"ExampleGen", "Pretrain", "LinearEval", "Evaluator"},
    "Report": {"ExampleGen", "ExampleValidator", "Pretrain", "LinearEval", "Evaluator", "Pusher"},
}


def pipeline(champion=""):
    return dag.create_pipeline(configuration("quick", SETTINGS), ORIGIN, champion, PLACES)


@pytest.fixture(scope="module")
def nodes():
    from tfx.dsl.compiler.compiler import Compiler

    representation = Compiler().compile(pipeline(champion=CHAMPION))
    return {node.pipeline_node.node_info.id: node.pipeline_node for node in representation.nodes}


def parameter(node, name):
    value = node.parameters.parameters[name].field_value
    return getattr(value, value.WhichOneof("value"))


def test_nodes_and_edges_are_those_of_the_drawing(nodes):
    assert {name: set(node.upstream_nodes) for name, node in nodes.items()} == EDGES


def test_the_order_of_the_nodes_runs_along_the_edges(nodes):
    order = list(nodes)
    assert all(order.index(before) < order.index(name) for name, node in nodes.items() for before in node.upstream_nodes)


def test_every_node_may_be_served_from_the_cache(nodes):
    assert all(node.execution_options.caching_options.enable_cache for node in nodes.values())


def test_pre_training_is_given_no_eval_split(nodes):
    assert json.loads(parameter(nodes["Pretrain"], "eval_args")) == {"splits": ["train"]}
    assert json.loads(parameter(nodes["Pretrain"], "train_args")) == {"splits": ["train", "unlabelled"]}


def test_the_trainers_get_their_settings_and_what_identifies_them(nodes):
    custom = json.loads(parameter(nodes["Pretrain"], "custom_config"))
    assert json.loads(custom.pop("pretrain"))["views"]["hue"] == 0.03
    assert json.loads(custom.pop("embedding"))["pooling"] == ["mean"]
    assert custom == {"checkpoint_dir": "/r/checkpoints", "code_version": json.dumps(CODE["Pretrain"])}
    custom = json.loads(parameter(nodes["LinearEval"], "custom_config"))
    assert json.loads(custom["linear_eval"])["folds"] == 4 and json.loads(custom["code_version"]) == CODE["LinearEval"]


def test_our_components_change_with_their_code(nodes):
    # The cache looks at parameters: without this one yesterday's output would be served for today's code.
    for name in ("ExampleGen", "SchemaGen", "DataGate", "Evaluator", "Pusher", "Report"):
        assert json.loads(parameter(nodes[name], "code_version")) == CODE[name], name


def test_linear_eval_and_the_gate_get_the_champion_and_the_gate_its_thresholds(nodes):
    assert parameter(nodes["Evaluator"], "champion") == CHAMPION
    # Which challenge it is changes no probe, and so runs no LinearEval again.
    custom = json.loads(parameter(nodes["LinearEval"], "custom_config"))
    assert json.loads(custom["champion"]) == {"version": "3", "best": {"version": "2"}}
    without = {node.id: node for node in pipeline().components}
    assert "champion" not in json.loads(without["LinearEval"].exec_properties["custom_config"])
    assert without["Evaluator"].exec_properties["champion"] == ""
    assert without["Evaluator"].exec_properties["recipe"] == recipe(configuration("quick", SETTINGS), ORIGIN)
    assert json.loads(parameter(nodes["Evaluator"], "gate"))["min_accuracy"] == 0.6


def test_the_same_arguments_give_the_same_dag_byte_for_byte():
    from tfx.dsl.compiler.compiler import Compiler

    first, second = (Compiler().compile(pipeline()).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second
