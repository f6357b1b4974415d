"""The TFX component Champion: finds out in a run which registered versions its candidate is compared with.

The node is never cached, as the champion is no input of it. What follows takes what it found as a parameter, and so runs if, and only
if, that is something else than before.
"""

import json
import logging

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from registry import comparison
from registry.backend import whole_recipe
from registry.opening import open_registry

logger = logging.getLogger(__name__)


@component
def Champion(
    champion: OutputArtifact[standard_artifacts.String],
    compared: OutputArtifact[standard_artifacts.String],
    candidate_recipe: OutputArtifact[standard_artifacts.String],
    registry: Parameter[str],
    name: Parameter[str],
    recipe: Parameter[str],
    fingerprint: Parameter[str],
    start: Parameter[str],
    code_version: Parameter[str],
):
    """Writes what `registry.comparison.champion_for_gate` finds as JSON, {} if there is no champion.

    Args:
      champion: receives all of it, for the Evaluator.
      compared: receives the versions without `challenge`, for LinearEval.
      candidate_recipe: receives the tag RECIPE that the candidate would have.
      registry, name: the registry's place, as `registry.opening` takes it, and the registered model.
      recipe: SHA-256 of settings and code that determine the candidate, as `registry.backend.whole_recipe` takes it.
      fingerprint: of the photographs.
      start: where pre-training starts, a pipeline_config.WarmStart as JSON.

    Raises:
      RegistryError, GoogleCloudError: the registry cannot be read. That is not the same as having no champion.
    """
    del code_version
    whole = whole_recipe(recipe, fingerprint, json.loads(start)["content_hash"])
    found = comparison.champion_for_gate(open_registry(registry, name), whole)
    logger.info("The candidate is compared with %s", f"version {found['version']}" if found else "no registered version")
    champion.write(json.dumps(found or {}, sort_keys=True))
    compared.write(json.dumps(comparison.compared(found), sort_keys=True))
    candidate_recipe.write(whole)
