"""The scale that is printed on the frames of a movie."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from emscout.movies.follow import MovieOptions, follow
from emscout.movies.frames import open_movie
from emscout.movies.printed import read_print
from emscout.synthetic_movie import make_movie
from emscout.synthetic_scale import print_scale


def write_movie(path, nm_per_px=None):
    """Six frames of particles with a bar of 80 px for 20 nm on a plate."""
    movie = make_movie(6, (256, 256), n_particles=25, diameter_px=(18.0, 1.0), snr=8, drift_px=0.3, seed=2)
    frames = [
        print_scale("20 nm", "box", length_px=80, ground="plate", ink=0, font_px=18, image=np.asarray(frame))[0]
        for frame in movie.frames
    ]
    size = {"resolution": (1 / nm_per_px, 1 / nm_per_px), "metadata": {"unit": "nm"}} if nm_per_px else {}
    tifffile.imwrite(path, np.stack(frames), imagej=True, **size)
    return path


def test_the_printed_scale_counts_where_the_file_says_none(tmp_path):
    series, printed = read_print(open_movie(write_movie(tmp_path / "movie.tif")))
    assert series.calibration.source == "scale-bar"
    assert series.calibration.nm_per_px == pytest.approx(0.25, rel=0.03)
    assert 0.01 < printed.mean() < 0.3


def test_file_and_bar_that_disagree_give_no_scale_and_a_sentence(tmp_path):
    opened = open_movie(write_movie(tmp_path / "movie.tif", nm_per_px=0.5))
    series, _ = read_print(opened)
    assert series.calibration is None
    assert any("--trust" in warning for warning in series.metadata["warnings"])
    assert read_print(opened, "metadata")[0].calibration.nm_per_px == pytest.approx(0.5)
    assert read_print(opened, "bar")[0].calibration.nm_per_px == pytest.approx(0.25, rel=0.03)


def test_what_is_printed_is_no_particle(tmp_path):
    path = write_movie(tmp_path / "movie.tif")
    _, printed = read_print(open_movie(path))
    follow(path, tmp_path / "out", MovieOptions(model="watershed", polarity="dark"), workers=1)
    tracks = pd.read_csv(tmp_path / "out" / "tracks.csv")
    at = tracks[["row_frame_px", "col_frame_px"]].round().astype(int).to_numpy()
    assert len(tracks) > 60
    assert not printed[at[:, 0], at[:, 1]].any()
    assert "equivalent_circular_diameter_nm" in tracks
