import math

import numpy as np
import pandas as pd
import pytest

from emscout.errors import UsageError
from emscout.particles.distributions import histogram, radial_distribution, size_distribution, summarize_particles
from emscout.tables import to_physical

FIGURES = [
    "number_density_per_px2",
    "coverage",
    "d10_px",
    "d50_px",
    "d90_px",
    "mean_diameter_px",
    "area_weighted_mean_diameter_px",
    "std_diameter_px",
    "mean_aspect_ratio",
]


def table_of(diameters, border=None, aspect_ratio=1.0):
    diameters = np.asarray(diameters, dtype=float)
    return pd.DataFrame(
        {
            "area_px2": np.pi * diameters**2 / 4,
            "equivalent_circular_diameter_px": diameters,
            "aspect_ratio": np.broadcast_to(aspect_ratio, diameters.shape).astype(float),
            "touches_border": np.zeros(len(diameters), dtype=bool)
            if border is None
            else np.asarray(border, dtype=bool),
        }
    )


def summarize(diameters, border=None, shape=(1000, 1000), nm_per_px=None, **options):
    return summarize_particles(table_of(diameters, border), shape, nm_per_px, **options)


# Summary


def test_summary_of_known_diameters():
    d = np.arange(10.0, 31.0)
    s = summarize(d)
    assert s["count"] == 21
    assert s["count_border"] == 0
    assert (s["d10_px"], s["d50_px"], s["d90_px"]) == (12, 20, 28)
    assert s["mean_diameter_px"] == 20
    assert s["std_diameter_px"] == pytest.approx(np.std(d, ddof=1))
    assert s["area_weighted_mean_diameter_px"] == pytest.approx((d**3).sum() / (d**2).sum())
    assert s["coverage"] == pytest.approx((np.pi * d**2 / 4).sum() / 1e6)
    assert s["number_density_per_px2"] == 21 / 1e6
    assert s["mean_aspect_ratio"] == 1


def test_every_figure_has_its_interval():
    s = summarize(np.arange(10.0, 31.0), nm_per_px=0.5)
    names = [*FIGURES, "number_density_per_um2"]
    assert set(s) == {"count", "count_border", *(name + end for name in names for end in ("", "_low", "_high"))}
    for name in names:
        assert s[f"{name}_low"] <= s[name] <= s[f"{name}_high"]


def test_particles_cut_by_the_border_are_left_out_of_sizes():
    with_border = summarize([20, 22, 24, 5, 400], [0, 0, 0, 1, 1])
    without = summarize([20, 22, 24])
    assert with_border["count"] == 5
    assert with_border["count_border"] == 2
    for name in FIGURES[2:]:
        assert with_border[name] == without[name]


def test_particles_cut_by_the_border_count_half_in_the_density_and_fully_in_the_coverage():
    s = summarize([20, 22, 24, 26], [0, 0, 1, 1], shape=(100, 200))
    assert s["number_density_per_px2"] == 3 / 20000
    assert s["coverage"] == pytest.approx(np.pi / 4 * (400 + 484 + 576 + 676) / 20000)


def test_number_density_is_unbiased_at_the_border():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(400):
        centres = rng.uniform(-100, 300, (160, 2))  # 0.001 per px², far beyond the field of 200 × 200
        radius = 15
        met = ((centres > -radius) & (centres < 200 + radius)).all(axis=1)
        inside = ((centres >= radius) & (centres <= 200 - radius)).all(axis=1)
        found.append(summarize(np.full(met.sum(), 30), ~inside[met], (200, 200), resamples=1)["number_density_per_px2"])
    assert np.mean(found) == pytest.approx(0.001, rel=0.04)


def test_density_per_square_micrometre():
    s = summarize([20, 22, 24], shape=(1000, 1000), nm_per_px=2.0)
    assert s["number_density_per_um2"] == pytest.approx(3 / 4)
    assert "number_density_per_um2" not in summarize([20, 22, 24])


