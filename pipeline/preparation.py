"""What has to be known before the DAG is built: the data's fingerprint, the code's versions, the champion. Called by the verb
`run`; starts no component."""

import dataclasses
import json
import logging
import os

from components.flowers_example_gen.source import ingest_settings, inspect
from components.registry import lifecycle, reading
from components.registry.opening import open_registry
from components.registry.version import CHAMPION
from contracts import model_files
from pipeline.code_version import COMPONENTS, TRAINER, code_version
from pipeline.layout import Layout
from pipeline.recipe import Origin, recipe
from pipeline_config import Config

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What a run starts from.

    Attributes:
      origin: what identifies data and code.
      recipe: hash of everything that determines the candidate.
      champion: what the Evaluator compares with, as JSON; "" where there is none.
      registered: each version that the registry has, with its alias or "".
    """

    origin: Origin
    recipe: str
    champion: str
    registered: dict[str, str]


def prepare(config: Config, layout: Layout) -> Prepared:
    """Looks at the source and at the registry, where it repairs what an interrupted run or command left.

    Raises:
      SourceNotFound: the source names no data.
      DataRefused: a class, or the whole source, has too few usable images.
    """
    inspection = inspect(config.data, str(layout.datasets))
    log.info("Source %s has %d classes: %s", config.data.source, len(inspection.classes), ", ".join(inspection.classes))
    origin = Origin(
        data_fingerprint=inspection.fingerprint,
        ingest_settings=ingest_settings(config.data),
        components_version=code_version(COMPONENTS),
        trainer_version=code_version(TRAINER),
    )
    determined_by = recipe(config, origin)
    registry = open_registry(str(layout.registry), config.registry.name)
    lifecycle.repair(registry)
    champion = reading.champion_for_gate(registry, determined_by)
    if champion:
        _warn_of_other_classes(champion, inspection.classes)
    return Prepared(
        origin=origin,
        recipe=determined_by,
        champion=json.dumps(champion, sort_keys=True) if champion else "",
        registered={version.version: CHAMPION if CHAMPION in version.aliases else "" for version in registry.versions()},
    )


def _warn_of_other_classes(champion: dict[str, str], classes: tuple[str, ...]) -> None:
    """Says before hours of training what the gate will say after them."""
    try:
        with open(os.path.join(champion["probe_uri"], model_files.PROBE_RECORD), encoding="utf-8") as file:
            known = json.load(file)["classes"]
    except (OSError, ValueError, KeyError):
        return  # damaged: the Evaluator names the file and what to do
    if list(classes) != known:
        log.warning(
            "Champion version %s tells apart other classes, so that the gate cannot compare with it and will not bless this "
            "run; --set registry.name=NAME starts a line of versions without a champion", champion["version"],
        )  # fmt: skip
