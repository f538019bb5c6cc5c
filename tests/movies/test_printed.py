"""The scale that is printed on the frames of a movie."""

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from emscout.movies import estimate_drift, follow_particles
from emscout.movies.follow import MovieOptions, follow
from emscout.movies.frames import open_movie
from emscout.movies.registration.printed_scale import read_printed_scale
from emscout.synthetic.movie import make_movie
from emscout.synthetic.scale import print_scale


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
    series, printed = read_printed_scale(open_movie(write_movie(tmp_path / "movie.tif")))
    assert series.calibration.source == "scale-bar"
    assert series.calibration.nm_per_px == pytest.approx(0.25, rel=0.03)
    assert 0.01 < printed.mean() < 0.3


def test_file_and_bar_that_disagree_give_no_scale_and_a_sentence(tmp_path):
    opened = open_movie(write_movie(tmp_path / "movie.tif", nm_per_px=0.5))
    series, _ = read_printed_scale(opened)
    assert series.calibration is None
    assert any("`trust" in str(warning) for warning in series.warnings)
    assert read_printed_scale(opened, "metadata")[0].calibration.nm_per_px == pytest.approx(0.5)
    assert read_printed_scale(opened, "bar")[0].calibration.nm_per_px == pytest.approx(0.25, rel=0.03)


def test_what_is_printed_is_no_particle(tmp_path):
    path = write_movie(tmp_path / "movie.tif")
    _, printed = read_printed_scale(open_movie(path))
    follow(path, tmp_path / "out", MovieOptions(model="watershed", polarity="dark"), workers=1)
    tracks = pd.read_csv(tmp_path / "out" / "tracks.csv")
    at = tracks[["row_frame_px", "col_frame_px"]].round().astype(int).to_numpy()
    assert len(tracks) > 60
    assert not printed[at[:, 0], at[:, 1]].any()
    assert "equivalent_circular_diameter_nm" in tracks


def test_what_is_printed_does_not_hold_the_specimen():
    """After a lossy video the print is not the same to the last grey level in every frame."""
    movie = make_movie(30, (256, 256), n_particles=40, diameter_px=(16.0, 1.0), snr=2, drift_px=0.5, seed=2)
    rng = np.random.default_rng(0)
    frames, printed = [], np.zeros((256, 256), bool)
    for frame in movie.frames:
        image = print_scale("20 nm", "box", length_px=100, ground="plate", ink=0, font_px=24, image=frame)[0]
        printed |= image != frame
        frames.append(np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8))

    def error(drift):
        left = drift[["row_px", "col_px"]].to_numpy() - movie.shift_px
        return np.sqrt(((left - left.mean(axis=0)) ** 2).sum(axis=1).mean())

    printed = ndimage.binary_dilation(printed, iterations=3)
    assert error(estimate_drift(frames, printed=printed)) < 0.1
    assert error(estimate_drift(frames)) > 0.2


def test_the_scale_that_is_read_is_kept_out_of_the_drift():
    """So few frames, and so little drift, do not tell by themselves what is printed."""
    movie = make_movie(10, (256, 256), n_particles=40, diameter_px=(16.0, 1.0), snr=2, drift_px=0.5, seed=2)
    rng = np.random.default_rng(0)
    frames = []
    for frame in movie.frames:
        image = print_scale("20 nm", "box", length_px=100, ground="plate", ink=0, font_px=24, image=frame)[0]
        frames.append(np.clip(image + rng.normal(0, 4, image.shape), 0, 255).astype(np.uint8))

    def error(drift):
        left = drift[["row_px", "col_px"]].to_numpy() - movie.shift_px
        return np.sqrt(((left - left.mean(axis=0)) ** 2).sum(axis=1).mean())

    result = follow_particles(frames, model="watershed", polarity="dark")
    assert error(result.drift) < 0.1
    assert error(estimate_drift(frames)) > 0.2


def burn_in(frame: np.ndarray, *, plate: bool) -> np.ndarray:
    """A title in the upper left corner, of letters 2 px thick, on a black plate or on the picture itself."""
    image = frame.copy()
    if plate:
        image[8:40, 8:140] = 0
    for k in range(9):
        left = 14 + 13 * k
        image[14:34, left : left + 2] = image[14:16, left : left + 9] = image[23:25, left : left + 9] = 255
    return image


@pytest.mark.parametrize("plate", [True, False])
def test_a_title_that_stays_while_the_specimen_moves_is_no_particle_and_does_not_hold_it(plate, tmp_path):
    movie = make_movie(24, (256, 256), n_particles=50, diameter_px=(16.0, 2.0), snr=5, drift_px=0.5, seed=1)
    rng = np.random.default_rng(0)
    # As a video has it, not the same to the last grey level.
    frames = [
        np.clip(burn_in(frame, plate=plate) + rng.normal(0, 2, frame.shape), 0, 255).astype(np.uint8)
        for frame in movie.frames
    ]
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, np.stack(frames), photometric="minisblack")
    report = follow(path, tmp_path / "out", MovieOptions(model="watershed", polarity="dark"), workers=1)
    left = report.tables["drift"][["row_px", "col_px"]].to_numpy() - movie.shift_px
    assert np.sqrt(((left - left.mean(axis=0)) ** 2).sum(axis=1).mean()) < 0.1
    tracks = pd.read_csv(tmp_path / "out" / "tracks.csv")
    titled = tracks["row_frame_px"].between(10, 38) & tracks["col_frame_px"].between(10, 132)
    true = movie.tracks["row_frame_px"].between(10, 38) & movie.tracks["col_frame_px"].between(10, 132)
    assert titled.sum() < 0.5 * true.sum()
    assert len(tracks) > 600
    assert any("drawn over the frames" in warning for warning in report.provenance["found"]["warnings"])


@pytest.mark.parametrize("drift_px", [0.0, 0.5])
def test_particles_of_one_value_in_all_frames_are_not_taken_for_drawn(drift_px, tmp_path):
    movie = make_movie(24, (192, 192), n_particles=12, diameter_px=(36.0, 4.0), snr=8, drift_px=drift_px, seed=2)
    frames = [np.clip((frame.astype(int) - 110) * 4, 0, 255).astype(np.uint8) for frame in movie.frames]
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, np.stack(frames), photometric="minisblack")
    report = follow(path, tmp_path / "out", MovieOptions(model="watershed", polarity="dark"), workers=1)
    assert report.tables["tracks"]["particle"].nunique() >= 10
    assert not any("drawn" in warning for warning in report.provenance["found"]["warnings"])
    assert (report.tables["drift"]["status"] == "ok").all()
    left = report.tables["drift"][["row_px", "col_px"]].to_numpy() - movie.shift_px
    assert np.sqrt(((left - left.mean(axis=0)) ** 2).sum(axis=1).mean()) < 0.1