def test_physical_columns_of_a_summary():
    s = to_physical(pd.DataFrame([summarize([20, 22, 24], nm_per_px=2.0)]), 2.0).iloc[0]
    assert s["d50_nm"] == 44
    assert s["d50_nm_low"] == 2 * s["d50_px_low"]
    assert s["number_density_per_nm2"] == pytest.approx(s["number_density_per_px2"] / 4)


def test_no_particles():
    s = summarize([], nm_per_px=1.0)
    assert (s["count"], s["count_border"], s["number_density_per_px2"], s["coverage"]) == (0, 0, 0, 0)
    rest = {name: value for name, value in s.items() if not name.startswith(("count", "number_density", "coverage"))}
    assert all(math.isnan(value) for value in rest.values())
    assert math.isnan(s["coverage_low"])


@pytest.mark.parametrize("n", [1, 2])
def test_too_few_for_an_interval(n):
    s = summarize([20, 30][:n])
    assert s["d50_px"] == [20, 25][n - 1]
    assert math.isnan(s["d50_px_low"])
    assert math.isnan(s["number_density_per_px2_high"])
    assert math.isnan(s["std_diameter_px"]) == (n == 1)


def test_only_border_particles():
    s = summarize([20, 30, 40], [1, 1, 1])
    assert (s["count"], s["count_border"]) == (3, 3)
    assert math.isnan(s["mean_diameter_px"])
    assert s["number_density_per_px2"] == 1.5e-6


def test_equal_particles_have_no_spread():
    s = summarize(np.full(50, 17.0))
    assert s["std_diameter_px"] == s["std_diameter_px_high"] == 0
    assert s["d10_px_low"] == s["d90_px_high"] == 17


def test_the_same_seed_gives_the_same_numbers_and_another_one_others():
    d = np.random.default_rng(0).normal(20, 3, 100)
    assert summarize(d, seed=4) == summarize(d, seed=4)
    assert summarize(d, seed=4)["d50_px_low"] != summarize(d, seed=5)["d50_px_low"]
    assert summarize(d, seed=4)["d50_px"] == summarize(d, seed=5)["d50_px"]


def test_intervals_of_the_mean_cover_it_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        s = summarize(rng.normal(20, 4, 60), seed=seed, resamples=400)
        hits += s["mean_diameter_px_low"] <= 20 <= s["mean_diameter_px_high"]
    assert 0.89 <= hits / 200 <= 0.99


def test_intervals_of_the_density_cover_it_about_as_often_as_they_say():
    rng = np.random.default_rng(0)
    hits = 0
    for seed in range(200):
        s = summarize(np.full(rng.poisson(80), 20.0), seed=seed, resamples=400)
        hits += s["number_density_per_px2_low"] <= 80e-6 <= s["number_density_per_px2_high"]
    assert 0.89 <= hits / 200 <= 0.99


def test_intervals_shrink_with_the_number_of_particles():
    rng = np.random.default_rng(0)
    widths = []
    for n in (30, 300, 3000):
        s = summarize(rng.normal(20, 4, n))
        widths.append(s["mean_diameter_px_high"] - s["mean_diameter_px_low"])
    assert widths[0] / widths[1] == pytest.approx(np.sqrt(10), rel=0.3)
    assert widths[1] / widths[2] == pytest.approx(np.sqrt(10), rel=0.3)


def test_chunks_of_the_bootstrap_do_not_show():
    d = np.random.default_rng(0).normal(20, 4, 30_000)
    s = summarize(d, resamples=200)
    width = s["mean_diameter_px_high"] - s["mean_diameter_px_low"]
    assert width == pytest.approx(2 * 1.96 * 4 / np.sqrt(30_000), rel=0.25)


def test_coverage_never_exceeds_the_field():
    s = summarize(np.full(20, 25.0), shape=(100, 100))
    assert s["coverage"] == pytest.approx(0.98, abs=0.01)
    assert s["coverage_high"] == 1


# Histograms


@pytest.mark.parametrize(("n", "bins"), [(1, 1), (2, 3), (8, 4), (27, 6), (64, 8), (100, 10), (1000, 20)])
def test_bins_by_rices_rule(n, bins):
    found = histogram(np.linspace(3, 9, n), "d", "nm")
    assert len(found) == bins
    assert found["count"].sum() == n


