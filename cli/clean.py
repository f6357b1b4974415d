"""`flowers clean`: removes what older runs left below DIR, and says what and how much."""

import argparse

from cli.arguments import ExitStatus, add_root, examples
from cli.console import without_library_noise
from contracts.layout import Layout, run_lock
from pipeline_config import Registry, require

# As many weeks of a schedule as somebody looks back at.
KEEP = 5
UNITS = ("bytes", "kB", "MB", "GB", "TB")


def add(verbs) -> None:
    """Adds the verb to what `argparse.ArgumentParser.add_subparsers` returned."""
    cleaning = verbs.add_parser(
        "clean", help="remove what older runs left below DIR",
        description="Removes outputs, checkpoints, logs and pages of all runs but the newest. Registered versions, and what the next "
        "run is served from, always stay. Refused while a run is active below DIR.",
        **examples("--dry-run", "--keep 10 --root runs/mine"))  # fmt: skip
    cleaning.add_argument("--keep", type=int, default=KEEP, metavar="N", help="runs that keep everything (default: %(default)s)")
    cleaning.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    add_root(cleaning)
    cleaning.set_defaults(verb=_clean)


def _clean(parsed: argparse.Namespace) -> ExitStatus:
    require(parsed.keep >= 1, "--keep", "1 or more", parsed.keep)
    return clean(Layout.at(parsed.root), parsed.keep, parsed.dry_run)


def clean(layout: Layout, keep: int, dry_run: bool) -> ExitStatus:
    """Removes what is older than the newest `keep` runs, and prints a line for each kind of it.

    Raises:
      AnotherRunIsActive: a run is active below DIR.
      ConfigurationError: there is nothing of a run below DIR.
    """
    require((layout.root / "runs").is_dir(), "--root", "a folder below which `flowers run` has worked", str(layout.root))
    with run_lock(layout.lock), without_library_noise():
        from pipeline import clean

        registered_by = _registered_by(layout)
        kinds = clean.plan(layout, keep, registered_by)
        if not dry_run:
            clean.carry_out(layout, kinds)
    for kind in kinds:
        print(f"{kind.title:<32} {len(kind.paths):>5,}  {amount(kind.size):>9}")
    verb = "would be removed" if dry_run else "removed"
    print(f"{sum(len(kind.paths) for kind in kinds):,} files and folders {verb}, {amount(sum(kind.size for kind in kinds))}")
    return ExitStatus.FINISHED


def _registered_by(layout: Layout) -> set[str]:
    """The runs that a registered version came from, under any name and at any place that a run below DIR registered."""
    from pipeline import run_record
    from registry.backend import RUN_ID
    from registry.opening import open_registry, registry_place

    settings = [record.get("configuration") or {} for record in run_record.read_all(layout)]
    used = [one["registry"] for one in settings if "registry" in one]
    found = {("", Registry().name)} | {(one.get("place", ""), one["name"]) for one in used}
    return {version.tags.get(RUN_ID, "") for shared, name in found
            for version in open_registry(registry_place(shared, layout), name).versions()}  # fmt: skip


def amount(size: int) -> str:
    """A number of bytes with its unit, such as `1.2 GB`."""
    value, unit = float(size), 0
    while value >= 999.5 and unit + 1 < len(UNITS):
        value, unit = value / 1000, unit + 1
    return f"{value:.0f} {UNITS[unit]}" if unit == 0 or value >= 99.5 else f"{value:.1f} {UNITS[unit]}"
