"""The software bill of materials of a version: which packages made it, as CycloneDX 1.6 in JSON.

The same environment gives the same text: CycloneDX's serial number and time, which are optional, are left out.
"""

import functools
import importlib.metadata
import json
import platform

from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

PROJECT = "flowers"


@functools.cache  # of a process, whose packages stay as they are
def bill_of_materials() -> str:
    """The installed packages with version, package URL, licence (where it is stated as SPDX) and what each requires, the interpreter
    and the operating system. Reads metadata only; imports no package."""
    installed: dict[str, importlib.metadata.Distribution] = {}
    for found in importlib.metadata.distributions():
        if found.name:  # a folder of metadata that was removed by half has none
            installed.setdefault(canonicalize_name(found.name), found)  # the first on sys.path is the one that is imported
    project = installed.pop(PROJECT, None)
    packages = {name: _package(name, one) for name, one in sorted(installed.items())}
    bom = Bom(components=[*packages.values(), *_surroundings()])
    bom.metadata.component = Component(
        type=ComponentType.APPLICATION, name=PROJECT, version=project.version if project else None, bom_ref=PROJECT
    )
    for name, component in packages.items():
        bom.register_dependency(component, [packages[one] for one in _required(installed[name]) if one in packages])
    direct = _required(project) if project else []
    bom.register_dependency(bom.metadata.component, [packages[one] for one in direct if one in packages])
    written = json.loads(JsonV1Dot6(bom).output_as_string())
    del written["serialNumber"], written["metadata"]["timestamp"]
    return json.dumps(written, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def _package(name: str, found: importlib.metadata.Distribution) -> Component:
    licence = found.metadata.get("License-Expression")
    url = PackageURL("pypi", name=name, version=found.version)
    return Component(
        type=ComponentType.LIBRARY, name=name, version=found.version, purl=url, bom_ref=url.to_string(),
        licenses=[LicenseExpression(licence)] if licence else [])  # fmt: skip


def _surroundings() -> list[Component]:
    try:
        system = platform.freedesktop_os_release()
    except OSError:  # an image without /etc/os-release
        system = {}
    interpreter, version = platform.python_implementation().lower(), platform.python_version()
    return [
        Component(type=ComponentType.PLATFORM, name=interpreter, version=version, bom_ref="interpreter"),
        Component(
            type=ComponentType.OPERATING_SYSTEM, name=system.get("ID", "linux"), version=system.get("VERSION_ID"), bom_ref="system"
        ),
    ]  # fmt: skip


def _required(found: importlib.metadata.Distribution) -> list[str]:
    """Names of what a package requires here, without its extras."""
    names = set()
    for line in found.requires or []:
        try:
            one = Requirement(line)
        except InvalidRequirement:  # of an old package
            continue
        if one.marker is None or one.marker.evaluate({"extra": ""}):
            names.add(canonicalize_name(one.name))
    return sorted(names)
