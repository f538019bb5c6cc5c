import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from emscout.errors import NothingToFindError, OutputError, UsageError
from emscout.micrograph import Segmentation
from emscout.movies import follow_particles
from emscout.movies.accuracy import evaluate_movie
from emscout.movies.follow import MovieOptions, follow
from emscout.movies.frames import open_movie
from emscout.movies.segmentation.method import area_bounds
from emscout.synthetic.movie import make_movie

OPTIONS = MovieOptions(model="watershed", frame_time="2s", pixel_size="0.5nm", polarity="dark")


def save_stack(path: Path, frames: list[np.ndarray]) -> Path:
    tifffile.imwrite(path, np.stack(frames), photometric="minisblack")
    return path


def save_folder(path: Path, frames: list[np.ndarray]) -> Path:
    path.mkdir()
    for i, frame in enumerate(frames):
        tifffile.imwrite(path / f"frame_{i:03d}.tif", frame, photometric="minisblack")
    return path


def synthetic(n_frames=10, **more):
    settings = {"n_particles": 14, "diameter_px": (16.0, 1.0), "snr": 8, "drift_px": 0.8, "seed": 4} | more
    return make_movie(n_frames, (128, 144), **settings)


def run(path, out, options=OPTIONS, **more):
    """Follow into a folder; what is found is the same in memory, where no report takes its time."""
    return follow(path, out, options, workers=1, **more)


def told(notices):
    return " ".join(map(str, notices))


@pytest.fixture(scope="module")
def movie():
    return synthetic(blank=[6])


