"""Finds the backbone or the probe of a registered version, and says how a command finds it again."""

import os
from dataclasses import dataclass

import pipeline_config
from contracts.content_hash import content_hash
from contracts.layout import Layout
from inference.index import Index
from registry import reading, trust
from registry.backend import CONTENT_HASH, PROBE_CONTENT_HASH, Backend, NoSuchVersion, RegistryError
from registry.files import BACKBONE, PROBE
from registry.opening import open_registry, registry_place


@dataclass(frozen=True)
class Registered:
    """A version's backbone or probe: registered model, version number, directory, and its `contracts.content_hash`.

    unverified: it is used whatever its content. registry: as in `find`.
    """

    name: str
    version: str
    directory: str
    content_hash: str
    unverified: bool = False
    registry: str = ""


def find(root: str, version: str, name: str, part: str = BACKBONE, unverified: bool = False, registry: str = "") -> Registered:
    """The backbone of a version (number or alias) in the registry below `root`, or its probe. The version has been compared with what was
    registered and signed; that nobody signed it is logged as a warning.

    Args:
      part: registry.files.BACKBONE or PROBE.
      unverified: use it in any case; what is wrong with it is logged as a warning.
      registry: http(s)://HOST:PORT of the MLflow server that has the registry, with copies below `root`; "": that of `root`.

    Raises:
      RegistryError: there is no such version (NoSuchVersion), it may not be used, or the registry cannot be read.
    """
    backbone, probe = find_both(root, version, name, unverified, registry)
    return {BACKBONE: backbone, PROBE: probe}[part]


def find_both(root: str, version: str, name: str, unverified: bool = False, registry: str = "") -> tuple[Registered, Registered]:
    """Backbone and probe of a version; see `find`."""
    opened = _open(root, name, registry)
    try:
        found = reading.get_version(opened, version)
    except NoSuchVersion as error:
        raise NoSuchVersion(
            f"{error}; choose one with --version, or another registry with --root or --registry; `flowers run` registers a "
            "backbone if labels prove it good"
        ) from error
    try:
        trust.require_usable(opened, found, unverified)
    except RegistryError as error:
        raise RegistryError(f"{error}, choose another with --version, or use it all the same with --unverified") from error
    backbone, probe = (
        Registered(found.name, found.version, os.path.join(found.path, part), found.tags.get(key, ""), unverified, registry)
        for part, key in ((BACKBONE, CONTENT_HASH), (PROBE, PROBE_CONTENT_HASH))
    )
    return backbone, probe


def version_of(root: str, name: str, backbone_content_hash: str, registry: str = "") -> str | None:
    """The number of the latest version whose backbone has this hash, in the registry as `find` has it; None if there is none."""
    try:
        versions = _open(root, name, registry).versions()
    except RegistryError:  # it cannot be read
        return None
    return next((one.version for one in reversed(versions) if one.tags.get(CONTENT_HASH) == backbone_content_hash), None)


def _open(root: str, name: str, registry: str) -> Backend:
    shared = pipeline_config.Registry(place=registry).place  # checked as the setting is
    return open_registry(registry_place(shared, Layout.at(root)), name)


def of_version(root: str, name: str, version: str, registry: str = "") -> list[str]:
    """The options with which a command finds a version, those left out that have their default value."""
    elsewhere = [] if os.path.abspath(root) == os.path.abspath("runs") else ["--root", root]
    other_name = [] if name == pipeline_config.Registry.name else ["--name", name]
    return ["--version", version, *elsewhere, *(["--registry", registry] if registry else []), *other_name]


def another_backbone(opened: Index, registered: Registered, root: str) -> str:
    """Says that another backbone made an index than the one that was chosen in the registry below `root`."""
    header = opened.header
    where = f" in the registry of {header.root}" if header.root and header.root != os.path.abspath(root) else ""
    return (
        f"{opened.path} was made by version {header.version} of {header.name}{where} (content hash "
        f"{header.backbone_content_hash[:12]}), and not by version {registered.version} of {registered.name} in the registry of "
        f"{registered.registry or os.path.abspath(root)} ({registered.content_hash[:12]})"
    )


def require_unchanged(registered: Registered) -> None:
    """Returns if the files are those that were registered, or may be any.

    Raises:
      RegistryError: they are not.
    """
    if registered.unverified:
        return
    try:
        found = content_hash(registered.directory)
    except FileNotFoundError:
        found = "none, as there is no file"
    if found != registered.content_hash:
        raise RegistryError(
            f"version {registered.version} of {registered.name} is not as it was registered: {registered.directory} has "
            f"content hash {found}, expected {registered.content_hash}; restore the files that `flowers registry verify` "
            "names, or choose another version with --version"
        )
