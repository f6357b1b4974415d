"""The house stands as docs/code.md draws it: imports run down, never up or in a circle, and Google is talked to in one place."""

import ast
import graphlib
import tomllib

import pytest

from contracts.source_code import PACKAGES, PROJECT
from pipeline.identity import EXECUTED

# From the top. Packages of one floor do not know each other.
FLOORS = (("benchmarks",), ("cli",), ("pipeline", "inference"), ("components",), ("registry",), ("vertex", "trainer"),
          ("contracts", "pipeline_config"))  # fmt: skip
FLOOR = {package: len(FLOORS) - floor for floor, packages in enumerate(FLOORS) for package in packages}
# `python -m pipeline` stands in crontabs: it is the door to the command line, and nothing imports it.
DOOR = "pipeline.__main__"
GOOGLE = ("google.api_core", "google.auth", "google.cloud", "google.longrunning", "google.rpc", "grpc")


def modules():
    paths = [path for package in FLOOR for path in sorted((PROJECT / package).rglob("*.py"))] + [PROJECT / "pipeline_config.py"]
    return {".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules()


def imports(name):
    """Every name that a module imports, wherever in it and for whom."""
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


ARROWS = {name: {one for one in imports(name) if one in MODULES and one != name} for name in MODULES}


def package(name):
    return name.partition(".")[0]


@pytest.mark.parametrize("name", sorted(MODULES))
def test_no_import_runs_up_and_packages_of_one_floor_do_not_know_each_other(name):
    for other in ARROWS[name]:
        inside = package(other) == package(name)
        assert name == DOOR or inside or FLOOR[package(other)] < FLOOR[package(name)], f"{name} imports {other}"


def test_no_two_files_import_each_other_directly_or_not():
    # A package's own file hands names on, so that everything below it would be in a circle with it.
    def real(names):
        return {one for one in names if MODULES[one].name != "__init__.py"}

    try:
        graphlib.TopologicalSorter({name: real(ARROWS[name]) for name in real(MODULES) - {DOOR}}).prepare()
    except graphlib.CycleError as circle:
        pytest.fail(f"a circle: {' -> '.join(circle.args[1])}")


@pytest.mark.parametrize("name", sorted(name for name in MODULES if package(name) not in ("vertex", "benchmarks")))
def test_google_is_talked_to_in_vertex_and_its_registry_alone(name):
    allowed = {
        "registry.vertex_backend": GOOGLE,
        # It stands in for Google's job service, whose client TFX calls.
        "pipeline.rehearsal.custom_job": GOOGLE,
    }.get(name, ())
    found = {one for one in imports(name) if one.startswith(GOOGLE) and not one.startswith(allowed or ("-",))}
    assert not found, f"{name} imports {found}"


def test_only_the_two_run_fn_know_tfx_in_the_trainer():
    assert {name for name in MODULES if package(name) == "trainer" and any(one.startswith("tfx") for one in imports(name))} == {
        "trainer.pretrain", "trainer.linear_eval"}  # fmt: skip


def test_the_packages_that_a_node_may_run_are_those_below_the_dag():
    below = {name for name in FLOOR if FLOOR[name] < FLOOR["pipeline"]}
    assert below - {"pipeline_config"} == set(PACKAGES)
    assert {package(module) for module in EXECUTED.values()} <= set(PACKAGES)


def test_every_package_is_installed_and_stands_on_a_floor():
    tools = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]
    installed = {name.partition(".")[0] for name in tools["packages"]["find"]["include"]} | set(tools["py-modules"])
    assert installed == set(FLOOR) - {"benchmarks"}
    copied = (PROJECT / "Dockerfile").read_text()
    assert all(f"COPY {name}/ {name}/" in copied for name in installed - {"pipeline_config"})
    folders = {name for name in installed for path in [PROJECT / name] if path.is_dir()}
    for name in folders:
        for path in (PROJECT / name).rglob("*.py"):
            parent = ".".join(path.relative_to(PROJECT).parent.parts)
            patterns = tools["packages"]["find"]["include"]
            assert parent in patterns or any(parent.startswith(one[:-1]) for one in patterns if one.endswith(".*")), parent
