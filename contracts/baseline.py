"""What shows how much SimSiam added: the same network with random weights, or the network of others that was the start."""

from collections.abc import Mapping

RANDOM_INIT, START = "random-init", "start"
TITLES = {RANDOM_INIT: "random-init baseline", START: "start"}
EXPLAINED = {RANDOM_INIT: "the same network untrained", START: "the network of others before SimSiam"}


def of(report: Mapping) -> str:
    """RANDOM_INIT or START, by linear_eval.json or verdict.json; those of earlier releases know the former only."""
    return report.get("baseline", RANDOM_INIT)


def title(report: Mapping) -> str:
    """As it stands in the middle of a sentence, after an article."""
    return TITLES[of(report)]
