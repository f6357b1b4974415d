"""Settings that count for nothing beside other settings or options: who gives one would wait for an effect in vain.

Only what was given on the command line is refused. What contradicts itself whoever gave it is refused by `pipeline_config`.
"""

import fnmatch
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

from contracts.text import visible
from pipeline_config import RANDOM, Config, ConfigurationError, is_folder, is_network


class Way(NamedTuple):
    """How a configuration is to be run.

    Attributes:
      here: on this machine, not on Vertex AI.
      waits: whether the command waits for the end of a run on Vertex AI.
      dataflow: whether Dataflow runs the Beam tasks.
    """

    here: bool = True
    waits: bool = False
    dataflow: bool = False


class Rule(NamedTuple):
    """`keys`: a pattern of settings. `counts`: whether they have an effect, by configuration, way and the keys that were given.

    `where`: half a sentence on where they count. `advice`: what to do, besides leaving the setting out.
    """

    keys: str
    counts: Callable[[Config, Way, Collection[str]], bool]
    where: str
    advice: str


# Where settings of the project's own networks count.
OWN = "only for the project's own backbones, and pretrain.start is {config.pretrain.start}"

RULES = (
    Rule(
        "data.synthetic_*",
        lambda config, way, given: config.data.source == "synthetic",
        "only where the source is synthetic, and data.source is {config.data.source}",
        "leave out --data",
    ),
    Rule(
        "data.min_eval",
        lambda config, way, given: is_folder(config.data.source),
        "only where a folder is divided, and data.source is {config.data.source}",
        "set data.eval_fraction",
    ),
    Rule(
        "pretrain.warm_start_*",
        lambda config, way, given: config.pretrain.start != RANDOM,
        "only with --warm-start or another pretrain.start",
        "add --warm-start champion",
    ),
    Rule(
        "pretrain.warm_start.*",
        lambda config, way, given: config.pretrain.start == RANDOM,
        "only without --warm-start and pretrain.start, which find out by themselves what is started from",
        "leave out these",
    ),
    Rule(
        "pretrain.epochs",
        lambda config, way, given: config.pretrain.start == RANDOM or "pretrain.warm_start_epochs" not in given,
        "only without pretrain.warm_start_epochs, which replaces it here",
        "leave out that one",
    ),
    Rule(
        "pretrain.base_learning_rate",
        lambda config, way, given: config.pretrain.start == RANDOM or "pretrain.warm_start_learning_rate" not in given,
        "only without pretrain.warm_start_learning_rate, which replaces it here",
        "leave out that one",
    ),
    *(
        Rule(f"pretrain.{name}", lambda config, way, given: not is_network(config.pretrain.start), OWN, "leave out pretrain.start")
        for name in ("backbone", "width", "stem")
    ),
    Rule(
        "pretrain.precision",
        lambda config, way, given: not is_network(config.pretrain.start) or config.pretrain.precision == "float32",
        f"{OWN}, whose precision is float32",
        "leave out pretrain.start",
    ),
    Rule(
        "embedding.stages",
        lambda config, way, given: not is_network(config.pretrain.start) or config.embedding.stages == 1,
        f"{OWN}, which has one stage",
        "leave out pretrain.start",
    ),
    Rule(
        "embedding.pooling",
        lambda config, way, given: not is_network(config.pretrain.start) or config.embedding.pooling == ("mean",),
        f"{OWN}, which is averaged",
        "leave out pretrain.start",
    ),
    Rule(
        "pretrain.views.blur_*_sigma",
        lambda config, way, given: config.pretrain.views.blur_probability > 0,
        "only with a blur, and pretrain.views.blur_probability is 0",
        "set that one too",
    ),
    *(
        Rule(
            f"pretrain.views.{name}",
            lambda config, way, given: config.pretrain.views.jitter_probability > 0,
            "only where colours change, and pretrain.views.jitter_probability is 0",
            "set that one too",
        )
        for name in ("brightness", "contrast", "saturation", "hue")
    ),
    Rule(
        "pretrain.min_gpus",
        lambda config, way, given: way.here,
        "only on this machine",
        "set vertex.pretrain.accelerators, which says how many GPUs the machine on Vertex AI has",
    ),
    Rule("supervised.*", lambda config, way, given: False, "only where a network is trained from scratch", "give it to `flowers compare`"),
    Rule(
        "tracking.*",
        lambda config, way, given: way.here,
        "only on this machine",
        "leave it out: MLflow's tracking is not written on Vertex AI (docs/registry.md)",
    ),
    Rule(
        "vertex.*",
        lambda config, way, given: not way.here,
        "only on Vertex AI",
        "use it with `flowers compile`, `submit` or `schedule create` without --local",
    ),
    Rule(
        "vertex.dataflow_max_workers",
        lambda config, way, given: way.dataflow,
        "only where Dataflow runs the Beam tasks",
        "add --beam-runner dataflow",
    ),
    Rule(
        "vertex.poll_seconds",
        lambda config, way, given: way.waits,
        "only while a command waits for a run",
        "add --wait to `flowers submit`",
    ),
    Rule(
        "vertex.wait_hours", lambda config, way, given: way.waits, "only while a command waits for a run", "add --wait to `flowers submit`"
    ),
)


def require_none(config: Config, overrides: Iterable[str], way: Way) -> None:
    """Raises ConfigurationError at the first setting of `overrides` (KEY=VALUE) that would have no effect."""
    given = list(dict.fromkeys(one.partition("=")[0].strip() for one in overrides))
    for key in given:
        for rule in RULES:
            if fnmatch.fnmatchcase(key, rule.keys) and not rule.counts(config, way, given):
                where = visible(rule.where.format(config=config))
                raise ConfigurationError(f"{key} counts {where}; {rule.advice}, or leave out {key}")
