import shutil

import numpy as np
import pytest
import tifffile

from emscout.errors import ReadError, UsageError
from emscout.movies.frames import open_movie
from emscout.synthetic.movie import make_movie


@pytest.fixture
def folder(tmp_path):
    """Twelve small frames, numbered from 98 on."""
    movie = make_movie(12, (40, 50), n_particles=3, seed=1)
    path = tmp_path / "heating"
    path.mkdir()
    for i, frame in enumerate(movie.frames):
        tifffile.imwrite(path / f"frame_{98 + i}.tif", frame, photometric="minisblack")
    return path


def grey(series, i):
    return series[i].image


def test_frames_come_in_the_order_of_their_numbers(folder):
    series = open_movie(folder)
    assert len(series) == 12
    assert (grey(series, 2) == tifffile.imread(folder / "frame_100.tif")).all()
    assert series.times_s is None
    assert series.warnings == ()


def test_a_stack_and_a_folder_of_its_frames_are_the_same_movie(folder, tmp_path):
    frames = np.stack([tifffile.imread(folder / f"frame_{98 + i}.tif") for i in range(12)])
    tifffile.imwrite(tmp_path / "stack.tif", frames, photometric="minisblack")
    one, other = open_movie(folder), open_movie(tmp_path / "stack.tif")
    assert len(one) == len(other)
    assert all((grey(one, i) == grey(other, i)).all() for i in range(12))


def test_missing_numbers_are_said_and_their_time_is_left(folder):
    (folder / "frame_101.tif").unlink()
    (folder / "frame_105.tif").unlink()
    series = open_movie(folder, frame_time_s=2.0)
    assert len(series) == 10
    assert series.times_s.tolist() == [0, 2, 4, 8, 10, 12, 16, 18, 20, 22]
    (warning,) = series.warnings
    assert "101, 105" in str(warning)


def test_every_tenth_number_is_no_gap(folder):
    for i, path in enumerate(sorted(folder.iterdir(), key=lambda path: int(path.stem[6:]))):
        path.rename(folder / f"t{10 * i:04d}.tif")
    series = open_movie(folder, frame_time_s=1.0)
    assert series.warnings == ()
    assert series.times_s.tolist() == list(range(12))


def test_a_frame_of_another_size_is_passed_over(folder):
    tifffile.imwrite(folder / "frame_98.tif", np.zeros((20, 20), np.uint8), photometric="minisblack")
    tifffile.imwrite(folder / "frame_103.tif", np.zeros((40, 50), np.uint16), photometric="minisblack")
    series = open_movie(folder)
    assert series.shape == (40, 50)
    for frame in (0, 5):
        with pytest.raises(ReadError, match="not like the other frames"):
            series[frame]
    assert grey(series, 1).shape == (40, 50)


def test_a_damaged_first_frame_does_not_decide(folder):
    (folder / "frame_98.tif").write_bytes((folder / "frame_98.tif").read_bytes()[:300])
    series = open_movie(folder)
    with pytest.raises(ReadError, match="frame_98"):
        series[0]
    assert grey(series, 1).shape == (40, 50)


def test_the_usual_kind_of_file_counts(folder):
    shutil.copy(folder / "frame_98.tif", folder / "overview.tiff")
    series = open_movie(folder)
    assert len(series) == 12
    assert "1 image file" in str(series.warnings[0])


def test_a_folder_of_stacks_is_refused(tmp_path):
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", np.zeros((3, 20, 20), np.uint8), photometric="minisblack")
    with pytest.raises(ReadError, match="give one of them"):
        open_movie(tmp_path)


def test_one_frame_is_no_movie(tmp_path):
    tifffile.imwrite(tmp_path / "one.tif", np.zeros((20, 20), np.uint8))
    with pytest.raises(UsageError, match="one frame only"):
        open_movie(tmp_path / "one.tif")


def test_specks_are_no_frames(tmp_path):
    tifffile.imwrite(tmp_path / "specks.tif", np.zeros((4, 5, 5), np.uint8), photometric="minisblack")
    with pytest.raises(UsageError, match="too small"):
        open_movie(tmp_path / "specks.tif")


def test_what_does_not_exist_is_said(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        open_movie(tmp_path / "nothing.tif")
    with pytest.raises(UsageError, match="contains no image"):
        open_movie(tmp_path)


@pytest.mark.parametrize("frame_time_s", [0.0, -1.0, float("nan"), float("inf")])
def test_a_frame_time_that_makes_no_sense_is_refused(folder, frame_time_s):
    with pytest.raises(UsageError, match="frame time"):
        open_movie(folder, frame_time_s=frame_time_s)


def test_a_video_plays_at_its_own_pace(tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    import imageio

    movie = make_movie(9, (48, 64), n_particles=5, snr=8, seed=2)
    path = tmp_path / "a.avi"
    with imageio.get_writer(
        path, format="FFMPEG", mode="I", fps=4, codec="ffv1", pixelformat="gray", macro_block_size=1
    ) as writer:
        for frame in movie.frames:
            writer.append_data(np.stack([frame] * 3, axis=-1))
    series = open_movie(path)
    assert series.times_s.tolist() == (np.arange(9) / 4).tolist()
    assert "`frame_time" in str(series.warnings[0])
    for i in (8, 0, 5, 4):
        assert (grey(series, i) == movie.frames[i]).all()
    assert open_movie(path, frame_time_s=2.0).warnings == ()
