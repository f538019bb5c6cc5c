import pickle

import numpy as np
import pytest

from emscout.synthetic.movie import make_movie


@pytest.mark.parametrize("process", ["none", "ripening", "coalescence", "mixed"])
def test_the_same_seed_gives_the_same_bytes(process):
    settings = {"n_particles": 15, "process": process, "jumps": 2, "blank": (3,), "dead_pixels": 0.01}
    first, second, other = (make_movie(8, (64, 80), seed=seed, **settings) for seed in (1, 1, 2))
    assert [frame.tobytes() for frame in first.frames] == [frame.tobytes() for frame in second.frames]
    assert first.tracks.equals(second.tracks)
    assert first.events.equals(second.events)
    assert (first.shift_px == second.shift_px).all()
    assert first.frames[0].tobytes() != other.frames[0].tobytes()


def test_frames_are_made_when_asked_for_in_any_order():
    movie = make_movie(2000, (48, 64), n_particles=4, seed=0)
    assert len(movie.frames) == 2000
    last = movie.frames[-1]
    assert last.shape == (48, 64)
    assert last.dtype == np.uint8
    assert (movie.frames[1999] == last).all()
    assert (movie.frames[1998:][1] == last).all()
    with pytest.raises(IndexError):
        movie.frames[2000]
    copied = pickle.loads(pickle.dumps(movie.frames))
    assert (copied[5] == movie.frames[5]).all()


