"""Writes a run into MLflow as it goes, beside it: from a thread of its own, so that a slow or failing server costs the run nothing.

What could not be written during the run is written at its end, from the run's record. If that fails too, a warning says so, once.
"""

import contextlib
import datetime
import json
import logging
import pathlib
import queue
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping

from contracts.files import json_sha256
from contracts.layout import Layout
from contracts.model_files import RUN_PAGE
from pipeline.run_record import Start
from pipeline_config import Config, identity

log = logging.getLogger(__name__)

# The loggers of pre-training, of whose records those with the attribute `figures` have the figures of an epoch.
FIGURES_LOGGER = "trainer.loop"
EPOCH = "pretrain/"  # before the names of figures that there are for each epoch
LOSS = f"{EPOCH}loss"

STATUS = {"finished": "FINISHED", "failed": "FAILED", "refused": "FAILED", "interrupted": "KILLED"}


class Tracking:
    """One run's way into MLflow. Methods return at once; their work is done by a thread, in their order."""

    def __init__(self, config: Config, layout: Layout):
        self.settings, self.layout = config.tracking, layout
        self._at = self.settings.place or str(layout.registry)
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._start: Start | None = None
        self._tracked = None
        self._written = 0  # epochs
        self._told = False
        self._thread = threading.Thread(target=self._work, name="MLflow", daemon=True)

    def begin(self, start: Start) -> None:
        """Begins a run whose data and code are known."""
        self._start = start
        self._thread.start()
        self._tasks.put(self._open)

    def epoch(self, figures: Mapping[str, object]) -> None:
        """Writes the figures of an epoch, an entry of pretrain.json's `history`."""
        at = _now()
        self._tasks.put(lambda: self._write_epoch(figures, at))

    def end(self, record: Mapping) -> None:
        """Writes what a recorded run found, and its files; waits for that as long as the settings say."""
        if self._start is None:
            return
        self._tasks.put(lambda: self._finish(record))
        self._tasks.put(None)
        self._thread.join(self.settings.patience_seconds)
        if self._thread.is_alive():
            self._tell(f"it did not answer within tracking.patience_seconds {self.settings.patience_seconds:g}")

    def _work(self) -> None:
        while task := self._tasks.get():
            try:
                task()
            except Exception as error:
                traceback.print_exc()  # to descriptor 2, which is the log file
                self._tell(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")

    def _tell(self, why: str) -> None:
        if not self._told:
            self._told = True
            log.warning("The run goes on without MLflow at %s, which has not all of it: %s", self._at, why)

    def _open(self) -> None:
        from registry import mlflow_runs

        if self._tracked is None:
            # The registry's database is DIR's own, also after DIR has moved; a server has runs of many.
            place = f"{socket.gethostname()}:{self.layout.root}" if self.settings.place else "DIR"
            self._tracked = mlflow_runs.begin(
                str(self.layout.registry), self.settings.place, self.settings.experiment, run_id=self._start.run_id,
                key=json_sha256([self._start.recipe, place]), place=place, at=_milliseconds(self._start), tags=tags(self._start),
                parameters=parameters(self._start.config), data=data_set(self._start))  # fmt: skip
            self._written = mlflow_runs.last_step(self._tracked, LOSS)

    def _write_epoch(self, figures: Mapping[str, object], at: int) -> None:
        from registry import mlflow_runs

        self._open()
        # One that is missing in between, as a request failed, is written at the end: MLflow orders by step.
        if figures["epoch"] == self._written + 1:
            mlflow_runs.log_metrics(self._tracked, figures["epoch"], at, epoch_metrics(figures))
            self._written = figures["epoch"]

    def _finish(self, record: Mapping) -> None:
        from registry import mlflow_runs

        self._open()
        for figures in (record["pretrain"] or {}).get("history", ())[self._written :]:
            self._write_epoch(figures, _now())
        mlflow_runs.log_metrics(self._tracked, 0, _now(), final_metrics(record))
        mlflow_runs.set_tags(self._tracked, final_tags(record))
        folder = self.layout.run(record["run_id"])
        present = [str(path) for name in (RUN_PAGE, "run.json") if (path := folder / name).exists()]
        mlflow_runs.end(self._tracked, STATUS[record["status"]], present)
        if self._told:
            log.info("MLflow at %s has all of the run after all", self._at)


@contextlib.contextmanager
def tracked(config: Config, layout: Layout) -> Iterator[Tracking | None]:
    """For the block, what writes a run into MLflow, and every epoch that is logged meanwhile; None where tracking.place is off."""
    if config.tracking.place == "off":
        yield None
        return
    tracking = Tracking(config, layout)
    handler = _Figures(tracking)
    logger = logging.getLogger(FIGURES_LOGGER)
    logger.addHandler(handler)
    try:
        yield tracking
    finally:
        logger.removeHandler(handler)


class _Figures(logging.Handler):
    """Hands on the figures of an epoch."""

    def __init__(self, tracking: Tracking):
        super().__init__(logging.DEBUG)
        self._tracking = tracking

    def emit(self, record: logging.LogRecord) -> None:
        if figures := getattr(record, "figures", None):
            self._tracking.epoch(figures)


def parameters(config: Config) -> dict[str, object]:
    """Every setting that says what is made, by its dotted key; lists as JSON. Settings that only say how to run are left out."""
    flat: dict[str, object] = {}

    def add(prefix: str, values: Mapping) -> None:
        for name, value in values.items():
            if isinstance(value, Mapping):
                add(f"{prefix}{name}.", value)
            else:
                flat[f"{prefix}{name}"] = json.dumps(value) if isinstance(value, list | tuple) else value

    add("", identity(config))
    return flat


def tags(start: Start) -> dict[str, str]:
    """What a run comes from."""
    code = {f"flowers.code.{name}": version for name, version in start.origin.packages.items()}
    return {"flowers.recipe": start.recipe, "flowers.data_source": start.config.data.source,
            "flowers.data_fingerprint": start.origin.data_fingerprint, "flowers.schedule": start.schedule or "", **code,
            "mlflow.source.name": "flowers run", "mlflow.source.type": "LOCAL"}  # fmt: skip


def data_set(start: Start) -> dict[str, str]:
    """The data set as MLflow lists it; its digest has at most 36 characters there."""
    source = start.config.data.source
    return {
        "name": pathlib.Path(source).name or source,
        "digest": start.origin.data_fingerprint[:32],
        "source": json.dumps({"uri": source}),
    }


def epoch_metrics(figures: Mapping[str, object]) -> dict[str, float]:
    """An epoch's figures by MLflow's names, without what was not measured."""
    return {f"{EPOCH}{name}": float(value) for name, value in figures.items() if name not in ("epoch", "step") and value is not None}


def final_metrics(record: Mapping) -> dict[str, float]:
    """What a run found: each accuracy with its 95 % interval and its random-init baseline, and the difference with its own."""
    from components.evaluator.evidence import share_interval  # imports SciPy

    # MLflow's page draws them by the word before the slash, in alphabetical order: what matters most comes first.
    found: dict[str, float | None] = {"run/seconds": record["seconds"]}
    if data := record["data"]:
        found |= {f"run/{name}": data[name] for name in ("images", "train", "eval", "unlabelled", "quarantined")}
    if pretrain := record["pretrain"]:
        found |= {"pretrain/seconds": pretrain["seconds"], "pretrain/images_per_second_overall": pretrain["images_per_second"]}
    if linear := record["linear_eval"]:
        found |= {f"eval/{name}": linear.get(name) for name in ("knn_top1", "random_init_knn_top1", "cross_validated_top1")}
    if gate := record["gate"]:
        for network, of in (("", "candidate"), ("random_init_", "untrained"), ("champion_", "champion")):
            measured = gate["metrics"].get(of) or {}
            found |= {f"eval/{network}{name}": measured.get(key) for name, key in (
                ("linear_top1", "accuracy"), ("macro_f1", "macro_f1"), ("cross_entropy", "cross_entropy"))}  # fmt: skip
            if measured and (count := gate["eval_examples"]):
                ends = share_interval([(round(measured["accuracy"] * count), count)])
                found |= {f"eval/{network}linear_top1{end}": limit for end, limit in zip(("_low", "_high"), ends, strict=True)}
        for other, of in (("random_init", "untrained"), ("champion", "champion")):
            evidence = (gate.get("evidence") or {}).get(of) or {}
            found |= {f"eval/gain_over_{other}{end}": evidence.get(key) for end, key in (
                ("", "difference"), ("_low", "low"), ("_high", "high"))}  # fmt: skip
    return {name: float(value) for name, value in found.items() if value is not None}


def final_tags(record: Mapping) -> dict[str, str]:
    """How a run ended, and the version that its backbone is."""
    registry, gate = record["registry"] or {}, record["gate"] or {}
    reasons = "\n".join(f"- {reason}" for reason in (registry.get("reasons") or gate.get("reasons") or [record["error"] or ""]))
    return {"flowers.status": record["status"], "flowers.version": registry.get("version") or "", "mlflow.note.content": reasons[:5000]}


def _milliseconds(start: Start) -> int:
    return int(datetime.datetime.fromisoformat(start.started_at).timestamp() * 1000)


def _now() -> int:
    return int(time.time() * 1000)
