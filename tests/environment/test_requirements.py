"""The lists under requirements/ are complete, hash-checked, free of addresses, and in step with pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LISTS = ("tools", "runtime", "development", "gpu")
PYTHONS = ("3.11", "3.12", "3.13")


def entries(name: str) -> list[str]:
    """The list's requirements, one string each with its hashes, comments left out."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return "\n".join(lines).replace("\\\n", " ").splitlines()


def pins(name: str, python: str) -> dict[str, str]:
    """Distribution -> version, as the list has it for a Python on Linux."""
    environment = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": "linux", "platform_system": "Linux",
                   "implementation_name": "cpython", "platform_python_implementation": "CPython"}  # fmt: skip
    found: dict[str, str] = {}
    for entry in entries(name):
        requirement = Requirement(entry.split(" --hash=")[0].strip())
        if requirement.marker is None or requirement.marker.evaluate(environment):
            (specifier,) = requirement.specifier
            assert specifier.operator == "==", f"{entry} is not pinned"
            assert canonicalize_name(requirement.name) not in found, f"{requirement.name} is pinned twice for Python {python}"
            found[canonicalize_name(requirement.name)] = specifier.version
    return found


def wanted(name: str) -> list[Requirement]:
    """What pyproject.toml asks of the list."""
    groups = PROJECT["dependency-groups"]
    direct = list(PROJECT["project"]["dependencies"]) if name != "tools" else []
    if name in ("tools", "development"):
        direct += groups["tools"]
    if name == "development":
        direct += [requirement for requirement in groups["development"] if isinstance(requirement, str)]
        direct += PROJECT["project"]["optional-dependencies"]["export"]  # so that its tests run
    if name == "gpu":
        direct += PROJECT["project"]["optional-dependencies"]["gpu"]
    return [Requirement(requirement) for requirement in direct]


@pytest.mark.parametrize("name", LISTS)
def test_every_requirement_is_pinned_and_has_hashes(name):
    assert entries(name)
    for entry in entries(name):
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[^ ]+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+", entry.strip()), entry


@pytest.mark.parametrize("name", LISTS)
def test_no_list_holds_an_address_or_an_option(name):
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    assert not re.search(r"^\s*(-i|-f|--(?!hash=))", text, re.MULTILINE)


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("name", LISTS)
def test_every_list_holds_what_pyproject_asks_for(name, python):
    pinned = pins(name, python)
    for requirement in wanted(name):
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), f"{requirement}: make requirements"


@pytest.mark.parametrize("python", PYTHONS)
def test_a_package_has_the_same_version_in_every_list(python):
    runtime = pins("runtime", python)
    for name in LISTS:
        others = pins(name, python)
        assert {package: version for package, version in others.items() if runtime.get(package, version) != version} == {}
    assert pins("development", python).keys() >= runtime.keys()
    assert pins("gpu", python).keys() >= runtime.keys()
    assert pins("development", python).keys() >= pins("tools", python).keys()


@pytest.mark.parametrize("python", PYTHONS)
def test_only_the_gpu_list_holds_cuda(python):
    def cuda(name):
        return {package for package in pins(name, python) if package.startswith("nvidia-")}

    assert cuda("runtime") == cuda("development") == cuda("tools") == set()
    assert "nvidia-cudnn-cu12" in cuda("gpu")