def test_particles_are_where_the_truth_says():
    movie = make_movie(40, (200, 240), n_particles=30, drift_px=0.7, jumps=3, snr=1000, seed=3)
    for frame in (0, 17, 39):
        seen = movie.tracks[movie.tracks["frame"] == frame]
        at = seen[["row_px", "col_px"]].to_numpy() + movie.shift_px[frame]
        assert at == pytest.approx(seen[["row_frame_px", "col_frame_px"]].to_numpy())
        image = movie.frames[frame]
        row, col = np.rint(at).astype(int).clip(0, [199, 239]).T
        assert (image[row, col] < np.median(image) - 40).all()
        # All that is dark belongs to a particle: the area is that of the discs inside.
        whole = seen[~seen["touches_border"]]
        dark = image < np.median(image) - 30
        assert dark.sum() >= np.pi * (whole["radius_px"] ** 2).sum() * 0.97
    moved = movie.tracks.groupby("particle")[["row_px", "col_px"]].agg(np.ptp)
    assert moved.to_numpy().max() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("snr", [0.5, 1, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_snr_is_contrast_over_noise(snr, dtype):
    options = {"n_particles": 6, "diameter_px": (40, 0.1), "drift_px": 0, "dtype": dtype, "seed": 1}
    movie = make_movie(20, (128, 128), snr=snr, **options)
    frames = np.stack(list(movie.frames)).astype(float)
    noise = np.median(frames.std(axis=0))
    clean = frames.mean(axis=0)
    sharp = make_movie(20, (128, 128), snr=1000, **options).frames[0].astype(float)
    inside, outside = sharp < np.median(sharp) - 0.25 * np.ptp(sharp), sharp >= np.median(sharp)
    assert (clean[outside].mean() - clean[inside].mean()) / noise == pytest.approx(snr, rel=0.08)


def test_jumps_have_the_asked_length():
    shift = make_movie(200, (64, 64), n_particles=2, drift_px=0.1, jumps=6, jump_px=(12, 20), seed=5).shift_px
    length = np.hypot(*np.diff(shift, axis=0).T)
    assert (length > 5).sum() == 6
    assert length.max() < 21
    assert np.median(length) < 0.3


def test_bad_frames_look_as_their_status_says():
    which = {"blank": (2, 3, 4, 5), "blurred": (7,), "saturated": (9,), "doubled": (11,)}
    movie = make_movie(14, (128, 128), n_particles=20, snr=1000, jump_px=(20, 30), seed=2, **which)
    for status, frames in which.items():
        assert (movie.status[list(frames)] == status).all()
    assert (movie.status == "ok").sum() == 7
    contrast = [float(np.ptp(frame[20:-20, 20:-20].astype(float))) for frame in movie.frames]
    usual = contrast[0]
    assert max(contrast[i] for i in which["blank"]) < 0.5 * usual
    assert {bool(movie.frames[i].any()) for i in which["blank"]} == {True, False}
    steepest = [np.abs(np.diff(movie.frames[i].astype(float))).max() for i in (6, 7)]
    assert steepest[1] < 0.5 * steepest[0]
    assert (movie.frames[9] == 255).mean() > 0.5
    assert np.hypot(*(movie.shift_px[11] - movie.shift_px[10])) > 19


def test_shift_counts_from_the_first_good_frame():
    movie = make_movie(10, (64, 64), n_particles=3, drift_px=2, blank=(0, 1), seed=0)
    assert movie.shift_px[2].tolist() == [0, 0]
    assert np.hypot(*movie.shift_px[0]) > 1


def test_uneven_light_and_dead_pixels_stay_where_they_are():
    movie = make_movie(12, (96, 96), n_particles=0, uneven=0.4, dead_pixels=0.02, snr=20, seed=0)
    frames = np.stack(list(movie.frames)).astype(float)
    dead = frames.std(axis=0) == 0
    assert dead.mean() == pytest.approx(0.02, abs=0.006)
    middle = np.median(frames, axis=0)
    assert np.ptp(middle[~dead]) > 0.2 * middle.max()


def test_few_grey_levels():
    assert len(np.unique(make_movie(2, (64, 64), levels=12, snr=2, seed=0).frames[0])) <= 13


def test_ripening_follows_lifshitz_slyozov_wagner():
    movie = make_movie(
        120, (500, 500), n_particles=300, diameter_px=(12, 0), process="ripening", growth=1.5, drift_px=0, seed=0
    )
    radius = movie.tracks.groupby("frame")["radius_px"].mean()
    cubed = radius**3
    assert radius.iloc[-1] / radius.iloc[0] == pytest.approx(1.5, rel=0.06)
    # r³ - r0³ = K t: a straight line, as far as some hundred particles have a mean.
    line = np.polynomial.Polynomial.fit(cubed.index, cubed, 1)(cubed.index.to_numpy())
    assert np.abs(cubed - line).max() < 0.12 * np.ptp(cubed)
    gone = movie.events[movie.events["kind"] == "vanished"]
    assert len(gone) > 100
    assert movie.events["kind"].isin(["vanished", "entered-field", "left-field"]).all()
    last = movie.tracks.groupby("particle")["frame"].max()
    for frame, (particle,) in zip(gone["frame"], gone["particles"], strict=True):
        assert last[particle] == frame - 1


def test_ripening_conserves_volume():
    movie = make_movie(60, (400, 400), n_particles=200, process="ripening", growth=1.3, drift_px=0, seed=1)
    volume = (movie.frames.size**3).sum(axis=1)
    assert volume.min() > 0.98 * volume.max()


@pytest.mark.parametrize(("conserve", "power"), [("volume", 3), ("area", 2)])
def test_coalescence_conserves_what_was_asked(conserve, power):
    movie = make_movie(
        50, (300, 300), n_particles=60, process="coalescence", merges=12, conserve=conserve, drift_px=0, seed=4
    )
    merged = movie.events[movie.events["kind"] == "coalescence"]
    assert len(merged) >= 5
    tracks = movie.tracks.set_index(["frame", "particle"])
    for event in merged.itertuples():
        stays, goes = event.particles
        assert goes not in movie.tracks.loc[movie.tracks["frame"] >= event.frame, "particle"].to_numpy()
        if (event.frame - 1, stays) not in tracks.index or (event.frame - 1, goes) not in tracks.index:
            continue
        before = tracks.loc[[(event.frame - 1, stays), (event.frame - 1, goes)]]
        after = tracks.loc[(event.frame, stays)]
        assert (before["radius_px"] ** power).sum() == pytest.approx(after["radius_px"] ** power)
        apart = np.hypot(*before[["row_px", "col_px"]].diff().iloc[1])
        assert apart == pytest.approx(before["radius_px"].sum(), abs=1)
        assert event.area_before_px2 == pytest.approx(np.pi * (before["radius_px"] ** 2).sum())
        assert event.area_after_px2 == pytest.approx(np.pi * after["radius_px"] ** 2)


def test_particles_enter_and_leave_through_drift():
    movie = make_movie(80, (120, 120), n_particles=25, drift_px=1.0, seed=6)
    moves = movie.events[movie.events["kind"].isin(["entered-field", "left-field"])]
    assert set(moves["kind"]) == {"entered-field", "left-field"}
    seen = set(zip(movie.tracks["frame"], movie.tracks["particle"], strict=True))
    for event in moves.itertuples():
        now, before = (event.frame, *event.particles) in seen, (event.frame - 1, *event.particles) in seen
        assert (now, before) == ((True, False) if event.kind == "entered-field" else (False, True))


def test_an_array_is_a_lattice_with_faults():
    movie = make_movie(1, (256, 256), n_particles=200, diameter_px=(9, 0.5), arrangement="array", snr=20, seed=0)
    assert len(movie.tracks) == pytest.approx(200, rel=0.1)
    power = np.abs(np.fft.fft2(movie.frames[0].astype(float) - movie.frames[0].mean())) ** 2
    spacing = np.sqrt(2 / np.sqrt(3) * 256**2 * 0.96 / 200)
    frequency = np.hypot(np.fft.fftfreq(256)[:, None], np.fft.fftfreq(256))
    brightest = frequency.ravel()[power.argmax()]
    assert brightest == pytest.approx(2 / np.sqrt(3) / spacing, rel=0.1)


@pytest.mark.parametrize("options", [{"process": "melting"}, {"arrangement": "square"}, {"conserve": "mass"}])
def test_impossible_wishes_are_refused(options):
    with pytest.raises(ValueError, match=r"melting|square|mass"):
        make_movie(2, (32, 32), **options)


def test_no_particles():
    movie = make_movie(3, (32, 32), n_particles=0, seed=0)
    assert len(movie.tracks) == len(movie.events) == 0
    assert movie.frames[0].std() > 0