@pytest.fixture(scope="module")
def followed(movie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("followed")
    path = save_stack(folder / "movie.tif", list(movie.frames))
    return path, run(path, folder / "out", replace(OPTIONS, save_aligned=True, parquet=True))


def test_tracks_lie_where_the_particles_are(followed, movie):
    _, report = followed
    tracks = pd.read_csv(report.folder / "tracks.csv")
    assert list(tracks.columns[:3]) == ["frame", "time_s", "particle"]
    assert (tracks["time_s"] == 2 * tracks["frame"]).all()
    assert sorted(tracks["frame"].unique()) == [0, 1, 2, 3, 4, 5, 7, 8, 9]
    assert np.allclose(tracks["area_nm2"], 0.25 * tracks["area_px2"])
    inner = tracks[~tracks["touches_border"]]
    for frame, part in inner.groupby("frame"):
        true = movie.tracks[movie.tracks["frame"] == frame][["row_frame_px", "col_frame_px"]].to_numpy()
        apart = np.hypot(*(part[["row_frame_px", "col_frame_px"]].to_numpy()[:, None] - true).transpose(2, 0, 1))
        assert np.median(apart.min(axis=1)) < 0.5
    # Where nothing moves but the stage, a particle keeps its place in the corrected field to a fraction of a pixel.
    still = inner.groupby("particle")[["row_px", "col_px"]].std().dropna()
    assert still.median().max() < 0.3
    assert inner.groupby("particle")[["row_frame_px", "col_frame_px"]].std().median().max() > 0.5


def test_labels_belong_to_the_cut_that_the_drift_names(followed, movie):
    _, report = followed
    drift = pd.read_csv(report.folder / "drift.csv")
    assert drift.loc[6, "status"] == "blank" and pd.isna(drift.loc[6, "cut_row_px"])
    tracks = pd.read_csv(report.folder / "tracks.csv")
    for frame in (0, 9):
        labels = tifffile.imread(report.folder / "labels" / f"frame_{frame:06d}.tif")
        top, left = drift.loc[frame, ["cut_row_px", "cut_col_px"]].astype(int)
        for row in tracks[tracks["frame"] == frame].itertuples():
            inside = np.argwhere(labels == row.label)
            assert len(inside) == row.area_px2
            assert np.allclose(
                inside.mean(axis=0) + np.array([top, left]), (row.row_frame_px, row.col_frame_px), atol=1e-3
            )


def test_the_aligned_movie_stands_still_and_is_calibrated(followed):
    path, report = followed
    with tifffile.TiffFile(report.folder / "aligned.ome.tif") as file:
        aligned = file.asarray()
        assert 'PhysicalSizeX="0.5"' in file.ome_metadata
        assert 'TimeIncrement="2.0"' in file.ome_metadata
    good = [i for i in range(10) if i != 6]
    assert aligned.shape[0] == 10
    first, last = (aligned[i].astype(float) for i in (good[0], good[-1]))
    shape = first.shape
    recorded = [frame[: shape[0], : shape[1]].astype(float) for frame in tifffile.imread(path)[[0, 9]]]
    alike, before = (np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in ((first, last), recorded))
    assert alike > 0.85 and alike > before + 0.2
    assert aligned[good].min() > 0


def test_every_table_is_saved_as_it_is_returned(followed):
    _, report = followed
    for name, table in report.tables.items():
        saved = pd.read_csv(report.folder / f"{name}.csv")
        assert len(saved) == len(table)
        assert len(pd.read_parquet(report.folder / f"{name}.parquet")) == len(table)
        if name != "tracks":
            assert list(saved.columns) == list(table.columns)
    assert (report.folder / "report.html").stat().st_size > 1000
    assert json.loads((report.folder / "run.json").read_text())["inputs"][0]["sha256"]


def test_the_curves_have_bands_from_the_outlines(followed):
    _, report = followed
    curves = report.tables["curves"]
    for name in ("mean_radius_px", "coverage", "volume_px3"):
        assert (curves[f"{name}_low"] < curves[name]).all() and (curves[name] < curves[f"{name}_high"]).all()


def test_a_run_that_goes_on_does_nothing_again_and_ends_alike(followed, tmp_path):
    path, report = followed
    options = replace(OPTIONS, save_aligned=True, parquet=True)
    out = tmp_path / "out"

    def stop(done, total, what):
        if what == "particles of frame 4":
            raise KeyboardInterrupt

    def written():
        return {label.name: label.stat().st_mtime_ns for label in (out / "labels").iterdir()}

    with pytest.raises(KeyboardInterrupt):
        run(path, out, options, progress=stop)
    assert (out / "drift.csv").exists() and not (out / "tracks.csv").exists()
    before, steps = written(), []
    assert sorted(before) == [f"frame_{frame:06d}.tif" for frame in range(4)]
    run(path, out, options, progress=lambda done, total, what: steps.append(what))
    assert not any(what.startswith("drift") for what in steps)
    assert written().items() >= before.items()
    assert sorted(written()) == [f"frame_{frame:06d}.tif" for frame in (0, 1, 2, 3, 4, 5, 7, 8, 9)]
    for name in ("drift.csv", "tracks.csv", "events.csv", "curves.csv", "particles.csv", "tracks.parquet"):
        assert (out / name).read_bytes() == (report.folder / name).read_bytes()


def test_other_options_do_not_overwrite_unasked(followed):
    path, report = followed
    with pytest.raises(OutputError, match="other options"):
        run(path, report.folder, replace(OPTIONS, seed=1))


def test_without_times_nothing_is_claimed_in_seconds(tmp_path):
    path = save_folder(tmp_path / "frames", list(synthetic(5).frames))
    found = follow_particles(open_movie(path), model="watershed")
    assert not [name for table in found.tables.values() for name in table.columns if name.endswith("_s")]
    assert set(found.growth["k_unit"]) == {"px^n/frame"}
    warnings = told(found.warnings)
    assert "`frame_time" in warnings and "`pixel_size" in warnings


def test_frames_that_cannot_be_read_are_bridged_and_reported(tmp_path):
    frames = list(synthetic(9).frames)
    path = save_folder(tmp_path / "frames", frames)
    cut = path / "frame_008.tif"
    cut.write_bytes(cut.read_bytes()[:2000])
    tifffile.imwrite(path / "frame_004.tif", frames[4][:64, :64], photometric="minisblack")
    report = run(path, tmp_path / "out")
    status = report.tables["drift"]["status"]
    assert status[8] == status[4] == "unreadable" and (status.drop([4, 8]) == "ok").all()
    failures = " ".join(report.provenance["found"]["failed"])
    assert "frame_008.tif" in failures and "frame_004.tif" in failures
    assert report.tables["tracks"]["frame"].nunique() == 7


def test_a_movie_without_particles_says_so(tmp_path):
    report = run(save_stack(tmp_path / "a.tif", textured(6)), tmp_path / "out")
    assert report.tables["tracks"].empty and (report.tables["curves"]["n"] == 0).all()
    assert any("No particles" in warning for warning in report.provenance["found"]["warnings"])


def textured(n):
    """A support without particles, that drifts."""
    rng = np.random.default_rng(0)
    grain = rng.normal(100, 3, (140, 150))
    return [np.rint(grain[i : i + 128, i : i + 128] + rng.normal(0, 1, (128, 128))).astype(np.uint8) for i in range(n)]


def test_a_movie_of_blank_frames_is_refused(tmp_path):
    path = save_stack(tmp_path / "a.tif", [np.zeros((64, 64), np.uint8)] * 4)
    with pytest.raises(NothingToFindError, match="No frame of the movie"):
        run(path, tmp_path / "out")


def test_drift_beyond_the_field_is_followed_with_borders():
    long = make_movie(1, (100, 600), n_particles=60, diameter_px=(14.0, 1.0), snr=10, seed=5).frames[0]
    frames = [long[:, 22 * i : 22 * i + 120] for i in range(16)]
    found = follow_particles(frames, OPTIONS)
    assert (found.drift["status"] == "ok").all()
    assert "further than the field" in told(found.warnings)
    assert {"left-field", "entered-field"} <= set(found.events["kind"])


def test_kept_borders_show_more_and_agree_where_both_look(followed):
    path, report = followed
    whole = follow_particles(open_movie(path), replace(OPTIONS, keep_borders=True))
    assert whole.curves["n"].sum() >= report.tables["curves"]["n"].sum()
    one, other = pd.read_csv(report.folder / "tracks.csv"), whole.tracks
    frame = one[(one["frame"] == 9) & ~one["touches_border"]][["row_frame_px", "col_frame_px"]].to_numpy()
    same = other[other["frame"] == 9][["row_frame_px", "col_frame_px"]].to_numpy()
    assert np.median(np.hypot(*(frame[:, None] - same).transpose(2, 0, 1)).min(axis=1)) < 0.2
    still = other[~other["touches_border"]].groupby("particle")[["row_px", "col_px"]].std().dropna()
    assert still.median().max() < 0.3


def test_a_specimen_that_is_lost_is_followed_up_to_there():
    one, other = synthetic(7), synthetic(5, seed=77)
    found = follow_particles([*one.frames, *other.frames], OPTIONS)
    assert found.tracks["frame"].max() == 6
    assert "is lost" in told(found.warnings)


def test_half_a_pixel_of_doubt_without_a_network():
    labels = np.zeros((9, 9), np.int32)
    labels[2:6, 2:6] = 1
    low, high = area_bounds(Segmentation(labels), None)
    assert (low[0], high[0]) == (16 - 12 / 2, 16 + 16 / 2)


def test_doubtful_pixels_of_the_rim_count_in_full_and_others_by_half():
    labels = np.zeros((9, 9), np.int32)
    labels[2:6, 2:6] = 1
    uncertainty = np.full(labels.shape, 0.001, np.float32)
    uncertainty[2, 2] = uncertainty[3, 3] = uncertainty[1, 3] = 0.5  # its rim, its middle, the rim outside
    low, high = area_bounds(Segmentation(labels, uncertainty), 0.02)
    assert (low[0], high[0]) == (16 - 1 - 11 / 2, 16 + 1 + 15 / 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"frame_time": "5"},
        {"frame_time": "-1s"},
        {"pixel_size": "3px"},
        {"model": "particles-v2", "polarity": "dark"},
        {"samples": 0},
        {"model": "watershed", "min_probability": 0.5},
        {"model": "watershed", "max_uncertainty": 0.1},
        {"model": "watershed", "diameter": "20px"},
        {"model": "watershed", "samples": 10},
        {"polarity": "black"},
        {"trust": "nobody"},
        {"seed": -1},
    ],
)
def test_options_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        MovieOptions(**wrong)


