"""Clocks and counters that run in the frames of a movie."""

import matplotlib
import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image, ImageDraw, ImageFont

from emscout.annotations.burnt_in import find_burnt_in
from emscout.annotations.clock import find_clock
from emscout.micrograph import Series
from emscout.movies import estimate_drift
from emscout.movies.follow import MovieOptions, follow
from emscout.synthetic.movie import make_movie

FONT = f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf"


def burn_in(frame: np.ndarray, text: str, *, size: int = 16, ink: int = 255, plate: int | None = None) -> np.ndarray:
    """Text in the upper left corner, on a plate or on the picture itself."""
    image = Image.fromarray(np.asarray(frame))
    font, drawing = ImageFont.truetype(FONT, size), ImageDraw.Draw(image)
    if plate is not None:
        drawing.rectangle(drawing.textbbox((6, 6), text, font=font), fill=plate)
    drawing.text((6, 6), text, font=font, fill=ink)
    return np.asarray(image)


def text_mask(text: str, size: int = 16) -> np.ndarray:
    return burn_in(np.zeros((256, 256), np.uint8), text, size=size) > 128


def series_of(frames: list[np.ndarray]) -> Series:
    return Series(frames.__getitem__, len(frames), frames[0].shape, frames[0].dtype, None, None, {})


def clocks(frames: list[np.ndarray]) -> np.ndarray:
    series = series_of(frames)
    mask = np.zeros(series.shape, bool)
    for top, bottom, left, right in find_clock(series, estimate_drift(frames), find_burnt_in(series)):
        mask[top:bottom, left:right] = True
    return mask


@pytest.mark.parametrize("drift_px", [0.0, 0.5])
@pytest.mark.parametrize("style", [{"plate": 0}, {"ink": 0}, {"size": 24}])
@pytest.mark.parametrize("snr", [2, 10])
def test_digits_that_change_are_found_and_little_else(drift_px, style, snr):
    movie = make_movie(40, (256, 256), n_particles=50, diameter_px=(16, 2), snr=snr, drift_px=drift_px, seed=1)
    texts = [f"{i:04d}" for i in range(40)]
    found = clocks([burn_in(frame, text, **style) for frame, text in zip(movie.frames, texts, strict=True)])
    # The first two digits hardly ever change; the mask has to hold the last two.
    size = style.get("size", 16)
    ink = np.logical_or.reduce([text_mask(text, size) & ~text_mask(text[:2], size) for text in texts])
    ink[:, : round(6 + 1.28 * size)] = False
    assert found[ink].mean() > 0.95
    assert found[round(1.6 * size) + 10 :].sum() == found[:, round(3.5 * size) + 30 :].sum() == 0


@pytest.mark.parametrize(
    "kind",
    [
        {"snr": 1},
        {"snr": 300, "drift_px": 2.0},
        {"snr": 50, "process": "mixed", "growth": 1.5, "merges": 10, "drift_px": 0.0},
        {"snr": 10, "jumps": 6, "jump_px": (10.0, 40.0)},
        {"snr": 10, "arrangement": "array", "n_particles": 200, "diameter_px": (8, 0.5)},
        {"snr": 30, "dead_pixels": 0.01},
        {"snr": 50, "levels": 6},
    ],
)
def test_where_no_clock_runs_none_is_found(kind):
    movie = make_movie(
        40, (256, 256), **({"n_particles": 50, "diameter_px": (16, 2), "drift_px": 0.5, "seed": 2} | kind)
    )
    assert not clocks(list(movie.frames)).any()


def test_particles_clipped_to_one_value_that_pass_by_are_no_clock():
    movie = make_movie(40, (256, 256), n_particles=90, diameter_px=(14, 2), snr=8, drift_px=2.0, seed=2)
    assert not clocks(
        [np.clip((np.asarray(f).astype(int) - 110) * 4, 0, 255).astype(np.uint8) for f in movie.frames]
    ).any()


def test_a_clock_is_no_particle_and_does_not_hold_the_specimen(tmp_path):
    movie = make_movie(30, (256, 256), n_particles=50, diameter_px=(16, 2), snr=5, drift_px=0.3, seed=4)
    frames = [burn_in(frame, f"t = {1.37 * i:05.2f} s", size=24, plate=0) for i, frame in enumerate(movie.frames)]
    tifffile.imwrite(tmp_path / "movie.tif", np.stack(frames), photometric="minisblack")
    report = follow(
        tmp_path / "movie.tif", tmp_path / "out", MovieOptions(model="watershed", polarity="dark"), workers=1
    )
    left = report.tables["drift"][["row_px", "col_px"]].to_numpy() - movie.shift_px
    assert np.sqrt(((left - left.mean(axis=0)) ** 2).sum(axis=1).mean()) < 0.1
    tracks = pd.read_csv(tmp_path / "out" / "tracks.csv")
    assert not (tracks["row_frame_px"].between(8, 28) & tracks["col_frame_px"].between(60, 130)).any()
    assert len(tracks) > 700
    assert any("clock" in warning for warning in report.provenance["found"]["warnings"])


def test_no_clock_on_gold(data):
    from emscout import read_series

    assert not clocks([micrograph.image for micrograph in read_series(data / "in_situ_gold" / "frames")]).any()
