"""The command line: `flowers` and `python -m pipeline`. Reads arguments, calls the verb, returns its exit status.

Every start imports all verbs. Heavy libraries are imported only inside the verb that is called, so that help and error messages
appear at once.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from cli import (
    clean,
    compare,
    completion,
    doctor,
    embed,
    export,
    predict,
    registry,
    rehearse,
    report,
    run,
    runs,
    schedule,
    select,
    submit,
)
from cli.arguments import EXIT_STATUSES, ExitStatus
from cli.program import as_typed, typed
from contracts import libraries
from contracts.layout import AnotherRunIsActive
from pipeline import __version__, full_disk, preconditions
from pipeline.surroundings import leave_no_bytecode, open_standard_streams, require_working_directory, without_arguments
from pipeline_config import ConfigurationError
from registry.backend import RegistryError
from vertex import GoogleCloudError

# In the order in which help shows them: what a newcomer looks for first, then by name. A new verb is a new file here and its name
# in this list.
VERBS = (run, clean, compare, completion, doctor, embed, export, predict, registry, rehearse, report, runs, schedule, select, submit)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb and returns the exit status."""
    open_standard_streams()
    leave_no_bytecode()
    libraries.set_variables()
    whole = parser()
    if "_ARGCOMPLETE" in os.environ:  # a shell asks what could follow
        import argcomplete

        argcomplete.autocomplete(whole)
    given = sys.argv[1:] if arguments is None else list(arguments)
    parsed = whole.parse_args(given, argparse.Namespace(given=given))
    try:
        require_working_directory()
        with without_arguments():
            return int(parsed.verb(parsed))
    except (ConfigurationError, AnotherRunIsActive, RegistryError) as error:
        print(as_typed(f"flowers: {error}"), file=sys.stderr)
        return int(ExitStatus.BAD_ARGUMENTS)
    except GoogleCloudError as error:
        print(as_typed(f"flowers: {error}"), file=sys.stderr)
        return int(ExitStatus.NODE_FAILED if error.may_pass else ExitStatus.BAD_ARGUMENTS)
    except BrokenPipeError:  # who reads our output has read enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python fails again when it ends
        return int(ExitStatus.NODE_FAILED)
    except Exception as error:
        if full_disk.is_full(error):
            print(f"flowers: {full_disk.sentence(*_written_to(parsed))}", file=sys.stderr)
            return int(ExitStatus.NODE_FAILED)
        if isinstance(error, OSError) and error.errno in preconditions.REFUSED_BY_SYSTEM:
            print(f"flowers: {preconditions.not_writable(error)}", file=sys.stderr)
            return int(ExitStatus.BAD_ARGUMENTS)
        raise
    except KeyboardInterrupt:
        return int(ExitStatus.INTERRUPTED)


def _written_to(parsed: argparse.Namespace) -> list[str]:
    """The folders that a verb writes to, by its arguments."""
    output = getattr(parsed, "output", None)
    root = str(getattr(parsed, "root", None) or ".")
    return [root, os.path.dirname(os.path.abspath(output))] if isinstance(output, str) else [root]


def parser() -> argparse.ArgumentParser:
    """The parser of the whole command line; what it returns has the function to call in `verb`."""
    whole = argparse.ArgumentParser(
        prog=typed(), description="Learns a flower backbone without labels and registers it if a linear probe proves it good.",
        formatter_class=argparse.RawDescriptionHelpFormatter, epilog=EXIT_STATUSES)  # fmt: skip
    whole.add_argument("--version", action="version", version=f"flowers {__version__}")
    verbs = whole.add_subparsers(title="verbs", required=True, metavar="VERB")
    for verb in VERBS:
        verb.add(verbs)
    return whole
