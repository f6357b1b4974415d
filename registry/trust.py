"""Whether a version may be used: its files are those that were registered, and a trusted key signed them and what the registry states.

`standing` tells, `require_usable` refuses, `sign_version` signs a version that is registered already.
"""

import contextlib
import enum
import functools
import logging
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from contracts.text import visible
from registry import keys, reading, signatures
from registry.backend import CARD_HASH, MLMODEL_HASH, SIGNED_BY, WITHHELD, Backend, Difference, RegistryError, Version
from registry.keys import SHOWN, SigningKey
from registry.signatures import PROVENANCE, SIGNATURE, Invalid, Statements

logger = logging.getLogger(__name__)


class Standing(enum.Enum):
    """What is known of a version's files."""

    VERIFIED = "signed by a trusted key, and as it was registered"
    UNSIGNED = "as it was registered, and not signed"
    ANOTHER_KEY = "signed by a key that is not trusted"
    TAMPERED = "not as it was registered or signed"


@dataclass(frozen=True)
class Finding:
    """How a version stands; `signer` is the id of the key that is named beside the signature, "" without one."""

    version: Version
    standing: Standing
    signer: str = ""
    differences: tuple[Difference, ...] = ()

    @property
    def key(self) -> str:
        """The key's id as it is shown."""
        return visible(self.signer[:SHOWN])


def standing(registry: Backend, version: Version, trusted: Mapping[str, bytes] | None = None, anew: bool = False) -> Finding:
    """Compares a version with what was registered and signed. Reads every file of it, and changes nothing.

    Args:
      registry: what `opening.open_registry` returned.
      version: one of its versions.
      trusted: the keys whose signatures count, as `keys.trusted` returns them; by default those of the registry.
      anew: read the files at the registry's place, where an undamaged copy of them is on this machine too.

    Raises:
      RegistryError: a trusted key cannot be read, or a server does not answer.
    """
    registry.fetch(version, anew)
    found = functools.partial(Finding, version)
    differences = reading.verify(version)
    if differences:
        return found(Standing.TAMPERED, differences=tuple(differences))
    try:
        signer = signatures.signer(version.path)
        if signer is None:
            if not version.tags.get(SIGNED_BY):
                return found(Standing.UNSIGNED)
            raise Invalid(f"missing: the version was signed by key {version.tags[SIGNED_BY][:SHOWN]}")
        public = (keys.trusted(registry.keys) if trusted is None else trusted).get(signer)
        if public is None:
            return found(Standing.ANOTHER_KEY, signer)
        statement = signatures.stated(version.path, _hashes(version), public).get(version.name)
        if statement is None:
            if not version.tags.get(SIGNED_BY):
                return found(Standing.UNSIGNED)
            raise Invalid(f"it is of another registered model, and states nothing of {version.name}")
    except Invalid as error:
        return found(Standing.TAMPERED, differences=(Difference(version.version, SIGNATURE, str(error)),))
    changed = tuple(
        Difference(version.version, PROVENANCE, f"{name} is {text[:300]!r}, the registry has {version.tags.get(name, '')[:300]!r}")
        for name, text in sorted(statement["tags"].items()) if text != version.tags.get(name)
    )  # fmt: skip
    return found(Standing.TAMPERED if changed else Standing.VERIFIED, signer, changed)


def require_usable(registry: Backend, version: Version, unverified: bool = False, anew: bool = False) -> None:
    """Returns if a version may be used. One that nobody signed may, and that is logged as a warning.

    Args:
      registry, version, anew: as in `standing`.
      unverified: use it in any case; what is wrong with it is logged as a warning.

    Raises:
      RegistryError: it is not as it was registered or signed, or signed by a key that is not trusted.
    """
    finding = standing(registry, version, anew=anew)
    if finding.standing is Standing.VERIFIED:
        return
    problem = f"version {version.version} of {version.name} {_problem(finding, registry)}"
    if finding.standing is Standing.UNSIGNED:
        logger.warning("%s", problem)
    elif unverified:
        logger.warning("Used unverified, as asked: %s", problem)
    else:
        raise RegistryError(problem)


