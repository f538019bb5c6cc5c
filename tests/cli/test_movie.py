import numpy as np
import pytest
import tifffile
from typer.testing import CliRunner

from emscout import SEGMENTERS
from emscout.cli import app
from emscout.synthetic.movie import make_movie

runner = CliRunner()


@pytest.fixture
def frames(tmp_path):
    """A folder of six frames."""
    folder = tmp_path / "frames"
    folder.mkdir()
    movie = make_movie(6, (96, 104), n_particles=8, diameter_px=(16.0, 1.0), snr=8, seed=2)
    for i, frame in enumerate(movie.frames):
        tifffile.imwrite(folder / f"t{i}.tif", frame, photometric="minisblack")
    return folder


def movie(*arguments, model="watershed"):
    return runner.invoke(app, ["movie", *map(str, arguments), "--model", model, "--workers", "1"])


def dark_pixels(micrograph):
    """A segmenter of three lines."""
    from skimage.measure import label

    return label(micrograph.image < 0.75 * np.median(micrograph.image))


def test_a_movie_is_followed_and_summarised(frames, tmp_path):
    out = tmp_path / "out"
    result = movie(frames, "-o", out, "--frame-time", "0.5s")
    assert result.exit_code == 0, result.output
    assert "6 of 6 frames followed" in result.output
    assert "--pixel-size" in result.output
    for name in ("report.html", "drift.csv", "tracks.csv", "events.csv", "curves.csv", "particles.csv", "growth.csv"):
        assert (out / name).stat().st_size
    again = movie(frames, "-o", out, "--frame-time", "1s")
    assert again.exit_code == 1
    assert "other options" in str(again.exception)


def test_a_segmenter_of_ones_own_follows_the_movie(frames, tmp_path):
    result = movie(frames, "-o", tmp_path / "out", model=f"{__name__}:dark_pixels")
    assert result.exit_code == 0, result.output
    assert "6 of 6 frames followed" in result.output
    assert len((tmp_path / "out" / "tracks.csv").read_text().splitlines()) > 30


def test_warnings_are_shown_as_they_are_in_the_table(frames, tmp_path):
    result = movie(frames, "-o", tmp_path / "out")
    rows = (tmp_path / "out" / "warnings.csv").read_text().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["frame-time", "pixel-size"]
    for row in rows:
        assert f"{row.split(',')[0]}:" in result.output
    assert "Give it with --frame-time." in result.output


def test_a_damaged_frame_is_named_and_the_rest_is_done(frames, tmp_path):
    (frames / "t3.tif").write_bytes((frames / "t3.tif").read_bytes()[:500])
    result = movie(frames, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "failed:" in result.output and "t3.tif" in result.output
    assert "5 of 6 frames followed" in result.output
    assert (tmp_path / "out" / "report.html").exists()


def test_stopped_it_says_how_to_go_on(frames, tmp_path, monkeypatch):
    def stop(*args, **more):
        raise KeyboardInterrupt

    monkeypatch.setitem(SEGMENTERS, "watershed", stop)
    result = movie(frames, "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert "repeat the command to continue" in result.output


def test_a_result_is_scored_against_masks(frames, tmp_path):
    out = tmp_path / "out"
    assert movie(frames, "-o", out).exit_code == 0
    masks = tmp_path / "masks"
    masks.mkdir()
    found = tifffile.imread(out / "labels" / "frame_000002.tif")
    mask = np.zeros((96, 104), np.uint8)
    top, left = (int(value) for value in cut_of(out, 2))
    mask[top : top + found.shape[0], left : left + found.shape[1]] = 255 * (found > 0)
    tifffile.imwrite(masks / "t2.tif", mask)
    result = runner.invoke(app, ["evaluate", "movie", str(out), str(masks), "-o", str(tmp_path / "scores")])
    assert result.exit_code == 0, result.output
    assert "mean Dice" in result.output
    assert (tmp_path / "scores" / "masks.csv").read_text().splitlines()[1].endswith(",1")


def cut_of(out, frame):
    lines = (out / "drift.csv").read_text().splitlines()
    row = dict(zip(lines[0].split(","), lines[1 + frame].split(","), strict=True))
    return row["cut_row_px"], row["cut_col_px"]
