"""What a node's output depends on: the code that it runs, the settings that it reads, its inputs. And what changed since.

TFX serves a node from its cache if parameters and inputs are those of an earlier execution. So code and settings are parameters:
a node's `code_version` has the hash of every file of the project that its executor runs, found from the imports
(contracts/source_code.py), and its settings are those that it reads, except those marked as how_to_run in pipeline_config.
`python -m pipeline.identity` prints the code of an installation, such as the one in an image.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping

import pipeline_config
from contracts import source_code
from contracts.files import json_sha256
from pipeline import __version__
from pipeline_config import Config
from registry.backend import whole_recipe

# The module that each node executes. StatisticsGen and ExampleValidator run TFX's code alone.
EXECUTED = {
    "SourceInspector": "components.source_inspector",
    "StartingPoint": "components.warm_start.starting_point",
    "StartingBackbone": "components.warm_start.starting_backbone",
    "Champion": "components.champion.champion",
    "ChampionRecord": "components.champion.champion_record",
    "ExampleGen": "components.example_gen.component",
    "SchemaGen": "components.schema_gen",
    "DataGate": "components.data_gate",
    "Pretrain": "trainer.pretrain",
    "LinearEval": "trainer.linear_eval",
    "Evaluator": "components.evaluator.component",
    "Pusher": "components.pusher.component",
    "Report": "components.report.component",
}
# The nodes that make what is registered.
MAKERS = ("ExampleGen", "Pretrain", "LinearEval")

# Parameters that follow from others, or only say where things are: a change is reported by what they follow from.
DERIVED = ("recipe", "code", "run_id", *(f"champion{of}.{what}" for of in ("", ".best")
                                        for what in ("backbone", "content_hash", "probe", "probe_content_hash")))  # fmt: skip
# Prefix of a setting's value in the preset, which the page shows beside a value that differs.
PRESET = "preset."
# Why a node runs if no execution of it has finished yet.
FIRST = "it has not finished here before"
# Parameters that are one setting each, with the setting's section.
SECTIONS = {"max_bad_fraction": "data", "licence": "data", "name": "registry", "signing_key": "registry"}


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a run's candidate comes from, beyond the settings of its training.

    Attributes:
      data_fingerprint: hash of the source's content; "" if the DAG is built without reading the source.
      code: by node, the hash of each file that it runs (`node_code`).
      packages: `package_versions`, for records only.
    """

    data_fingerprint: str
    code: Mapping[str, Mapping[str, str]]
    packages: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Ingredients:
    """What one execution was made of.

    Attributes:
      parameters: of the node, by name, as ML Metadata has them.
      inputs: URIs by the node that made them; the outputs of one node together, sorted.
    """

    parameters: Mapping[str, object]
    inputs: Mapping[str, tuple[str, ...]]


def node_code() -> dict[str, dict[str, str]]:
    """By node, the hash of each file that it runs, by its path below the project."""
    return {node: source_code.file_hashes([module]) for node, module in EXECUTED.items()}


def package_versions() -> dict[str, str]:
    """`<release>+<hash>` of everything that nodes can run: `components` and `trainer`, each with the packages below it."""
    packages = {"components": ("components", "registry", "vertex", "contracts"), "trainer": ("trainer", "contracts")}
    hashes = {name: source_code.file_hashes(source_code.package_modules(below)) for name, below in packages.items()}
    return {name: f"{__version__}+{source_code.version(files)}" for name, files in hashes.items()}


def code_line(code: Mapping[str, Mapping[str, str]]) -> str:
    """The versions of the nodes' code in one line, for records: `ExampleGen 0123456789ab, …`."""
    return ", ".join(f"{node} {source_code.version(files)}" for node, files in code.items())


def recipe(config: Config, origin: Origin) -> str:
    """SHA-256 (hex) of what determines backbone and probe: data, code, the settings of ingest and both trainers, and the backbone that
    pre-training starts from.

    Two runs of one recipe make the same candidate.
    """
    return whole_recipe(settings_and_code(config, origin), origin.data_fingerprint, config.pretrain.warm_start.content_hash)


