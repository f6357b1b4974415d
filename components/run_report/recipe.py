"""What the run was made with: settings that differ from the preset's, versions, and the chain from data to registry.

Called by `page`; reads nothing but what is installed.
"""

import importlib.metadata
import platform
from collections.abc import Iterator

import pipeline_config
from components.run_report.artifacts import Artifacts

LIBRARIES = ("tfx", "tensorflow", "keras", "tensorflow-model-analysis", "scikit-learn", "mlflow", "numpy", "pillow")


def differences(configuration: dict) -> list[dict]:
    """Each setting that is not the preset's: `key` as `--set` has it, `value`, and what it is in the `preset`."""
    preset = dict(_flat(pipeline_config.to_dict(pipeline_config.PRESETS[configuration["preset"]])))
    return [
        {"key": key, "value": _text(value), "preset": _text(preset[key])}
        for key, value in _flat(configuration)
        if key in preset and _text(value) != _text(preset[key])
    ]


def _flat(section: dict, above: str = "") -> Iterator[tuple[str, object]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value


def _text(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def versions(found: Artifacts) -> list[tuple[str, str]]:
    """What ran: this project's code by its hashes, Python, and the libraries that a result depends on."""
    installed = [(name, importlib.metadata.version(name)) for name in LIBRARIES]
    return [("this project", found.code_version or "not known"), ("Python", platform.python_version()), *installed]


def lineage(found: Artifacts) -> list[dict]:
    """From the photographs to the registry: `what`, its `identity`, and in words what it is to the one before."""
    chain = []
    if found.ingest:
        chain.append({"what": "Photographs", "identity": found.ingest["fingerprint"], "note": found.ingest["source"]})
    if found.probe:
        chain.append({"what": "Backbone", "identity": found.probe["backbone_content_hash"], "note": "pre-trained on train"})
    if found.verdict:
        chain.append({"what": "Probe", "identity": found.verdict["probe"]["content_hash"], "note": "fitted on that backbone"})
        baseline = found.verdict["baseline_version"]
        against = f"champion version {baseline}" if baseline else "the floors alone"
        judged = "blessed" if found.verdict["blessed"] else "not blessed"
        chain.append({"what": "Verdict", "identity": judged, "note": f"of that probe, on eval, against {against}"})
    if found.push:
        version = f"{found.push['name']} version {found.push['version']}" if found.push["version"] else "no version"
        chain.append({"what": "Registry", "identity": version, "note": "that backbone with that probe"})
    return chain
