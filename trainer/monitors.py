"""Detects a collapse (arXiv 2011.10566, section 4.1; Garrido et al., arXiv 2210.02885), and a divergence.

The standard deviation detects a complete collapse (all outputs equal), the effective rank also a partial one (all outputs on a
few lines). Neither needs a label.
"""

import numpy as np
import tensorflow as tf

from pipeline_config import Pretrain


class CollapseError(RuntimeError):
    """Pre-training ended because the outputs collapsed; the message says what to change."""


class DivergenceError(CollapseError):
    """Pre-training ended because something is no finite number any more; the message says what to change."""


def output_std_ratio(z: tf.Tensor) -> tf.Tensor:
    """Standard deviation of the l2-normalised outputs, averaged over channels, relative to 1/sqrt(d) (section 4.1).

    Args:
      z: projections, `[batch, d]` float32.

    Returns:
      A scalar: about 1 if outputs spread evenly over the sphere, 0 if all are equal.
    """
    normalized = tf.math.l2_normalize(z, axis=1)
    dimensions = tf.cast(tf.shape(z)[1], z.dtype)
    return tf.reduce_mean(tf.math.reduce_std(normalized, axis=0)) * tf.sqrt(dimensions)


def effective_rank(z: np.ndarray) -> float:
    """exp of the entropy of the normalised singular values (RankMe, arXiv 2210.02885, equation 1).

    Args:
      z: outputs, `[count, d]`; the result is at most min(count, d), so count should be some hundreds.

    Returns:
      From 1 (all outputs on one line) to min(count, d); 0 if all outputs are exactly 0.
    """
    singular = np.linalg.svd(np.asarray(z, np.float64), compute_uv=False)
    if singular.sum() == 0:
        return 0.0
    share = singular / singular.sum()
    share = share[share > 0]
    return float(np.exp(-np.sum(share * np.log(share))))


def diverged(what: str, *, step: int, settings: Pretrain) -> DivergenceError:
    """The error of a divergence.

    Args:
      what: the sentence that says what is no finite number.
      step: steps done.
      settings: those that the message advises to change.
    """
    rate = "warm_start_learning_rate" if settings.warm_start.backbone else "base_learning_rate"
    float16 = ", or set pretrain.precision to float32" if settings.precision == "mixed_float16" else ""
    return DivergenceError(
        f"pre-training diverged at step {step}: {what}. Lower pretrain.{rate} (it is {settings.base_learning_rate:g}; try a third "
        f"of it){float16}. Its checkpoints are removed: continued from them it would diverge again."
    )


def check_collapse(std_ratio: float, rank: float, loss: float, *, min_std_ratio: float, min_rank: float, epoch: int) -> None:
    """Raises CollapseError if a monitor is below its limit."""
    if std_ratio < min_std_ratio or rank < min_rank:
        raise CollapseError(
            f"pre-training collapsed in epoch {epoch}: output std ratio {std_ratio:.3f} (limit pretrain.min_output_std_ratio "
            f"{min_std_ratio}), effective rank {rank:.1f} (limit pretrain.min_effective_rank {min_rank}), loss {loss:.3f}. "
            "Lower pretrain.base_learning_rate (try a third of it), raise pretrain.batch_size, or strengthen pretrain.views; "
            "unchanged, the run would continue from its checkpoints and collapse again."
        )
