"""A run that was recorded below DIR, by its id or as the newest."""

from contracts.layout import Layout, active_run
from contracts.text import visible
from pipeline import run_record
from pipeline_config import ConfigurationError

LATEST = "latest"
NEWEST = 5  # run ids that an error names


def recorded_run(layout: Layout, run: str) -> dict:
    """run.json of the run with this id, or of the newest for LATEST, as `run_record.read` and `run_record.as_it_ended` give it.

    Raises:
      ConfigurationError: there is no such run.
    """
    # A run id is one name: it cannot lead out of the folder of runs.
    record = run_record.read(layout.latest if run == LATEST else layout.run(run)) if "/" not in run else None
    if record is None:
        known = sorted((path.parent.name for path in layout.root.glob("runs/*/run.json")), reverse=True)[:NEWEST]
        there = f"the newest are {visible(', '.join(known))}" if known else "`flowers run` makes the first"
        raise ConfigurationError(f"there is no recorded run {visible(run)!r} below {layout.root}; {there}")
    return run_record.as_it_ended(record, active_run(layout.lock) is not None)