def is_usable(registry: Backend, version: Version) -> bool:
    """Whether `require_usable` returns."""
    return standing(registry, version).standing in (Standing.VERIFIED, Standing.UNSIGNED)


def sign_version(registry: Backend, wanted: str, setting: str, by: str) -> tuple[Finding, Finding]:
    """Signs a version that is registered already: who signs vouches for its files and for what the registry states of it now.

    Args:
      registry: as in `standing`.
      wanted: its number or alias.
      setting: address of a private key, as pipeline_config.Registry.signing_key; "": the key of this DIR.
      by: who signs, for the record.

    Returns:
      How it stood before, and how it stands now.

    Raises:
      RegistryError: no such version, its files differ from what was registered, or there is no key to sign with. Nothing was changed.
    """
    from registry import older_versions  # imports TensorFlow

    reading.get_version(registry, wanted)  # before `writing`, which would make an empty registry
    with registry.writing():
        version = reading.get_version(registry, wanted)
        registry.fetch(version, anew=True)
        damaged = reading.verify(version)
        if damaged:
            raise RegistryError(
                f"version {version.version} of {version.name} is not as it was registered ({visible(damaged[0].path)}: "
                f"{damaged[0].problem}) and is not signed; `flowers registry verify` lists what differs"
            )
        before = standing(registry, version)
        older_versions.complete(registry)  # before it is signed, as afterwards nothing is added to it
        version = reading.get_version(registry, wanted)
        key = keys.signing_key(registry.keys, setting)
        if key is None:
            raise RegistryError(f"there is no key to sign with for {registry.place}: give one with --key")
        sign_files(registry, version.path, _hashes(version), version.tags, by, key)
        registry.store(version, signature_alone=True)
        registry.set_version_tag(version.version, SIGNED_BY, key.id)
        return before, standing(registry, reading.get_version(registry, version.version))


def sign_files(registry: Backend, target: str, hashes: Mapping[str, str], tags: Mapping[str, str], by: str, key: SigningKey | None) -> None:
    """Signs the files of a version and its tags, without those that say how it stands in the registry and without the hashes of
    files, which are signed as files. What a trusted key signed of another model with the same files stays signed.

    Args:
      registry: as in `standing`.
      target, hashes: as in `signatures.sign`.
      tags: of the version, as they are or will be.
      by: who signs, for the record.
      key: None says that nothing is signed, and removes a signature that states other tags of this model.
    """
    if key is None:
        if registry.name in signatures.names(target):
            signatures.remove(target)
        logger.warning("The version is not signed: no private key is made in a bucket; %s names one of yours.", keys.SETTING)
        return
    fixed = {name: text for name, text in sorted(tags.items()) if name not in (CARD_HASH, MLMODEL_HASH, SIGNED_BY, WITHHELD)}
    signed = _signed(registry, target, hashes)
    # Where nothing new is stated only the signature is replaced, so that a kill leaves a version that is in use signed.
    is_new = signed.get(registry.name, {}).get("tags") != fixed
    signatures.sign(target, hashes, {**signed, registry.name: {"signed_by": by, "tags": fixed}} if is_new else None, key)


def _signed(registry: Backend, target: str, hashes: Mapping[str, str]) -> Statements:
    """What a trusted key signed of these files."""
    with contextlib.suppress(Invalid, KeyError):
        return signatures.stated(target, hashes, keys.trusted(registry.keys)[signatures.signer(target)])
    return {}


def _hashes(version: Version) -> dict[str, str]:
    from registry import files  # imports TensorFlow

    return files.listed(version.path)


def _problem(finding: Finding, registry: Backend) -> str:
    if finding.standing is Standing.UNSIGNED:
        return (
            "is not signed: it is as it was registered, and nothing proves by whom; "
            f"`flowers registry sign {finding.version.version}` signs it"
        )
    if finding.standing is Standing.ANOTHER_KEY:
        return (
            f"is signed by key {finding.key}, which is not among those that are trusted here; if you trust who signed it, copy "
            f"that key's public half into {posixpath.join(registry.keys, keys.TRUSTED)}"
        )
    first = finding.differences[0]
    return f"is not as it was registered: {visible(first.path)}: {visible(first.problem)}; restore what `flowers registry verify` names"
