import numpy as np
import pandas as pd
import pytest

from emscout.errors import UsageError
from emscout.movies.kinetics.growth import fit_power_law, growth_exponent
from emscout.synthetic.movie import make_movie


def measured(true: pd.DataFrame, seed: int) -> pd.DataFrame:
    radius = true["radius_px"] + np.random.default_rng([seed, 1]).normal(0, 0.2, len(true))
    return true[["frame", "particle"]].assign(area_px2=np.pi * radius**2)[radius > 1.5]


def mean_field(n: float, seed: int, n_particles: int = 300, merging: float = 0.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Tracks and mergers of ripening with any exponent: dr/dt = K / r^(n-1) (r / r* - 1), the volume conserved.

    Every eight frames this share of the particles takes in something of half its volume.
    """
    rng = np.random.default_rng([seed, 2])
    radius = rng.normal(8, 1.6, n_particles).clip(4)
    rate = 0.012 * 8.0**n
    rows, mergers = [], []
    for frame in range(60):
        alive = np.flatnonzero(radius > 1)
        if frame % 8 == 4:
            taking = alive[rng.random(len(alive)) < merging]
            radius[taking] *= 1.5 ** (1 / 3)
            mergers += [(frame, "coalescence", f"{number} 999") for number in taking]
        rows.append(pd.DataFrame({"frame": frame, "particle": alive, "radius_px": radius[alive]}))
        for _ in range(20):
            r = radius[alive]
            critical = (r ** (4 - n)).sum() / (r ** (3 - n)).sum()
            radius[alive] = np.maximum(r + rate / 20 / r ** (n - 1) * (r / critical - 1), 0.5)
            alive = alive[radius[alive] > 1]
    events = pd.DataFrame(mergers, columns=["frame", "kind", "particles"])
    return measured(pd.concat(rows, ignore_index=True), seed), events


@pytest.mark.parametrize("seed", [3, 4])
def test_the_exponent_of_a_ripening_movie_is_found(seed):
    """That of Lifshitz, Slyozov and Wagner is 3."""
    movie = make_movie(60, (590, 590), n_particles=300, process="ripening", growth=1.3, seed=seed)
    found = growth_exponent(measured(movie.tracks, seed), np.arange(60)).set_index("method")
    particles = found.loc["single-particles"]
    assert particles["n"] == pytest.approx(3, rel=0.1)
    assert particles["n_low"] < particles["n"] < particles["n_high"]
    assert particles["n_high"] - particles["n_low"] < 0.6
    radius = movie.tracks.groupby("frame")["radius_px"].mean()
    assert particles["k"] == pytest.approx((radius[59] ** 3 - radius[0] ** 3) / 59, rel=0.35)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_other_laws_have_other_exponents(n):
    tracks, _ = mean_field(n, seed=n)
    found = growth_exponent(tracks, np.arange(60), resamples=50).set_index("method").loc["single-particles"]
    assert found["n"] == pytest.approx(n, rel=0.1)


def test_the_unit_of_time_changes_k_alone():
    tracks, _ = mean_field(3, seed=0)
    frames, seconds = (growth_exponent(tracks, unit * np.arange(60), resamples=10) for unit in (1, 5))
    assert seconds["n"].to_numpy() == pytest.approx(frames["n"].to_numpy(), rel=1e-3, nan_ok=True)
    assert seconds["k"].to_numpy() == pytest.approx(frames["k"].to_numpy() / 5, rel=1e-2, nan_ok=True)


def test_no_speed_is_taken_across_a_merger():
    """Every eight frames a third of the particles takes in something of half its volume."""
    tracks, mergers = mean_field(3, seed=1, merging=0.33)
    with_mergers, without = (
        growth_exponent(tracks, np.arange(60), events, resamples=20).set_index("method").loc["single-particles", "n"]
        for events in (mergers, None)
    )
    assert with_mergers == pytest.approx(3, rel=0.1)
    assert abs(without - 3) > 2 * abs(with_mergers - 3)


def test_the_same_seed_gives_the_same_numbers():
    tracks, _ = mean_field(3, seed=0, n_particles=80)
    first, second = (growth_exponent(tracks, np.arange(60), seed=1, resamples=20) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)


@pytest.mark.parametrize("n", [2.0, 3.0, 4.5])
def test_a_power_law_is_fitted(n):
    t = np.linspace(0, 100, 40)
    found, k = fit_power_law(t, (5**n + 2.0 * 5**n * t / 100) ** (1 / n))
    assert found == pytest.approx(n, rel=1e-3)
    assert k == pytest.approx(2.0 * 5**n / 100, rel=1e-2)


def test_what_does_not_grow_has_no_exponent():
    assert np.isnan(fit_power_law(np.arange(10), 5 - 0.1 * np.arange(10))).all()
    assert np.isnan(fit_power_law(np.arange(3), np.array([1.0, 2.0, 3.0]))).all()
    still = pd.DataFrame({"frame": [0, 1], "particle": 1, "area_px2": 50.0})
    assert growth_exponent(still, np.arange(2))[["n", "n_low", "k"]].isna().all().all()
    assert growth_exponent(still.iloc[:0], np.arange(2))["n"].isna().all()


def test_a_frame_without_a_time_is_said():
    with pytest.raises(UsageError, match="2 times but a frame 5"):
        growth_exponent(pd.DataFrame({"frame": [5], "particle": 1, "area_px2": 50.0}), np.arange(2))
