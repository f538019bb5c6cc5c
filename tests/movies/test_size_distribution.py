import numpy as np
import pytest

from emscout.movies.kinetics.size_distribution import compare_distributions, lsw_density

U = np.linspace(0, 1.5, 20_001)


def lsw_sample(n: int, seed: int) -> np.ndarray:
    return np.interp(np.random.default_rng(seed).random(n), np.cumsum(lsw_density(U)) * U[1], U)


def test_the_lsw_density_is_one_of_mean_one():
    assert np.trapezoid(lsw_density(U), U) == pytest.approx(1, abs=1e-3)
    assert np.trapezoid(U * lsw_density(U), U) == pytest.approx(1, abs=1e-3)
    assert lsw_density(np.array([-1.0, 0.0, 1.5, 2.0])).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("error", [0.0, 0.3])
def test_ripened_sizes_are_distinguished_from_log_normal_ones(error):
    rng = np.random.default_rng(1)
    ripened = compare_distributions(10 * lsw_sample(300, 0) + rng.normal(0, error, 300), error).set_index("shape")
    assert ripened.loc["lsw", "aic"] < ripened.loc["log-normal", "aic"] - 10
    assert ripened.loc["lsw", "kolmogorov"] < ripened.loc["log-normal", "kolmogorov"]
    assert ripened.loc["lsw", "kolmogorov"] < 1.36 / np.sqrt(300)
    assert ripened.loc["lsw", "scale"] == pytest.approx(10, rel=0.05)
    grown = compare_distributions(rng.lognormal(np.log(10), 0.25, 300), error).set_index("shape")
    assert grown.loc["log-normal", "aic"] < grown.loc["lsw", "aic"] - 10
    assert grown.loc["log-normal", "kolmogorov"] < 1.36 / np.sqrt(300)
    assert grown.loc["log-normal", ["scale", "spread"]].tolist() == pytest.approx([10, 0.25], rel=0.1)


def test_too_few_sizes_have_no_shape():
    assert compare_distributions([1.0, 2.0, 3.0])["aic"].isna().all()
    assert compare_distributions([2.0] * 10)["aic"].isna().all()
