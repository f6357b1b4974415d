"""The TFX component ChampionRecord: hands over to LinearEval what Champion found.

A node of its own, so that the cache knows the record: the same versions are the same artifact in every run, and LinearEval is served
from the cache with it. An artifact, as TFX's Trainer takes no parameter that is found in the run; hyperparameters are the one record
that it does take.
"""

import json
import posixpath

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from contracts import files


@component
def ChampionRecord(record: OutputArtifact[standard_artifacts.HyperParameters], compared: Parameter[str], code_version: Parameter[str]):
    """Writes `compared`, JSON of registry.comparison.compared, as the artifact's one file."""
    del code_version
    files.write_json(posixpath.join(record.uri, "champion.json"), json.loads(compared))
