"""`flowers report`: where the page of a run is, and the page itself where it is not there yet. Called by the command line."""

import json
import sys
import webbrowser

from contracts.model_files import RUN_PAGE
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout

NEWEST = 5  # run ids that an error names


def report(layout: Layout, run_id: str | None, show: bool) -> ExitStatus:
    """Prints the path of a run's page, which is drawn from what the nodes left if it is missing.

    Args:
      run_id: None is the newest run.
      show: whether to open the page in the desktop's browser.
    """
    folder = layout.run(run_id) if run_id else layout.latest.resolve()
    # A run id is one name, and leads nowhere else.
    if "/" in (run_id or "") or not (folder / "run.json").is_file():
        known = sorted((path.parent.name for path in layout.root.glob("runs/*/run.json")), reverse=True)[:NEWEST]
        there = f"the newest are {', '.join(known)}" if known else "`flowers run` makes the first"
        print(f"flowers: there is no recorded run {run_id or 'yet'} below {layout.root}; {there}", file=sys.stderr)
        return ExitStatus.BAD_ARGUMENTS
    path = folder / RUN_PAGE
    if not path.exists():
        from pipeline.console import without_library_noise

        with without_library_noise():
            from pipeline import metadata, run_page

            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            run_page.write(record, metadata.executions(layout.metadata, record["run_id"]), layout)
    print(path)
    if show and not webbrowser.open(path.as_uri()):
        print("flowers: there is no browser to open it with", file=sys.stderr)
        return ExitStatus.NODE_FAILED
    return ExitStatus.FINISHED