def test_the_result_is_scored_against_truth(followed, movie, tmp_path):
    _, report = followed
    drift = pd.DataFrame(movie.shift_px, columns=["row_px", "col_px"])
    drift.insert(0, "frame", range(len(drift)))
    drift.assign(status=movie.status).to_csv(tmp_path / "drift.csv", index=False)
    movie.tracks.to_csv(tmp_path / "tracks.csv", index=False)
    movie.events.to_csv(tmp_path / "events.csv", index=False)
    truth = movie.tracks[movie.tracks["frame"] == 3]
    row, col = np.mgrid[:128, :144]
    mask = np.zeros((128, 144), bool)
    for one in truth.itertuples():
        mask |= np.hypot(row - one.row_frame_px, col - one.col_frame_px) < one.radius_px
    tifffile.imwrite(tmp_path / "frame_3.tif", mask.astype(np.uint8) * 255)
    tables = evaluate_movie(report.folder, tmp_path)
    scores = tables["scores"].set_index(["what", "score"])["value"]
    assert scores["drift", "rms_px"] < 0.1
    assert scores["drift", "bad_frames_flagged"] == 1
    assert scores["links", "found"] > 0.95
    (row,) = tables["masks"].to_dict("records")
    assert row["frame"] == 3 and row["dice"] > 0.93 and abs(row["count_error"]) < 0.2