def test_bins_join_and_span_the_values():
    values = np.random.default_rng(0).normal(20, 4, 200)
    found = histogram(values, "d", "nm")
    assert list(found.columns) == ["quantity", "bin_low", "bin_high", "unit", "count"]
    assert found["bin_low"].iloc[0] == values.min()
    assert found["bin_high"].iloc[-1] == values.max()
    assert np.allclose(found["bin_low"].iloc[1:], found["bin_high"].iloc[:-1])
    assert set(found["unit"]) == {"nm"}


@pytest.mark.parametrize("values", [[], [np.nan], [np.nan, np.inf]])
def test_histogram_of_nothing(values):
    found = histogram(np.array(values), "d", "nm")
    assert len(found) == 0
    assert (found.dtypes == histogram(np.arange(9.0), "d", "nm").dtypes).all()


def test_histogram_of_equal_values():
    found = histogram(np.full(7, 3.5), "d", "nm")
    assert found[["bin_low", "bin_high", "count"]].to_numpy().tolist() == [[3.5, 3.5, 7]]


def test_size_distribution_leaves_out_the_border_and_takes_the_physical_unit():
    table = table_of([10, 12, 14, 500], [0, 0, 0, 1], aspect_ratio=[1, 1.2, 1.4, 9])
    in_px = size_distribution(table)
    assert in_px.groupby("quantity")["count"].sum().to_dict() == {"aspect_ratio": 3, "equivalent_circular_diameter": 3}
    assert in_px["bin_high"].max() == 14
    in_nm = size_distribution(to_physical(table, 0.5))
    diameters = in_nm[in_nm["quantity"] == "equivalent_circular_diameter"]
    assert set(diameters["unit"]) == {"nm"}
    assert diameters["bin_high"].max() == 7
    assert set(in_nm.loc[in_nm["quantity"] == "aspect_ratio", "unit"]) == {""}


def test_size_distribution_of_nothing():
    assert len(size_distribution(table_of([]))) == 0


# Radial distribution


def thrown(n, shape, rng):
    return rng.random((n, 2)) * shape - 0.5


@pytest.mark.parametrize("shape", [(500, 500), (100, 2500), (2500, 100), (300, 900)])
def test_random_points_have_g_of_one(shape):
    rng = np.random.default_rng(0)
    runs = [radial_distribution(thrown(300, shape, rng), shape, dr_px=10, r_max_px=150)["g"] for _ in range(60)]
    assert len(runs[0]) == 15
    assert np.mean(runs, axis=0) == pytest.approx(1, abs=0.06)
    assert np.mean(runs) == pytest.approx(1, abs=0.01)


def test_without_correction_the_edges_would_show():
    # The same pairs, uncorrected, fall well below 1: what the test above sees is the correction at work.
    rng = np.random.default_rng(0)
    shape = (100, 2500)
    found = radial_distribution(thrown(3000, shape, rng), shape, dr_px=10, r_max_px=150)
    rings = np.pi * np.diff(np.append(found["r_px"] - 5, 150) ** 2)
    naive = 2 * found["pairs"] * 250_000 / (3000 * 2999 * rings)
    assert naive.iloc[-1] < 0.5
    assert found["g"].iloc[-1] == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("spacing", [20, 35.5, 50])
def test_first_peak_of_a_square_lattice(spacing):
    side = int(20 * spacing)
    grid = (np.arange(20) + 0.5) * spacing - 0.5
    centroids = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    found = radial_distribution(centroids, (side, side), dr_px=spacing / 10)
    filled = found[found["g"] > 0]
    assert abs(filled["r_px"].iloc[0] - spacing) <= spacing / 10
    assert abs(filled["r_px"].iloc[1] - spacing * np.sqrt(2)) <= spacing / 10
    assert filled["pairs"].iloc[0] == 2 * 20 * 19


