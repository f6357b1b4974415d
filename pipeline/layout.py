"""Where a run leaves things below DIR (`--root`). Called by the runner and the verbs; makes no folder by itself.

    DIR/metadata.sqlite        ML Metadata: every execution and artifact
    DIR/artifacts/             what the nodes wrote
    DIR/checkpoints/KEY/       of a pre-training, by what determines it
    DIR/datasets/              generated data sets
    DIR/registry/              registered versions
    DIR/runs/RUN_ID/           run.json and log.txt of a run
    DIR/latest                 link to the newest run that left a run.json
"""

import dataclasses
import datetime
import os
import pathlib
import secrets


@dataclasses.dataclass(frozen=True)
class Layout:
    """The paths below one DIR, which is absolute: artifacts are found again from any working directory."""

    root: pathlib.Path

    @classmethod
    def at(cls, directory: str) -> "Layout":
        """The layout below `directory`, made absolute (`~` is the home directory)."""
        return cls(pathlib.Path(os.path.abspath(os.path.expanduser(directory))))

    @property
    def metadata(self) -> pathlib.Path:
        return self.root / "metadata.sqlite"

    @property
    def artifacts(self) -> pathlib.Path:
        return self.root / "artifacts"

    @property
    def datasets(self) -> pathlib.Path:
        return self.root / "datasets"

    @property
    def registry(self) -> pathlib.Path:
        return self.root / "registry"

    @property
    def checkpoints(self) -> pathlib.Path:
        return self.root / "checkpoints"

    @property
    def lock(self) -> pathlib.Path:
        return self.root / "lock"

    @property
    def latest(self) -> pathlib.Path:
        return self.root / "latest"

    def run(self, run_id: str) -> pathlib.Path:
        return self.root / "runs" / run_id


def new_run_id(now: datetime.datetime) -> str:
    """A run id that sorts by time, such as `20260131-184502-3fa9`: UTC to the second, and 4 random hex digits."""
    return f"{now.astimezone(datetime.timezone.utc):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def point_latest_at(layout: Layout, run_id: str) -> None:
    """Makes DIR/latest a link to the run's folder, in one step: a reader sees the old run or the new one, never neither."""
    beside = layout.root / f"latest.{run_id}"
    beside.unlink(missing_ok=True)
    beside.symlink_to(pathlib.Path("runs") / run_id)
    os.replace(beside, layout.latest)
