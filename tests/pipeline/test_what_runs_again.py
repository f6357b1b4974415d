"""File or setting -> the nodes that run again. Each row is tried: the project is copied, edited and run."""

import dataclasses
import json
import pathlib
import shutil

import fork_server
import pytest
from tiny import OPEN_GATE, PATIENCE_SECONDS, PROJECT, TINY

from contracts.source_code import PACKAGES

# A node, and all that depends on what it leaves.
REPORT = ["Report"]
PUSHER = ["Pusher", *REPORT]
EVALUATOR = ["Evaluator", *PUSHER]
LINEAR_EVAL = ["LinearEval", *EVALUATOR]
PRETRAIN = ["Pretrain", *LINEAR_EVAL]
ALL = ["ExampleGen", "StatisticsGen", "SchemaGen", "ExampleValidator", "DataGate", *PRETRAIN]
CODE = "\nEDITED = 1\n"


def code(file):
    return lambda project, photographs: (project / file).write_text((project / file).read_text() + CODE)


def replaced(file, old, new):
    def edit(project, photographs):
        text = (project / file).read_text()
        assert text.count(old) == 1
        (project / file).write_text(text.replace(old, new))

    return edit


def added(project, photographs):
    first = next(photographs.rglob("*.jpg"))
    (first.parent / "new.jpg").write_bytes((photographs.parent / "another.jpg").read_bytes())


# What is edited, by which words a run tells it, and what runs again.
EDITED = {
    "components/report/templates/style.css": (
        replaced("components/report/templates/style.css", "1180px", "1181px"), "components/report/templates/style.css changed", REPORT),
    "components/report/sections.py": (code("components/report/sections.py"), "components/report/sections.py changed", REPORT),
    "registry/publishing.py": (code("registry/publishing.py"), "registry/publishing.py changed", PUSHER),
    "registry/comparison.py": (code("registry/comparison.py"), "registry/comparison.py changed", EVALUATOR),
    "components/evaluator/gate.py": (code("components/evaluator/gate.py"), "components/evaluator/gate.py changed", EVALUATOR),
    "trainer/probe.py": (code("trainer/probe.py"), "trainer/probe.py changed", LINEAR_EVAL),
    "trainer/views.py": (code("trainer/views.py"), "trainer/views.py changed", PRETRAIN),
    "components/schema_gen.py": (code("components/schema_gen.py"), "components/schema_gen.py changed",
                                 ["SchemaGen", "ExampleValidator", "DataGate", *REPORT]),
    "components/example_gen/photograph.py": (
        code("components/example_gen/photograph.py"), "components/example_gen/photograph.py changed", ALL),
    "cli/summary.py": (code("cli/summary.py"), None, []),
    "pipeline/dag.py": (code("pipeline/dag.py"), None, []),
    "vertex/jobs.py": (code("vertex/jobs.py"), None, []),
    "a comment in trainer/simsiam.py": (
        lambda project, photographs: (project / "trainer/simsiam.py").write_text(
            (project / "trainer/simsiam.py").read_text() + "\n# Another word.\n"), None, []),
    "a preset's warm_start_epochs": (replaced("pipeline_config.py", "warm_start_epochs=2,", "warm_start_epochs=3,"), None, []),
    "a default of the gate": (replaced("pipeline_config.py", "max_regression: float = 0.03", "max_regression: float = 0.02"),
                              "gate.max_regression 0.03 → 0.02", EVALUATOR),
    "a preset's weight_decay": (
        lambda project, photographs: (project / "pipeline_config.py").write_text(
            (project / "pipeline_config.py").read_text().replace("weight_decay=5e-4", "weight_decay=6e-4", 1)),
        "pretrain.weight_decay 0.0005 → 0.0006", PRETRAIN),
    "a photograph more": (added, "1 photograph added", ALL),
}  # fmt: skip
SET = {
    "pretrain.epochs=2": ("pretrain.epochs 1 → 2", PRETRAIN),
    "linear_eval.folds=3": ("linear_eval.folds 2 → 3", LINEAR_EVAL),
    "linear_eval.neighbours=5": ("linear_eval.neighbours 3 → 5", LINEAR_EVAL),
    "gate.min_accuracy=0.001": ("gate.min_accuracy 0.0 → 0.001", EVALUATOR),
    "data.licence=CC0": ("data.licence none → CC0", PUSHER),
    "data.max_bad_fraction=0.5": ("data.max_bad_fraction 0.01 → 0.5", ["DataGate", *REPORT]),
    "pretrain.progress_seconds=1": (None, []),
    "pretrain.checkpoint_seconds=1": (None, []),
    "pretrain.memory_megabytes=1000": (None, []),
    "pretrain.knn_images=20": (None, []),
}
ROWS = {name: (edit, (), told, nodes) for name, (edit, told, nodes) in EDITED.items()}
ROWS |= {name: (lambda project, photographs: None, ("--set", name), told, nodes) for name, (told, nodes) in SET.items()}


@dataclasses.dataclass(frozen=True)
class Place:
    """A copy of the project, photographs, and DIR of a run on them; `keep` and `restore` put all three back as they were."""

    folder: pathlib.Path

    project = property(lambda self: self.folder / "project")
    photographs = property(lambda self: self.folder / "photographs")
    root = property(lambda self: self.folder / "DIR")

    def run(self, *arguments):
        sets = [argument for setting in (*TINY, *OPEN_GATE) for argument in ("--set", setting)]
        command = ["-m", "pipeline", "run", "--data", str(self.photographs), "--root", str(self.root), *sets, *arguments]
        done = fork_server.run(command, cwd=self.project, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout, json.loads((self.root / "latest" / "run.json").read_text())["nodes"]

    def keep(self):
        for name in ("project", "photographs", "DIR"):
            shutil.copytree(self.folder / name, self.folder / "kept" / name, symlinks=True)

    def restore(self):
        for name in ("project", "photographs", "DIR"):
            shutil.rmtree(self.folder / name)
            shutil.copytree(self.folder / "kept" / name, self.folder / name, symlinks=True)


@pytest.fixture(scope="module")
def place(small_folder, tmp_path_factory):
    from components.synthetic_flowers import scene

    place = Place(tmp_path_factory.mktemp("edited"))
    for package in (*PACKAGES, "cli", "pipeline"):
        shutil.copytree(PROJECT / package, place.project / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pipeline_config.py", place.project)
    shutil.copytree(small_folder, place.photographs)
    (place.folder / "another.jpg").write_bytes(scene.draw_jpeg(3, 999, 48))
    _, nodes = place.run()
    assert {node["state"] for node in nodes.values()} == {"complete"}
    place.keep()
    return place


# Each row is a run. What a hash of code follows and what not, test_source_code.py says without one, and of settings test_identity.py.
@pytest.mark.slow
@pytest.mark.xdist_group("what runs again")
@pytest.mark.parametrize("change", ROWS)
def test_what_was_changed_runs_again_and_nothing_else(place, change):
    edit, arguments, told, expected = ROWS[change]
    place.restore()
    edit(place.project, place.photographs)
    printed, nodes = place.run(*arguments)
    assert [name for name, node in nodes.items() if node["state"] != "cached"] == expected
    assert all(bool(node["because"]) == (name in expected) for name, node in nodes.items())
    if expected:
        assert told in nodes[expected[0]]["because"] and f"{expected[0]} runs: " in printed and told in printed