def test_neighbours_within_the_first_shell_of_a_lattice():
    grid = np.arange(40) * 10.0 + 4.5
    centroids = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    found = radial_distribution(centroids, (400, 400), dr_px=2, r_max_px=13)
    rings = np.pi * ((found["r_px"] + 1) ** 2 - (found["r_px"] - 1) ** 2)
    assert (found["g"] * rings).sum() / 100 == pytest.approx(4, rel=0.02)


def test_hard_discs_keep_their_distance():
    rng = np.random.default_rng(0)
    points = np.empty((0, 2))
    for point in thrown(4000, (600, 600), rng):
        if len(points) == 0 or np.hypot(*(points - point).T).min() > 30:
            points = np.vstack([points, point])
    found = radial_distribution(points, (600, 600), dr_px=5, r_max_px=100)
    assert (found.loc[found["r_px"] < 30, "g"] == 0).all()
    assert found.loc[found["r_px"] > 30, "g"].iloc[0] > 1.2


def test_default_bins_are_a_quarter_of_the_mean_particle():
    centroids = thrown(100, (400, 400), np.random.default_rng(0))
    found = radial_distribution(centroids, (400, 400), areas_px2=np.full(100, 256.0))
    assert np.diff(found["r_px"]) == pytest.approx(4)
    assert found["r_px"].iloc[0] == 2
    assert found["r_px"].iloc[-1] == 198  # five mean distances and half the side are both 200 px


def test_error_is_that_of_counting():
    rng = np.random.default_rng(0)
    runs = [radial_distribution(thrown(200, (500, 500), rng), (500, 500), dr_px=10, r_max_px=60) for _ in range(80)]
    seen = np.std([run["g"] for run in runs], axis=0)
    said = np.mean([run["g_error"] for run in runs], axis=0)
    assert said == pytest.approx(seen, rel=0.35)


def test_scaling_everything_changes_only_r():
    centroids = thrown(150, (300, 400), np.random.default_rng(0))
    a = radial_distribution(centroids, (300, 400), dr_px=7)
    b = radial_distribution((centroids + 0.5) * 3 - 0.5, (900, 1200), dr_px=21)
    assert b["r_px"].to_numpy() == pytest.approx(3 * a["r_px"].to_numpy())
    assert b["g"].to_numpy() == pytest.approx(a["g"].to_numpy())


def test_order_of_particles_does_not_matter():
    centroids = thrown(150, (300, 400), np.random.default_rng(0))
    a = radial_distribution(centroids, (300, 400), dr_px=7)
    b = radial_distribution(centroids[::-1], (300, 400), dr_px=7)
    pd.testing.assert_frame_equal(a, b)


@pytest.mark.parametrize("n", [0, 1])
def test_fewer_than_two_particles_have_no_g(n):
    found = radial_distribution(np.full((n, 2), 50.0), (100, 100), areas_px2=np.full(n, 100.0))
    assert list(found.columns) == ["r_px", "g", "g_error", "pairs"]
    assert len(found) == 0


def test_a_field_smaller_than_a_bin_gives_no_rows():
    assert len(radial_distribution(np.array([[1.0, 1], [2, 2]]), (4, 4), dr_px=30)) == 0


def test_two_particles_at_one_place():
    found = radial_distribution(np.array([[50.0, 50], [50, 50]]), (100, 100), dr_px=5)
    assert np.isfinite(found["g"]).all()
    assert found["pairs"].iloc[0] == 1


@pytest.mark.parametrize("options", [{}, {"dr_px": 0}, {"dr_px": -1}, {"areas_px2": np.zeros(2)}])
def test_a_bin_needs_a_width(options):
    with pytest.raises(UsageError, match="bin width"):
        radial_distribution(np.array([[1.0, 1], [2, 2]]), (40, 40), **options)


def test_many_particles():
    rng = np.random.default_rng(0)
    found = radial_distribution(thrown(30_000, (8000, 8000), rng), (8000, 8000), dr_px=10)
    assert found["g"].iloc[1:].to_numpy() == pytest.approx(1, abs=0.05)
