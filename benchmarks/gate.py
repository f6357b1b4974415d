"""How often the gate errs, and where weekly retraining under it leads: simulations in which the verdict itself decides.

    python benchmarks/gate.py

A probe of accuracy a is right about a photograph if sqrt(r) u + sqrt(1 - r) e < z(a). u is the photograph's difficulty, the same for
all probes, e is a probe's own luck with it, both are standard normal, and z is the quantile function of the normal distribution. So a
is the probe's true accuracy, that over all photographs of such a kind. r is such that two probes of equal accuracy differ on DIFFER
of the photographs.

Beside the rule of components/evaluator/gate.py stands the former one, by which a backbone was blessed with points of accuracy alone,
at most one point below the champion, and took the alias whenever it was blessed.
"""

import argparse
from collections.abc import Callable, Iterable
from statistics import NormalDist

import numpy as np
from scipy.optimize import brentq
from scipy.stats import multivariate_normal

from components.evaluator.evidence import Pairs
from components.evaluator.gate import Measured, Registered, judge
from pipeline_config import Gate

# TensorFlow Flowers with the preset `cpu`, mean of three seeds (docs/recipe.md).
ACCURACY, RANDOM_INIT = 0.766, 0.678
# Share of the photographs about which one of two equally good probes alone is right.
DIFFER = 0.2
PHOTOGRAPHS = (60, 150, 455, 1500)
DIFFERENCES = (-5, -3, -2, -1, 0, 1, 2, 3, 5)
# Standard deviation of the true accuracy over runs that differ by chance alone, a point.
SPREAD = 0.01
WEEKS = 100
# The former rule's.
FORMER_REGRESSION = 0.01

# Who is right about which photograph: candidate, random-init baseline, champion, best version so far; [photographs] bool each.
# The result: whether it is blessed, and whether it takes the alias.
Rule = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[bool, bool]]
normal = NormalDist()


def correlation(accuracy: float, differ: float) -> float:
    """The r at which two probes of `accuracy` differ on a share `differ` of the photographs."""
    limit = [normal.inv_cdf(accuracy)] * 2

    def excess(r: float) -> float:
        both = multivariate_normal.cdf(limit, cov=[[1, r], [r, 1]])
        return 2 * (accuracy - both) - differ

    return brentq(excess, 0.0, 0.999)


def right(difficulty: np.ndarray, accuracy: float, r: float, random: np.random.Generator) -> np.ndarray:
    """About which photographs a probe of that true accuracy is right, `[photographs]` bool."""
    luck = random.standard_normal(difficulty.shape)
    return np.sqrt(r) * difficulty + np.sqrt(1 - r) * luck < normal.inv_cdf(accuracy)


def present(candidate: np.ndarray, untrained: np.ndarray, champion: np.ndarray, best: np.ndarray) -> tuple[bool, bool]:
    """The gate with its default settings."""

    def beside(other: np.ndarray) -> Measured:
        pairs = Pairs(int(np.sum(candidate & ~other)), int(np.sum(other & ~candidate)), int(np.sum(candidate & other)), len(other))
        return Measured(float(other.mean()), 0.5, 1.0, {}, [], len(other), {"": pairs})

    measured = Measured(float(candidate.mean()), 0.5, 1.0, {}, [], len(candidate))
    others = (Registered("", beside(champion), 0), None if best is champion else Registered("", beside(best), 0))
    verdict = judge(Gate(), measured, beside(untrained), *others)
    return verdict.blessed, verdict.takes_alias


def former(candidate: np.ndarray, untrained: np.ndarray, champion: np.ndarray, best: np.ndarray) -> tuple[bool, bool]:
    """What the gate did before: thresholds alone."""
    del best
    gate, reached = Gate(), candidate.mean()
    blessed = bool(
        reached >= gate.min_accuracy
        and reached - untrained.mean() >= gate.min_gain_over_random - 1e-9
        and champion.mean() - reached <= FORMER_REGRESSION + 1e-9
    )
    return blessed, blessed


