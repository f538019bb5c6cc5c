import tracemalloc
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from skimage.registration import phase_cross_correlation

from emscout import read_series
from emscout.errors import NothingToFindError, ReadError, UsageError
from emscout.movies import common_field, estimate_drift, shift_frame
from emscout.movies.registration.drift import COLUMNS
from emscout.synthetic.movie import make_movie

BAD = {
    "blank": (0, 20, 21, 64),
    "blurred": (30, 31, 99),
    "saturated": (45, 110),
}
JUMPS = {"jumps": 4, "jump_px": (20.0, 64.0)}


def errors(movie, drift):
    """Distance of each frame's shift from the truth, the constant offset of the good frames removed."""
    error = drift[["row_px", "col_px"]].to_numpy() - movie.shift_px
    error -= error[movie.status == "ok"].mean(axis=0)
    return np.hypot(*error.T)


def root_mean_square(values):
    return float(np.sqrt((values**2).mean()))


@pytest.fixture(scope="module")
def followed():
    """A movie with everything that goes wrong, at SNR 1, and its drift."""
    movie = make_movie(140, n_particles=110, snr=1, uneven=0.3, dead_pixels=0.002, seed=7, **JUMPS, **BAD)
    return movie, estimate_drift(movie.frames)


def test_table(followed):
    _, drift = followed
    assert tuple(drift) == COLUMNS
    assert drift["frame"].tolist() == list(range(140))
    assert not drift.isna().any().any()
    assert drift["quality"].between(0, 1).all()
    first = drift[drift["status"] == "ok"].iloc[0]
    assert (first["frame"], first["row_px"], first["col_px"]) == (1, 0, 0)


def test_a_tenth_of_a_pixel_at_snr_one_with_jumps_of_a_quarter_of_the_field(followed):
    movie, drift = followed
    good = movie.status == "ok"
    error = errors(movie, drift)
    assert root_mean_square(error[good]) < 0.1
    assert error[good].max() < 0.4


def test_bad_frames_are_flagged_and_no_good_ones(followed):
    movie, drift = followed
    assert drift["status"].tolist() == movie.status.tolist()


def test_bridged_frames_lie_on_the_line_between_their_neighbours(followed):
    _, drift = followed
    place = drift[["row_px", "col_px"]].to_numpy()
    assert place[20] == pytest.approx(place[19] + (place[22] - place[19]) / 3)
    assert place[21] == pytest.approx(place[19] + (place[22] - place[19]) * 2 / 3)
    assert place[0] == pytest.approx(place[1])


def test_blurred_and_saturated_frames_are_no_reference(followed):
    movie, drift = followed
    kept = [i for i in range(140) if movie.status[i] not in ("blurred", "saturated")]
    frames = [movie.frames[i] for i in kept]
    # The sample that tells what is usual differs a little; a frame in the reference would differ by more.
    without = estimate_drift(frames)[["row_px", "col_px"]].to_numpy()
    both = drift[["row_px", "col_px"]].to_numpy()[kept]
    good = movie.status[kept] == "ok"
    assert np.abs(without - both)[good].max() < 0.15


@pytest.mark.parametrize("seed", [3, 23])
def test_an_array_of_like_particles_is_not_taken_one_further(seed):
    movie = make_movie(
        120, arrangement="array", n_particles=400, diameter_px=(7, 0.5), snr=1, blurred=(50, 51), seed=seed, **JUMPS
    )
    drift = estimate_drift(movie.frames)
    error = errors(movie, drift)
    assert (error[movie.status == "ok"] < 0.5).all()
    assert root_mean_square(error[movie.status == "ok"]) < 0.1


@pytest.mark.parametrize("process", ["ripening", "mixed"])
def test_a_specimen_that_changes(process):
    movie = make_movie(150, n_particles=110, process=process, growth=1.5, snr=2, seed=1, **JUMPS)
    drift = estimate_drift(movie.frames)
    assert (drift["status"] == "ok").all()
    assert root_mean_square(errors(movie, drift)) < 0.15


