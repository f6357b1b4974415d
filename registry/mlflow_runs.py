"""Runs in MLflow's tracking store: in the registry's database, or on a server. Knows MLflow, and nothing of what a run is.

A run of the pipeline that continues an interrupted one has the same key, and gets the same run of MLflow. Every function can be
repeated: what is there already is not written again.
"""

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry import mlflow_backend
from registry.mlflow_backend import RUN_TAG
from registry.mlflow_places import RUN_ARTIFACTS

if TYPE_CHECKING:
    from mlflow import MlflowClient

KEY_TAG = "flowers.key"  # the same for a run and the one that continues it
PLACE_TAG = "flowers.dir"  # one run at a time is active there: another that is still running was killed

# MLflow's own limit of one request (docs/rest-api of MLflow, "log batch").
MOST_PARAMETERS = 100


@dataclass(frozen=True)
class Tracked:
    """A run of MLflow: its client and its id."""

    client: "MlflowClient"
    run_id: str


def begin(
    registry: str, server: str, experiment: str, *, run_id: str, key: str, place: str, at: int,
    tags: Mapping[str, str], parameters: Mapping[str, object], data: Mapping[str, str],
) -> Tracked:  # fmt: skip
    """Makes a run, or continues the newest one of the same key that has not finished.

    Runs at the same place that are still recorded as running were killed, and are recorded so.

    Args:
      registry: DIR/registry; used if `server` is empty, and then made if it is missing.
      server: http(s)://HOST:PORT of a tracking server.
      experiment: name of MLflow's experiment; made if it is missing.
      run_id: of the pipeline, for RUN_TAG, by which a version finds the run that made it.
      key, place: for KEY_TAG and PLACE_TAG.
      at: when a new run started, in milliseconds since 1970.
      tags, parameters: by name; parameters that the run has already stay as they are, as MLflow demands.
      data: `name`, `digest` and `source` of the data set.

    Raises:
      RegistryError: the database cannot be used.
      Exception: whatever MLflow raises where a server fails.
    """
    client = _client(registry, server)
    experiment_id = experiment_id_of(client, experiment, "" if server else registry)
    unfinished = client.search_runs([experiment_id], f"tags.`{PLACE_TAG}` = '{_quoted(place)}' AND attributes.status != 'FINISHED'",
                                    order_by=["attributes.start_time DESC"])  # fmt: skip
    former = next((run for run in unfinished if run.data.tags.get(KEY_TAG) == key), None)
    for killed in unfinished:
        if killed.info.status == "RUNNING" and killed is not former:
            client.set_terminated(killed.info.run_id, "KILLED")
    if former is None:
        first = {KEY_TAG: key, PLACE_TAG: place, RUN_TAG: run_id}
        former = client.create_run(experiment_id, start_time=at, tags=first, run_name=run_id)
    else:
        client.update_run(former.info.run_id, "RUNNING")
    tracked = Tracked(client, former.info.run_id)
    set_tags(tracked, {**tags, RUN_TAG: run_id})
    _log_parameters(tracked, parameters, former.data.params)
    _log_data(tracked, **data)
    return tracked


def set_tags(tracked: Tracked, tags: Mapping[str, str]) -> None:
    """Sets tags, replacing former values."""
    from mlflow.entities import RunTag

    tracked.client.log_batch(tracked.run_id, tags=[RunTag(name, text) for name, text in tags.items()], synchronous=True)


def log_metrics(tracked: Tracked, step: int, at: int, metrics: Mapping[str, float]) -> None:
    """Adds figures of one step; `at` is the time in milliseconds since 1970."""
    from mlflow.entities import Metric

    figures = [Metric(name, value, at, step) for name, value in metrics.items()]
    if figures:
        tracked.client.log_batch(tracked.run_id, metrics=figures, synchronous=True)


def last_step(tracked: Tracked, metric: str) -> int:
    """The last step of a metric that has been written; 0 if there is none."""
    return max((one.step for one in tracked.client.get_metric_history(tracked.run_id, metric)), default=0)


def end(tracked: Tracked, status: str, artifacts: Sequence[str]) -> None:
    """Adds local files as artifacts, and then ends the run: `status` is FINISHED, FAILED or KILLED, as MLflow has it."""
    for path in artifacts:
        tracked.client.log_artifact(tracked.run_id, path)
    tracked.client.set_terminated(tracked.run_id, status)


def _client(registry: str, server: str) -> "MlflowClient":
    if not server:
        with mlflow_backend.lock(registry):
            mlflow_backend.create(registry)
            mlflow_backend.relocate(registry)
        return mlflow_backend.connect(registry)
    return mlflow_backend.client_of(server)


def experiment_id_of(client: "MlflowClient", name: str, registry: str = "") -> str:
    """MLflow's id of an experiment, which is made if it is missing; `registry` as in `begin`, "" on a server."""
    found = client.get_experiment_by_name(name)
    if found is None:
        from mlflow.exceptions import MlflowException

        # On a server its administrator decides where artifacts go.
        place = pathlib.Path(os.path.abspath(registry), RUN_ARTIFACTS).as_uri() if registry else None
        with contextlib.suppress(MlflowException):  # another run has just made it
            return client.create_experiment(name, artifact_location=place)
        found = client.get_experiment_by_name(name)
    return found.experiment_id


def _log_parameters(tracked: Tracked, parameters: Mapping[str, object], there: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    missing = [Param(name, str(value)) for name, value in parameters.items() if name not in there]
    for part in _parts(missing):
        tracked.client.log_batch(tracked.run_id, params=part, synchronous=True)


def _parts(values: list) -> Iterator[list]:
    for first in range(0, len(values), MOST_PARAMETERS):
        yield values[first : first + MOST_PARAMETERS]


def _log_data(tracked: Tracked, name: str, digest: str, source: str) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    data = Dataset(name=name, digest=digest, source_type="local", source=source)
    tracked.client.log_inputs(tracked.run_id, datasets=[DatasetInput(data, [InputTag("mlflow.data.context", "training")])])


def _quoted(text: str) -> str:
    return text.replace("'", "\\'")
