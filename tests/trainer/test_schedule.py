import pytest

from trainer.optimizer import cosine_decay, scaled_rate


def test_rate_is_linear_in_the_batch():
    # The paper's 0.05 is for a batch of 256; its batch of 512 trains at 0.1.
    assert scaled_rate(0.05, 512) == pytest.approx(0.1)


@pytest.mark.parametrize("step, share", [(0, 1.0), (25, 0.8535534), (50, 0.5), (75, 0.1464466), (100, 0.0)])
def test_cosine_passes_through_known_points(step, share):
    # (1 + cos(pi/4)) / 2 = 0.8535534
    assert float(cosine_decay(0.4, step, 100)) == pytest.approx(0.4 * share, abs=1e-7)
