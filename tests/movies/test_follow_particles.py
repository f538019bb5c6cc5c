"""A movie followed in memory: the same figures as in a folder, with any segmenter, and warnings as data."""

import html
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile

import emscout as em
from emscout.errors import NothingToFindError, UsageError
from emscout.synthetic.movie import make_movie

OPTIONS = em.MovieOptions(model="watershed", frame_time="2s", pixel_size="0.5nm", polarity="dark")


def dark_discs(micrograph: em.Micrograph) -> np.ndarray:
    """A segmenter: connected dark pixels."""
    from skimage.measure import label

    return label(micrograph.image < 0.75 * np.median(micrograph.image))


def frames(n=8, **more):
    settings = {"n_particles": 14, "diameter_px": (16.0, 1.0), "snr": 8, "drift_px": 0.8, "seed": 4} | more
    return list(make_movie(n, (128, 144), **settings).frames)


@pytest.fixture(scope="module")
def movie(tmp_path_factory):
    path = tmp_path_factory.mktemp("movie") / "heating.tif"
    tifffile.imwrite(path, np.stack(frames(blank=[5])), photometric="minisblack")
    return path


@pytest.fixture(scope="module")
def report(movie):
    return em.follow(movie, movie.parent / "out", replace(OPTIONS, parquet=True), workers=1)


@pytest.fixture(scope="module")
def result(movie):
    return em.follow_particles(em.read_series(movie), OPTIONS)


def test_memory_and_folder_have_the_same_tables_and_labels(result, report):
    assert set(result.tables) == {"drift", "tracks", "events", "curves", "particles", "growth", "shapes"}
    for name, table in result.tables.items():
        pd.testing.assert_frame_equal(table, pd.read_parquet(report.folder / f"{name}.parquet"), check_dtype=False)
    for frame in result.curves["frame"]:
        saved = tifffile.imread(report.folder / "labels" / f"frame_{frame:06d}.tif")
        assert np.array_equal(result.labels(frame), saved)
    assert result.story == report.provenance["found"]["story"]
    assert (result.warnings, result.failed) == (report.warnings, ())


def test_frames_in_memory_are_a_movie_too(result, movie):
    images = list(tifffile.imread(movie))
    for given in (images, [em.Micrograph(image) for image in images], np.stack(images), iter(images)):
        found = em.follow_particles(given, OPTIONS)
        pd.testing.assert_frame_equal(found.tracks, result.tracks)
        assert "file" not in found.drift


def test_the_pixel_size_of_the_micrographs_counts():
    found = em.follow_particles(
        [em.Micrograph(image, em.Calibration(0.25, "metadata")) for image in frames(3)], model="watershed"
    )
    assert np.allclose(found.tracks["area_nm2"], 0.25**2 * found.tracks["area_px2"])


def test_any_segmenter_can_be_given(movie):
    found = em.follow_particles(em.read_series(movie), segmenter=dark_discs)
    first = em.read_series(movie)[0]
    assert len(found.tracks) > 50
    assert abs((found.tracks["frame"] == 0).sum() - dark_discs(first).max()) <= 2
    named = em.follow_particles(em.read_series(movie), model=f"{__name__}:dark_discs")
    pd.testing.assert_frame_equal(found.tracks, named.tracks)


def test_what_a_segmenter_does_not_give_cannot_be_a_threshold(movie):
    with pytest.raises(UsageError, match="`min_probability` has no effect"):
        em.follow_particles(em.read_series(movie), model=f"{__name__}:dark_discs", min_probability=0.5)


def test_a_frame_that_fails_is_named_and_the_rest_is_done(movie):
    def fails_once(micrograph):
        if calls.append(1) or len(calls) == 3:
            raise RuntimeError("out of order")
        return dark_discs(micrograph)

    calls: list[int] = []
    found = em.follow_particles(em.read_series(movie), segmenter=fails_once)
    (notice,) = found.failed
    assert notice.code == "frame-failed"
    assert notice.sentence.startswith("Frame 2")
    assert 2 not in set(found.tracks["frame"])

    def fails(micrograph):
        raise RuntimeError("out of order")

    with pytest.raises(NothingToFindError, match="No frame could be measured"):
        em.follow_particles(em.read_series(movie), segmenter=fails)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "no frames"),
        ([np.zeros((40, 40), np.uint8)], "one frame only"),
        ([np.zeros((40, 40), np.uint8), np.zeros((40, 50), np.uint8)], "one size and type"),
        ([np.zeros((40, 40, 3), np.uint8)] * 3, "grey images"),
        ([np.zeros((4, 4), np.uint8)] * 3, "too small"),
    ],
)
def test_what_is_not_a_movie_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        em.follow_particles(given)


def test_options_are_given_once(movie):
    with pytest.raises(UsageError, match="not both"):
        em.follow_particles(em.read_series(movie), OPTIONS, seed=1)


def test_warnings_are_the_same_in_python_a_table_the_report_and_the_folder(result, report):
    codes = [notice.code for notice in result.warnings]
    assert codes == ["frames-blank"]
    table = pd.read_csv(report.folder / "warnings.csv", keep_default_na=False)
    assert list(table.columns) == ["code", "warning", "remedy"]
    page = html.unescape(re.sub(r"<[^>]+>", "", (report.folder / "report.html").read_text(encoding="utf-8")))
    for notice, (code, sentence, remedy) in zip(result.warnings, table.itertuples(index=False), strict=True):
        assert (notice.code, notice.sentence, notice.remedy) == (code, sentence, remedy)
        assert notice.sentence in page
    assert report.provenance["found"]["warnings"] == [str(notice) for notice in result.warnings]


def test_a_movie_that_was_written_anew_is_read_anew(tmp_path):
    path = tmp_path / "movie.tif"
    for n, seed in ((4, 4), (6, 9)):
        tifffile.imwrite(path, np.stack(frames(n, seed=seed)), photometric="minisblack")
        report = em.follow(path, tmp_path / "out", OPTIONS, overwrite=True, workers=1)
        result = em.follow_particles(em.read_series(path), OPTIONS)
        assert report.tables["tracks"]["frame"].nunique() == n
        assert np.array_equal(report.tables["tracks"]["area_px2"], result.tracks["area_px2"])
