"""What must be true below DIR however often a run was killed: nothing that readers open by its final name is half there."""

import gzip
import json
import pathlib
import zipfile

from contracts.layout import Layout
from pipeline import metadata
from registry import reading
from registry.backend import CHAMPION, Version
from registry.opening import open_registry


def faults(root: pathlib.Path, name: str = "flowers-backbone", newest: int = 3) -> list[str]:
    """One sentence for each thing that is half there below DIR; empty if all is whole.

    Args:
      root: DIR.
      name: the registered model.
      newest: how many versions are compared with what was registered, beside the champion, and of how many runs the outputs are read.
    """
    return [*_faults_of_runs(root), *_faults_of_artifacts(root, newest), *_faults_of_registry(root, name, newest)]


def versions(root: pathlib.Path, name: str = "flowers-backbone") -> list[Version]:
    """All registered versions below DIR."""
    layout = Layout(root)
    return list(open_registry(str(layout.registry), name).versions()) if layout.registry.exists() else []


def _faults_of_runs(root: pathlib.Path) -> list[str]:
    # A process that is killed between making its folder and writing its record leaves a folder without one.
    records = [*root.glob("runs/*/run.json"), *([root / "latest" / "run.json"] if (root / "latest").exists() else [])]
    pages = [page for page in root.glob("runs/*/*.html") if not page.read_text(encoding="utf-8").rstrip().endswith("</html>")]
    return [*_not_json(records), *(f"{page} has no end" for page in pages)]


def _faults_of_artifacts(root: pathlib.Path, newest: int) -> list[str]:
    """What finished nodes have written, as ML Metadata names it."""
    found, layout = [], Layout(root)
    for run in sorted(root.glob("runs/*"))[-newest:]:  # their names begin with the time
        for execution in metadata.executions(layout.metadata, run.name):
            if execution.state not in metadata.SUCCESSFUL:
                continue
            for uri in map(pathlib.Path, execution.outputs.values()):
                if not uri.exists():
                    found.append(f"{execution.node} of {run.name} has finished, and {uri} is missing")
                found += _not_json(uri.rglob("*.json"))
                found += [fault for file in uri.rglob("*.gz") if (fault := _not_gzip(file))]
                found += [f"{file} is no whole archive" for file in uri.rglob("*.keras") if not zipfile.is_zipfile(file)]
    return list(dict.fromkeys(found))


def _faults_of_registry(root: pathlib.Path, name: str, newest: int) -> list[str]:
    all_versions = versions(root, name)
    champions = [version for version in all_versions if CHAMPION in version.aliases]
    found = [f"{len(champions)} of {len(all_versions)} versions are champion"] if all_versions and len(champions) != 1 else []
    looked_at = {version.version: version for version in [*all_versions[-newest:], *champions]}
    found += [f"version {one.version}: {one.path} {one.problem}" for one in reading.verify(*looked_at.values())]
    return found + [f"version {version.version} has no files" for version in all_versions if not pathlib.Path(version.path).exists()]


def _not_json(files) -> list[str]:
    found = []
    for file in files:
        try:
            json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            found.append(f"{file} is no JSON: {error}")
    return found


def _not_gzip(file: pathlib.Path) -> str | None:
    try:
        with gzip.open(file) as opened:
            while opened.read(1 << 20):
                pass
    except (OSError, EOFError) as error:
        return f"{file} is no whole gzip file: {error}"
    return None