def test_drift_over_more_than_the_field():
    movie = make_movie(220, (128, 128), n_particles=50, snr=3, drift_px=1.5, seed=2)
    assert np.ptp(movie.shift_px, axis=0).max() > 150
    drift = estimate_drift(movie.frames)
    assert (drift["status"] == "ok").all()
    assert root_mean_square(errors(movie, drift)) < 0.15
    with pytest.raises(NothingToFindError, match="drifts further"):
        common_field(drift, (128, 128))


@pytest.mark.parametrize("drift_px", [0.02, 0.3])
def test_what_the_detector_adds_does_not_hold_the_specimen(drift_px):
    movie = make_movie(100, n_particles=90, snr=2, uneven=0.6, dead_pixels=0.005, drift_px=drift_px, seed=5)
    assert root_mean_square(errors(movie, estimate_drift(movie.frames))) < 0.06


def test_a_label_written_into_every_frame_does_not_hold_the_specimen():
    movie = make_movie(60, n_particles=90, snr=2, drift_px=0.5, seed=6)
    frames = [frame.copy() for frame in movie.frames]
    for frame in frames:
        frame[226:232, 20:90] = 255
        frame[200:220, 20:60:3] = 0
    assert root_mean_square(errors(movie, estimate_drift(frames))) < 0.08


@pytest.mark.parametrize("levels", [4, 12])
def test_few_grey_levels(levels):
    movie = make_movie(100, n_particles=90, snr=4, levels=levels, seed=8, **JUMPS)
    drift = estimate_drift(movie.frames)
    assert (drift["status"] == "ok").all()
    assert root_mean_square(errors(movie, drift)) < 0.06


def test_without_noise():
    movie = make_movie(60, n_particles=60, snr=500, seed=9, **JUMPS)
    assert root_mean_square(errors(movie, estimate_drift(movie.frames))) < 0.05


@pytest.mark.parametrize("shape", [(150, 333), (91, 97)])
def test_any_shape_and_type(shape):
    movie = make_movie(30, shape, n_particles=40, diameter_px=(10, 1), snr=4, drift_px=0.7, dtype="uint16", seed=4)
    frames = [frame.astype(np.float64) / 7 - 1000 for frame in movie.frames]
    assert root_mean_square(errors(movie, estimate_drift(movie.frames))) < 0.1
    assert root_mean_square(errors(movie, estimate_drift(frames))) < 0.1


def test_a_frame_exposed_over_a_jump_is_doubled():
    movie = make_movie(40, n_particles=90, snr=4, doubled=(15, 30), jump_px=(12, 25), seed=3)
    drift = estimate_drift(movie.frames)
    assert drift["status"].tolist() == movie.status.tolist()
    assert root_mean_square(errors(movie, drift)[movie.status == "ok"]) < 0.05


def test_a_dimmer_beam_is_no_fault():
    movie = make_movie(60, n_particles=90, snr=6, dtype="uint16", seed=3)
    frames = [(frame * (0.4 if 20 <= i < 45 else 1.0)).astype(np.uint16) for i, frame in enumerate(movie.frames)]
    drift = estimate_drift(frames)
    assert (drift["status"] == "ok").all()
    assert root_mean_square(errors(movie, drift)) < 0.05


def test_another_focus_becomes_the_usual_one():
    movie = make_movie(120, n_particles=90, snr=8, seed=3, dtype="uint16")
    frames = [ndimage.gaussian_filter(frame, 2.5) if i >= 40 else frame for i, frame in enumerate(movie.frames)]
    drift = estimate_drift(frames)
    assert drift["status"].iloc[:40].eq("ok").all()
    assert drift["status"].iloc[40:70].eq("blurred").all()
    assert drift["status"].iloc[75:].eq("ok").all()
    assert root_mean_square(errors(movie, drift)) < 0.15


