"""The command line: `flowers` and `python -m pipeline`. Reads arguments, calls the verb, returns its exit status.

The verbs are in pipeline/verbs/. Heavy libraries are imported when a verb is called, so that help and mistakes answer at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from components.errors import GoogleCloudError
from components.registry.version import RegistryError
from pipeline import __version__, verbs
from pipeline.arguments import EXIT_STATUSES
from pipeline.exit_status import ExitStatus
from pipeline.run_lock import AnotherRunIsActive
from pipeline_config import ConfigurationError

# Read by libraries when they are imported. A value that the user has set stays.
ENVIRONMENT = {
    # oneDNN is off by default on some processors, where it makes a step several times as fast.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "2",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb and returns the exit status."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    understands = parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could follow
        import argcomplete

        argcomplete.autocomplete(understands)
    parsed = understands.parse_args(arguments)
    try:
        return int(parsed.verb(parsed))
    except (ConfigurationError, AnotherRunIsActive, RegistryError) as error:
        print(f"flowers: {error}", file=sys.stderr)
        return int(ExitStatus.BAD_ARGUMENTS)
    except GoogleCloudError as error:
        print(f"flowers: {error}", file=sys.stderr)
        return int(ExitStatus.NODE_FAILED if error.may_pass else ExitStatus.BAD_ARGUMENTS)
    except KeyboardInterrupt:
        return int(ExitStatus.INTERRUPTED)


def parser() -> argparse.ArgumentParser:
    """The parser of everything that `flowers` understands; a parsed line has the function to call in `verb`."""
    whole = argparse.ArgumentParser(
        prog="flowers", description="Learns a flower backbone without labels and registers it if a linear probe proves it good.",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXIT_STATUSES)  # fmt: skip
    whole.add_argument("--version", action="version", version=f"flowers {__version__}")
    verbs.add_all(whole)
    return whole