def test_truth_of_another_movie_is_refused(followed, tmp_path):
    _, report = followed
    with pytest.raises(UsageError, match="no truth"):
        evaluate_movie(report.folder, tmp_path)
    pd.DataFrame({"frame": [0, 1], "row_px": 0.0, "col_px": 0.0}).to_csv(tmp_path / "drift.csv", index=False)
    with pytest.raises(UsageError, match="another movie"):
        evaluate_movie(report.folder, tmp_path)


@pytest.mark.parametrize("blank", [(), (1,)])
def test_two_frames_are_enough(blank):
    found = follow_particles(synthetic(2, blank=blank).frames, OPTIONS)
    assert found.tracks["frame"].nunique() == 2 - len(blank)
    assert found.growth["n"].isna().all()
    assert not found.growth["explains"].any()
    assert set(found.story) >= ({"Particles"} if blank else {"Sizes", "Why", "The law"})


def test_a_folder_and_a_stack_give_the_same_tracks(tmp_path):
    frames = list(synthetic(4).frames)
    paths = save_stack(tmp_path / "a.tif", frames), save_folder(tmp_path / "frames", frames)
    one, other = (follow_particles(open_movie(path), OPTIONS).tracks for path in paths)
    pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_the_network_says_how_sure_it_is():
    found = follow_particles(synthetic(2).frames, samples=2, min_diameter="4px")
    assert found.tracks["probability"].between(0, 1).all()
    assert float(found.typical_diameter.removesuffix("px")) == pytest.approx(16, rel=0.25)
    assert (found.curves["n_low"] < found.curves["n"]).any()


def test_the_whole_chain_distinguishes_ripening_from_coalescence(tmp_path):
    movie = make_movie(
        14, (224, 224), n_particles=60, process="mixed", growth=1.12, merges=18, drift_px=0.2, snr=4, seed=3
    )
    path = save_stack(tmp_path / "movie.tif", list(movie.frames))
    (tmp_path / "truth").mkdir()
    movie.tracks.to_csv(tmp_path / "truth" / "tracks.csv", index=False)
    movie.events.to_csv(tmp_path / "truth" / "events.csv", index=False)
    run(path, tmp_path / "out", MovieOptions())
    tables = evaluate_movie(tmp_path / "out", tmp_path / "truth")
    links = tables["scores"].set_index("score")["value"]
    assert links["found"] >= 0.98
    assert links["right"] >= 0.98
    scores = tables["events"].set_index("kind")
    for kind in ("coalescence", "vanished"):
        assert scores.loc[kind, "n_true"] >= 8
        assert scores.loc[kind, "precision"] >= 0.85
        assert scores.loc[kind, "recall"] >= 0.9


def test_flagged_frames_of_a_folder_are_named_by_their_files_too(tmp_path):
    frames = list(synthetic(8).frames)
    frames[5] = np.zeros_like(frames[5])
    found = follow_particles(open_movie(save_folder(tmp_path / "frames", frames)), OPTIONS)
    assert found.drift["file"].nunique() == 8
    assert f"Frame 5 ({found.drift['file'].iloc[5]})" in told(found.warnings)


def test_of_a_movie_with_one_good_frame_its_particles_are_given(tmp_path):
    frames = [frame if i == 2 else np.full_like(frame, 10) for i, frame in enumerate(synthetic(5).frames)]
    report = run(save_folder(tmp_path / "frames", frames), tmp_path / "out")
    assert report.tables["tracks"]["frame"].unique().tolist() == [2]
    assert len(report.tables["tracks"]) > 5
    assert "nothing can be said about change" in report.provenance["found"]["story"]["Particles"]


def test_crossings_of_the_edge_are_scored_against_the_field_that_was_looked_at(tmp_path):
    movie = synthetic(30, n_particles=20, drift_px=3.0, seed=6)
    path = save_stack(tmp_path / "movie.tif", list(movie.frames))
    truth = tmp_path / "truth"
    truth.mkdir()
    movie.tracks.to_csv(truth / "tracks.csv", index=False)
    movie.events.to_csv(truth / "events.csv", index=False)
    report = run(path, tmp_path / "out", replace(OPTIONS, keep_borders=True))
    scores = evaluate_movie(report.folder, truth)["events"].set_index("kind")
    for kind in ("left-field", "entered-field"):
        assert scores.loc[kind, "n_true"] >= 5
        assert scores.loc[kind, "precision"] >= 0.9
        assert scores.loc[kind, "recall"] >= 0.5
    # The edge of the field in common stands still on the specimen: nothing crosses it.
    report = run(path, tmp_path / "common")
    scores = evaluate_movie(report.folder, truth)["events"]
    assert not scores["kind"].isin(("left-field", "entered-field")).any()