def test_frames_with_missing_rows_and_other_specimens():
    movie = make_movie(40, n_particles=90, snr=3, seed=2)
    frames = [frame.copy() for frame in movie.frames]
    frames[-1][150:] = 0
    frames[20] = make_movie(1, n_particles=90, snr=3, seed=77).frames[0]
    drift = estimate_drift(frames)
    assert drift["status"].iloc[-1] == "incomplete"
    assert drift["status"].iloc[20] == "unmatched"
    assert (drift["status"] == "ok").sum() == 38


@pytest.mark.parametrize("grey", ["uniform", "shuffled", "dark"])
def test_frames_of_noise_however_strong_are_blank(grey):
    movie = make_movie(40, n_particles=90, snr=3, drift_px=0.1, seed=2)
    rng = np.random.default_rng(1)
    frames = [frame.copy() for frame in movie.frames]
    noise = {
        "uniform": lambda frame: rng.integers(0, 256, frame.shape).astype(np.uint8),
        "shuffled": lambda frame: rng.permutation(frame.ravel()).reshape(frame.shape),
        "dark": lambda frame: rng.poisson(3, frame.shape).astype(np.uint8),
    }[grey]
    for i in (0, 20, 21):
        frames[i] = noise(frames[i])
    drift = estimate_drift(frames)
    assert drift.index[drift["status"] == "blank"].tolist() == [0, 20, 21]
    good = drift["status"] == "ok"
    assert good.sum() == 37
    error = drift.loc[good, ["row_px", "col_px"]].to_numpy() - movie.shift_px[good]
    assert np.hypot(*(error - error.mean(axis=0)).T).max() < 0.2


@pytest.mark.parametrize("which", [(0,), (0, 1), (1,), (2,)])
@pytest.mark.parametrize("fault", ["blurred", "doubled"])
def test_the_first_frames_are_judged_by_those_that_follow(which, fault):
    movie = make_movie(30, n_particles=90, snr=4, drift_px=0.1, seed=2)
    frames = list(movie.frames)
    for i in which:
        frame = frames[i].astype(np.float64)
        if fault == "blurred":
            grain = np.random.default_rng(i).normal(0, 18, frame.shape)
            frames[i] = np.clip(ndimage.gaussian_filter(frame, 4) + grain, 0, 255).astype(np.uint8)
        else:
            frames[i] = ((frame + ndimage.shift(frame, (12, 8), order=1, mode="reflect")) / 2).astype(np.uint8)
    drift = estimate_drift(frames)
    assert drift.index[drift["status"] != "ok"].tolist() == list(which)
    assert (drift["status"][list(which)] == fault).all()
    good = drift["status"] == "ok"
    error = drift.loc[good, ["row_px", "col_px"]].to_numpy() - movie.shift_px[good]
    assert np.hypot(*(error - error.mean(axis=0)).T).max() < 0.2


def test_rows_that_were_never_recorded_do_not_hold_the_specimen():
    movie = make_movie(40, n_particles=90, snr=4, drift_px=0.6, seed=2)
    frames = [frame.copy() for frame in movie.frames]
    for frame in frames[25:]:
        frame[:30] = 0
    drift = estimate_drift(frames)
    assert drift.index[drift["status"] == "incomplete"].tolist() == list(range(25, 40))
    assert errors(movie, drift).max() < 0.2


def test_unreadable_frames_are_bridged():
    movie = make_movie(30, (96, 96), n_particles=30, snr=4, seed=2)

    class CutOff:
        def __len__(self):
            return 30

        def __getitem__(self, i):
            if i in (11, 29):
                raise ReadError("the file is cut off")
            return movie.frames[i]

    drift = estimate_drift(CutOff())
    assert drift.index[drift["status"] == "unreadable"].tolist() == [11, 29]
    assert errors(movie, drift)[:29].max() < 0.5


def test_longest_believed_movement():
    movie = make_movie(40, n_particles=90, snr=4, jumps=1, jump_px=(30, 31), seed=1)
    jump = int(np.hypot(*np.diff(movie.shift_px, axis=0).T).argmax()) + 1
    drift = estimate_drift(movie.frames, max_shift_px=10)
    assert (drift["status"].iloc[:jump] == "ok").all()
    assert (drift["status"].iloc[jump:] != "ok").all()