def settings_and_code(config: Config, origin: Origin, warm: Mapping[str, object] | None = None) -> str:
    """The part of the recipe that is known when a DAG is built, before its data, and perhaps a backbone to start from, are looked up.

    Args:
      warm: settings that are others if there is such a backbone; None where that is known.
    """
    pretrain = pipeline_config.identity(config.pretrain)
    del pretrain["warm_start"]
    values = {
        "code": {node: source_code.version(origin.code[node]) for node in MAKERS},
        "ingest": pipeline_config.ingest(config.data),
        "pretrain": pretrain,
        "embedding": pipeline_config.identity(config.embedding),
        "linear_eval": pipeline_config.identity(config.linear_eval),
    }
    return json_sha256(values | ({} if warm is None else {"warm_start": dict(warm)}))


def changes(before: Ingredients | None, now: Ingredients, photographs_moved: Callable[[str, str], str]) -> list[str]:
    """Why a node ran, in sentences: which code, settings and inputs differ from its last finished execution.

    Args:
      before: that execution; None if there is none.
      now: the one in question, which was not served from the cache.
      photographs_moved: from two fingerprints to a sentence that says how the photographs differ.
    """
    if before is None:
        return [FIRST]
    was, is_now = _flat(before.parameters), _flat(now.parameters)
    found = []
    differing = [key for key in sorted(was.keys() | is_now.keys()) if was.get(key) != is_now.get(key) and key not in DERIVED]
    for key in differing:
        if key.startswith(PRESET) and key.removeprefix(PRESET) in differing:
            continue
        path = key.removeprefix("code_version/")
        if path != key:
            found.append(f"{path} {'was added' if key not in was else 'was removed' if key not in is_now else 'changed'}")
        elif key == "fingerprint":
            found.append(photographs_moved(str(was.get(key)), str(is_now.get(key))))
        elif key == "champion.challenge":
            if _version(was, "champion") == _version(is_now, "champion"):
                found.append(f"challenge of the champion {was[key]} → {is_now[key]}")
        elif key.startswith("champion"):
            of, title = ("champion.best", "best version so far") if key.startswith("champion.best") else ("champion", "champion")
            found.append(f"{title} {_version(was, of)} → {_version(is_now, of)}")
        else:
            found.append(f"{key} {_text(was.get(key))} → {_text(is_now.get(key))}")
    new = [node for node, uris in now.inputs.items() if before.inputs.get(node) != uris]
    found += [f"new output of {node}" for node in new]
    return list(dict.fromkeys(found)) or ["its output is missing or out of date"]


def _flat(parameters: Mapping[str, object]) -> dict[str, object]:
    """Parameters as settings by dotted key and files by `code_version/PATH`; JSON objects in them are flattened."""
    flat: dict[str, object] = {}

    def add(key: str, value: object) -> None:
        parsed = _parsed(value)
        if key == "code_version" and isinstance(parsed, dict):
            flat.update({f"code_version/{path}": digest for path, digest in parsed.items()})
        elif isinstance(parsed, dict):
            for name, part in parsed.items():
                # These hold sections and are not sections themselves.
                add(name if key in ("custom_config", "configuration", "") else f"{key}.{name}", part)
        elif key in SECTIONS:
            flat[f"{SECTIONS[key]}.{key}"] = value
        else:
            flat[key] = value

    for name, value in parameters.items():
        add(name, value)
    return flat


def _parsed(value: object) -> object:
    if isinstance(value, str) and value.startswith("{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _version(parameters: Mapping[str, object], of: str) -> str:
    version = parameters.get(f"{of}.version")
    return f"version {version}" if version else "none"


def _text(value: object) -> str:
    if value is None or value == "":
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


if __name__ == "__main__":
    print(json.dumps(node_code()))
