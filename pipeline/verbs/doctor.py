"""Arguments of `flowers doctor`."""

import argparse

from pipeline.arguments import add_configuration, add_root
from pipeline.exit_status import ExitStatus
from pipeline.layout import Layout


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    doctor = verbs.add_parser(
        "doctor", help="say what of this machine and configuration is right or wrong, and how to mend it",
        description="Looks at the machine, the installation, DIR and the configuration of a run, changes nothing, and prints a line "
        "for each finding: ok, warn or fail, and how to mend it. Exit status 1 where anything fails.")  # fmt: skip
    add_configuration(doctor, preset="quick", data="the source of the run in question")
    add_root(doctor)
    doctor.set_defaults(verb=_doctor)


def _doctor(parsed: argparse.Namespace) -> ExitStatus:
    from pipeline import doctor_command

    return doctor_command.doctor(parsed, Layout.at(parsed.root))
