"""The paper's two ablations (arXiv 2011.10566, sections 4.1 and 4.2): both collapse, and the monitors' limits follow from them.

`benchmarks/ablations.py` and the tests pass these models to `trainer.pretraining.pretrain`; no setting leads here.
"""

import keras

from trainer.simsiam import SimSiam


def without_stop_gradient(model: SimSiam) -> SimSiam:
    """The same networks, with gradients that flow into the target as well (section 4.1, equation 1 for the loss)."""
    return model._replace(stop_gradient=False)


def without_predictor(model: SimSiam) -> SimSiam:
    """The same encoder, with the identity for a predictor (section 4.2, table 1 a)."""
    inputs = keras.Input(model.projector.output_shape[1:], name="projection")
    return model._replace(predictor=keras.Model(inputs, inputs, name="no_predictor"), predictor_momentum=[])
