"""The registered versions that a candidate is compared with, as LinearEval hands them over: each with a probe of today on its backbone."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from components.evaluator.gate import EvaluationError
from contracts import files, model_files
from registry import comparison
from registry.opening import open_registry
from trainer import references


@dataclass(frozen=True)
class Fitted:
    """A registered version with a probe of today.

    Attributes:
      version: its number.
      probe: the probe's SavedModel.
      seen: how many photographs of the eval split it was pre-trained on; None if that is not known.
    """

    version: str
    probe: str
    seen: int | None


def fitted(champion: Mapping, probe_run: str, probe: str) -> dict[str, Fitted]:
    """By `champion` and `best`, the versions to compare with; empty without a champion.

    Args:
      champion: what `registry.comparison.champion_for_gate` found; empty without a champion.
      probe_run: LinearEval's model_run.
      probe: the candidate's probe directory.

    Raises:
      EvaluationError: LinearEval has fitted no probe on one of them, or on another version.
    """
    path = posixpath.join(probe_run, model_files.REFERENCES)
    try:
        handed_over = files.read_json(path)
    except FileNotFoundError as error:
        raise EvaluationError(f"{path} is missing: run LinearEval again") from error
    found = {}
    for name, wanted in references.named(champion).items():
        given = handed_over.get(name)
        if given is None or (given["version"], given["content_hash"]) != (wanted.version, wanted.content_hash):
            has = f"one on version {given['version']} (backbone {given['content_hash']})" if given else "none"
            raise EvaluationError(
                f"{references.TITLES[name]} {wanted.version} (backbone {wanted.content_hash}) needs a probe of LinearEval, and {path} "
                f"has {has}: run LinearEval again"
            )
        directory = posixpath.join(probe_run, given["probe"]) if given["probe"] else probe
        found[name] = Fitted(wanted.version, directory, given["pretrained_on"])
    return found


def changed_meanwhile(champion: Mapping, registry: str, name: str, recipe: str) -> str:
    """A sentence where the champion of now is not the one that LinearEval fitted a probe on; "" if it is.

    Args:
      champion: as for `fitted`.
      registry: its place, as `registry.opening` takes it; "" to look nothing up.
      name: the registered model.
      recipe: of the candidate, as `registry.comparison.champion_for_gate` takes it.

    Raises:
      RegistryError, GoogleCloudError: the registry cannot be read. That is not the same as having no champion.
    """
    if not registry:
        return ""
    now = comparison.champion_for_gate(open_registry(registry, name), recipe) or {}
    if now.get("version") == champion.get("version"):
        return ""
    before, after = (f"version {one['version']}" if one else "no champion" for one in (champion, now))
    return (
        f"judged against {before}, for which LinearEval fitted its probes; meanwhile the registry has {after}, against which a run that "
        "starts now is judged"
    )


def probe_classes(directory: str) -> tuple[str, ...]:
    """The class names of a probe directory, in the order of its probabilities."""
    path = posixpath.join(directory, model_files.PROBE_RECORD)
    try:
        return tuple(files.read_json(path)["classes"])
    except (FileNotFoundError, ValueError, KeyError) as error:
        raise EvaluationError(f"{path} must be a JSON record with the probe's classes ({error}); run LinearEval again") from error