RULES: dict[str, Rule] = {"former rule": former, "present rule": present}


def characteristics(photographs: int, difference: float, repeats: int, r: float, random: np.random.Generator) -> dict[str, np.ndarray]:
    """By rule, the shares of `repeats` candidates that are blessed and that take the alias.

    Args:
      difference: of the true accuracies, the candidate's less the champion's.
    """
    decided = {name: [] for name in RULES}
    for _ in range(repeats):
        difficulty = random.standard_normal(photographs)
        candidate, untrained, champion = (
            right(difficulty, accuracy, r, random) for accuracy in (ACCURACY + difference, RANDOM_INIT, ACCURACY)
        )
        for name, rule in RULES.items():
            decided[name].append(rule(candidate, untrained, champion, champion))
    return {name: np.mean(found, axis=0) for name, found in decided.items()}


def retrained(
    photographs: int, first: float, draw: Callable[[float], float], rule: Rule, r: float, random: np.random.Generator
) -> float:
    """The champion's true accuracy after WEEKS, always judged on the same photographs.

    Args:
      first: true accuracy of the first champion.
      draw: from the champion's true accuracy to that of the next candidate.
    """
    difficulty = random.standard_normal(photographs)
    untrained = right(difficulty, RANDOM_INIT, r, random)
    true, champion = first, right(difficulty, first, r, random)
    best = champion
    for _ in range(WEEKS):
        accuracy = draw(true)
        candidate = right(difficulty, accuracy, r, random)
        blessed, takes_alias = rule(candidate, untrained, champion, best)
        if takes_alias:
            true, champion = accuracy, candidate
        if blessed and candidate.sum() > best.sum():
            best = candidate
    return true


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    header = list(header)
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=1000, help="candidates for each cell of the first table")
    parser.add_argument("--histories", type=int, default=100, help="histories of retraining for each cell of the second")
    asked = parser.parse_args()
    random, r = np.random.default_rng(0), correlation(ACCURACY, DIFFER)

    rows = []
    for difference in DIFFERENCES:
        found = [characteristics(photographs, difference / 100, asked.repeats, r, random) for photographs in PHOTOGRAPHS]
        rows.append([f"{difference:+d}" if difference else "0"]
                    + [f"{one['former rule'][0]:.0%}, {one['present rule'][0]:.0%}, {one['present rule'][1]:.0%}" for one in found])  # fmt: skip
    print(f"Blessed by the former rule (which gave it the alias too), blessed by the present one, takes the alias by the present one; "
          f"two equal probes differ on {DIFFER:.0%} of the photographs, {asked.repeats:,} candidates a cell:\n")  # fmt: skip
    print(table(["points better than the champion", *(f"{one:,} photographs" for one in PHOTOGRAPHS)], rows))

    histories = {
        "equal worth, from an average champion": (ACCURACY, lambda true: random.normal(ACCURACY, SPREAD)),
        "equal worth, from a champion 2 points above": (ACCURACY + 0.02, lambda true: random.normal(ACCURACY, SPREAD)),
        "each a point worse than its champion": (ACCURACY, lambda true: true - 0.01),
    }  # fmt: skip
    rows = []
    for title, (first, draw) in histories.items():
        for name, rule in RULES.items():
            ends = [[retrained(photographs, first, draw, rule, r, random) - first for _ in range(asked.histories)]
                    for photographs in PHOTOGRAPHS]  # fmt: skip
            rows.append([title, name, *(f"{round(100 * np.mean(one), 1) + 0.0:+.1f}" for one in ends)])
    print(f"\nHow many points the champion's true accuracy has moved after {WEEKS} weekly retrainings, mean of {asked.histories} "
          f"histories; true accuracies of equal worth have a standard deviation of {100 * SPREAD:.0f} point:\n")  # fmt: skip
    print(table(["candidates", "", *(f"{one:,} photographs" for one in PHOTOGRAPHS)], rows))


if __name__ == "__main__":
    main()