def test_one_frame_and_two():
    movie = make_movie(2, (64, 64), n_particles=12, snr=4, seed=0)
    assert estimate_drift([movie.frames[0]]).to_dict("records") == [
        {"frame": 0, "row_px": 0.0, "col_px": 0.0, "quality": 1.0, "status": "ok"}
    ]
    assert len(estimate_drift(movie.frames)) == 2


def test_what_cannot_be_followed_is_refused():
    frame = make_movie(1, (64, 64), n_particles=12, seed=0).frames[0]
    noise = np.random.default_rng(0).integers(0, 255, (12, 64, 64)).astype(np.uint8)
    with pytest.raises(UsageError, match="no frames"):
        estimate_drift([])
    with pytest.raises(UsageError, match="different sizes"):
        estimate_drift([frame, frame[:40]])
    with pytest.raises(UsageError, match="upsampling"):
        estimate_drift([frame], upsampling=0)
    with pytest.raises(NothingToFindError, match="contrast"):
        estimate_drift([np.full((64, 64), 7, np.uint8)] * 3)
    with pytest.raises(NothingToFindError, match=r"noise|specimen"):
        estimate_drift(noise)


def test_progress_and_reading_in_order():
    movie = make_movie(120, (64, 64), n_particles=12, snr=4, seed=0)
    read, calls = [], []

    class Watched:
        def __len__(self):
            return 120

        def __getitem__(self, i):
            read.append(i)
            return movie.frames[i]

    estimate_drift(Watched(), progress=lambda done, total, what: calls.append((done, total)))
    assert read[-120:] == list(range(120))
    assert len(read) < 150  # a sample, and the first frames once more
    assert calls[-1] == (120, 120)


def test_memory_does_not_grow_with_the_movie():
    def peak(n):
        frames = make_movie(n, (128, 128), n_particles=10, snr=4, drift_px=0.01, seed=0).frames
        tracemalloc.start()
        estimate_drift(frames)
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    peak(20)
    assert peak(200) < peak(40) + 20 * 128 * 128


def test_same_frames_same_bytes(followed):
    movie, drift = followed
    pd.testing.assert_frame_equal(estimate_drift(movie.frames), drift, check_exact=True)


def test_aligned_frames_stand_still_in_the_common_field():
    movie = make_movie(40, n_particles=90, snr=20, drift_px=1.0, blank=(5,), seed=4)
    drift = estimate_drift(movie.frames)
    rows, cols = common_field(drift, (256, 256))
    aligned = []
    for i in np.flatnonzero(drift["status"] == "ok"):
        shift = (-drift["row_px"][i], -drift["col_px"][i])
        moved = shift_frame(movie.frames[i], shift)
        assert moved.dtype == np.uint8
        inside = shift_frame(np.ones((256, 256)), shift, order=0, cval=0)[rows, cols]
        assert (inside == 1).all()
        aligned.append(ndimage.gaussian_filter(moved[rows, cols].astype(float), 1))
    assert min(aligned[0].shape) > 200
    still = np.std(aligned, axis=0).mean()
    assert still < 0.1 * np.std(aligned[0])


def test_gold_on_a_support(data):
    series = read_series(data / "in_situ_gold" / "frames")
    frames = [micrograph.image for micrograph in series]
    drift = estimate_drift(frames)
    assert drift.index[drift["status"] != "ok"].tolist() == [3, 9]
    rows, cols = common_field(drift, series.shape)
    aligned = [
        shift_frame(frame.astype(np.float32), (-row, -col), order=3)[rows, cols]
        for frame, row, col in zip(frames, drift["row_px"], drift["col_px"], strict=True)
    ]
    left = [
        np.hypot(*phase_cross_correlation(first, second, upsample_factor=20)[0])
        for first, second in pairwise(aligned[10:])
    ]
    assert np.median(left) <= 0.2
    assert max(left) < 1
