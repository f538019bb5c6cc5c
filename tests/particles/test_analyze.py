"""From files to a folder of results: what a user finds there, and what is never lost."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from tests.particles.counting import SEGMENTED

import emscout as em
from emscout.errors import OutputError, UsageError
from emscout.synthetic.particles import make_micrograph


def write_micrograph(path: Path, seed: int, *, calibrated: bool = True, shape=(192, 256)) -> Path:
    micrograph, _, _ = make_micrograph(shape, n_particles=10, nm_per_px=0.5, seed=seed)
    unit = {"imagej": True, "resolution": (2, 2), "metadata": {"unit": "nm"}} if calibrated else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, micrograph.image, **unit)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    for seed in range(3):
        write_micrograph(folder / f"scan_{seed}.tif", seed)
    return folder


@pytest.fixture(scope="module")
def analyzed(scans, tmp_path_factory):
    """One run with every export, looked at by many tests."""
    out = tmp_path_factory.mktemp("out") / "results"
    options = em.ParticleOptions(roi=True, coco=True, parquet=True)
    return em.analyze([scans], out, options)


@pytest.fixture
def counted():
    """Names of the images that were really segmented, with `COUNTING`."""
    SEGMENTED.clear()
    return SEGMENTED


COUNTING = em.ParticleOptions(model="tests.particles.counting:segment")


def test_every_promised_file_is_there(analyzed):
    names = {str(p.relative_to(analyzed.folder)) for p in analyzed.folder.rglob("*") if p.is_file()}
    promised = {"particles.csv", "images.csv", "report.html", "run.json", "coco.json", "particles.parquet"}
    promised |= {
        f"{d}/scan_{i}.{s}" for i in range(3) for d, s in (("labels", "tif"), ("overlays", "png"), ("rois", "zip"))
    }
    assert promised <= names
    assert not [name for name in names if ".tmp" in name or name.startswith(".exports")]


def test_counts_in_all_outputs_agree(analyzed):
    out = analyzed.folder
    particles, images = pd.read_csv(out / "particles.csv"), pd.read_csv(out / "images.csv")
    coco = json.loads((out / "coco.json").read_text())
    assert len(coco["annotations"]) == len(particles) == images["count"].sum() > 20
    for row in images.itertuples():
        labels = tifffile.imread(out / "labels" / f"{row.image}.tif")
        with zipfile.ZipFile(out / "rois" / f"{row.image}.zip") as rois:
            assert len(rois.namelist()) == labels.max() == row.count
        assert (particles["image"] == row.image).sum() == row.count
    assert len(pd.read_parquet(out / "particles.parquet")) == len(particles)


def test_image_comes_first_and_lengths_stand_in_both_units(analyzed):
    particles = pd.read_csv(analyzed.folder / "particles.csv")
    assert particles.columns[0] == "image"
    for name in ("equivalent_circular_diameter", "min_feret", "max_feret", "perimeter", "row", "nearest_neighbour"):
        np.testing.assert_allclose(particles[f"{name}_nm"], particles[f"{name}_px"] * 0.5, rtol=1e-5)
    np.testing.assert_allclose(particles["area_nm2"], particles["area_px2"] * 0.25, rtol=1e-5)


def test_images_table_says_where_the_pixel_size_comes_from(analyzed):
    images = pd.read_csv(analyzed.folder / "images.csv")
    assert images["nm_per_px"].tolist() == pytest.approx([0.5] * 3)
    assert set(images["calibration_source"]) == {"metadata"}
    assert set(images["status"]) == {"ok"}
    assert (images["d50_nm_low"] <= images["d50_nm"]).all() and (images["d50_nm"] <= images["d50_nm_high"]).all()


def test_label_image_opens_again_with_its_scale(analyzed):
    labels = em.read(analyzed.folder / "labels" / "scan_0.tif")
    assert labels.nm_per_px == pytest.approx(0.5)
    assert labels.image.dtype == np.int32


def test_run_json_holds_options_versions_and_checksums(analyzed):
    run = json.loads((analyzed.folder / "run.json").read_text())
    assert run["options"]["roi"] is True
    assert run["emscout"] == em.__version__
    assert len(run["model_sha256"]) == 64
    assert all(len(source["sha256"]) == 64 for source in run["inputs"])


def test_report_is_one_page_that_needs_nothing_else(analyzed):
    page = (analyzed.folder / "report.html").read_text(encoding="utf-8")
    assert "scan_1" in page
    for outside in ('src="http', 'href="http', "<link", "@import"):
        assert outside not in page.replace('href="https://doi.org', "")


def test_two_runs_give_the_same_bytes_with_any_number_of_workers(scans, analyzed, tmp_path):
    options = em.ParticleOptions(roi=True, coco=True, parquet=True)
    em.analyze([scans], tmp_path / "again", options, workers=2)
    assert contents(tmp_path / "again") == contents(analyzed.folder)


def test_finished_images_are_not_done_again_and_new_ones_are(tmp_path, counted):
    write_micrograph(tmp_path / "in" / "a.tif", 0)
    em.analyze([tmp_path / "in"], tmp_path / "out", COUNTING, workers=1)
    write_micrograph(tmp_path / "in" / "b.tif", 1)
    report = em.analyze([tmp_path / "in"], tmp_path / "out", COUNTING, workers=1)
    assert counted == ["a", "b"]
    assert report.tables["images"]["image"].tolist() == ["a", "b"]


def test_an_interrupted_run_continues_and_ends_with_the_same_bytes(scans, tmp_path, counted):
    def stop_after_the_first(done, total, name):
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        em.analyze([scans], tmp_path / "out", COUNTING, workers=1, progress=stop_after_the_first)
    assert not (tmp_path / "out" / "particles.csv").exists()
    em.analyze([scans], tmp_path / "out", COUNTING, workers=1)
    assert counted == ["scan_0", "scan_1", "scan_2"]
    em.analyze([scans], tmp_path / "whole", COUNTING, workers=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_an_image_that_changed_is_done_again(tmp_path, counted):
    path = write_micrograph(tmp_path / "a.tif", 0)
    em.analyze([path], tmp_path / "out", COUNTING)
    write_micrograph(path, 1)
    em.analyze([path], tmp_path / "out", COUNTING)
    assert counted == ["a", "a"]


@pytest.mark.parametrize("change", ["options", "images"])
def test_nothing_is_overwritten_unasked(tmp_path, change):
    a, b = write_micrograph(tmp_path / "a.tif", 0), write_micrograph(tmp_path / "b.tif", 1)
    out = tmp_path / "out"
    em.analyze([a], out)
    before = contents(out)
    again = ([b], None) if change == "images" else ([a], em.ParticleOptions(samples=3))
    with pytest.raises(OutputError, match="`overwrite=True`"):
        em.analyze(again[0], out, again[1])
    assert contents(out) == before
    em.analyze(again[0], out, again[1], overwrite=True)
    assert len(list((out / "labels").iterdir())) == 1


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_other_things_is_left_alone(tmp_path, overwrite):
    path = write_micrograph(tmp_path / "a.tif", 0)
    (tmp_path / "own" / "labels").mkdir(parents=True)
    (tmp_path / "own" / "labels" / "a.tif").write_text("drawn by hand")
    with pytest.raises(OutputError, match=r"labels.*choose a new or an empty folder"):
        em.analyze([path], tmp_path / "own", overwrite=overwrite)
    assert (tmp_path / "own" / "labels" / "a.tif").read_text() == "drawn by hand"


def test_a_bad_file_is_named_and_the_others_are_done(tmp_path):
    write_micrograph(tmp_path / "in" / "good.tif", 0)
    (tmp_path / "in" / "bad.tif").write_bytes(b"II*\0 this is no image")
    images = em.analyze([tmp_path / "in"], tmp_path / "out").tables["images"].set_index("image")
    assert images.loc["good", "status"] == "ok"
    assert images.loc["bad", "status"] == "failed"
    assert "bad.tif" in images.loc["bad", "error"]
    assert (tmp_path / "out" / "report.html").exists()


def test_when_every_file_is_bad_the_tables_still_have_their_columns(tmp_path):
    (tmp_path / "bad.tif").write_bytes(b"nothing")
    report = em.analyze([tmp_path / "bad.tif"], tmp_path / "out")
    assert report.tables["images"]["status"].tolist() == ["failed"]
    assert {"image", "label", "area_px2"} <= set(pd.read_csv(tmp_path / "out" / "particles.csv").columns)


@pytest.mark.parametrize("value", [0, 7, np.nan], ids=["black", "grey", "nan"])
def test_an_image_without_particles_says_so_and_gives_an_empty_table(tmp_path, value):
    tifffile.imwrite(tmp_path / "flat.tif", np.full((64, 64), value, np.float32))
    report = em.analyze([tmp_path / "flat.tif"], tmp_path / "out")
    row = report.tables["images"].iloc[0]
    assert (row["status"], row["count"]) == ("empty", 0)
    assert "flat.tif" in row["error"]
    particles = pd.read_csv(tmp_path / "out" / "particles.csv")
    assert len(particles) == 0 and "equivalent_circular_diameter_px" in particles


def test_the_same_name_from_two_folders_does_not_collide(tmp_path):
    a, b = write_micrograph(tmp_path / "a" / "x.tif", 0), write_micrograph(tmp_path / "b" / "x.tif", 1)
    images = em.analyze([a, b], tmp_path / "out").tables["images"]
    assert images["image"].is_unique
    assert len(list((tmp_path / "out" / "labels").iterdir())) == 2


def test_each_frame_of_a_stack_is_an_image(tmp_path):
    frames = np.stack([make_micrograph((128, 128), n_particles=5, seed=s)[0].image for s in range(3)])
    tifffile.imwrite(tmp_path / "stack.tif", frames, photometric="minisblack")
    images = em.analyze([tmp_path / "stack.tif"], tmp_path / "out").tables["images"]
    assert images["image"].tolist() == ["stack_f0000", "stack_f0001", "stack_f0002"]
    assert images["frame"].tolist() == [0, 1, 2]


def test_uncalibrated_images_have_no_nm_and_a_diameter_in_nm_is_refused(tmp_path):
    path = write_micrograph(tmp_path / "a.tif", 0, calibrated=False)
    particles = em.analyze([path], tmp_path / "px").tables["particles"]
    assert not [name for name in particles if name.endswith(("_nm", "_nm2"))]
    images = em.analyze([path], tmp_path / "nm", em.ParticleOptions(min_diameter="5nm")).tables["images"]
    assert images["status"][0] == "failed" and "pixel size" in images["error"][0]


def test_calibrated_and_uncalibrated_images_share_a_table(tmp_path):
    a = write_micrograph(tmp_path / "a.tif", 0, calibrated=False)
    b = write_micrograph(tmp_path / "b.tif", 1)
    particles = em.analyze([a, b], tmp_path / "out").tables["particles"]
    assert particles.loc[particles["image"] == "a", "area_nm2"].isna().all()
    assert particles.loc[particles["image"] == "b", "area_nm2"].notna().all()


def test_the_users_pixel_size_wins(tmp_path):
    path = write_micrograph(tmp_path / "a.tif", 0)
    row = em.analyze([path], tmp_path / "out", em.ParticleOptions(pixel_size="2Å")).tables["images"].iloc[0]
    assert (row["nm_per_px"], row["calibration_source"]) == (pytest.approx(0.2), "user")


@pytest.mark.parametrize("model", ["particles-v2", "watershed"])
def test_a_bound_on_the_diameter_drops_particles_and_changes_no_other(tmp_path, model):
    path = write_micrograph(tmp_path / "a.tif", 0)
    area = "area_px2"
    every = em.analyze([path], tmp_path / "all", em.ParticleOptions(model=model)).tables["particles"]
    bound = float(every["equivalent_circular_diameter_nm"].median())
    options = em.ParticleOptions(model=model, min_diameter=f"{bound - 1e-6}nm")
    large = em.analyze([path], tmp_path / "large", options).tables["particles"]
    assert large[area].tolist() == every.loc[every["equivalent_circular_diameter_nm"] >= bound - 1e-6, area].tolist()
    options = em.ParticleOptions(model=model, max_diameter=f"{bound - 1e-6}nm")
    small = em.analyze([path], tmp_path / "small", options).tables["particles"]
    assert len(small) + len(large) == len(every)


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "watershed", "polarity": "grey"},
        {"polarity": "dark"},
        {"split": False},
        {"min_diameter": "5"},
        {"max_diameter": "big"},
        {"diameter": "0nm"},
        {"min_diameter": "50px", "max_diameter": "10px"},
        {"pixel_size": "3px"},
        {"seed": -1},
        {"samples": 0},
        {"min_probability": 1.5},
        {"max_uncertainty": -0.1},
    ],
)
def test_wrong_options_are_refused_before_any_work(wrong):
    with pytest.raises(UsageError):
        em.ParticleOptions(**wrong)


def test_no_image_to_work_on_is_said(tmp_path):
    with pytest.raises(UsageError):
        em.analyze([tmp_path / "missing.tif"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("model", ["particles-v2", "watershed"])
def test_either_method_finds_the_particles_of_a_clear_image(tmp_path, model):
    path = write_micrograph(tmp_path / "a.tif", 0)
    report = em.analyze([path], tmp_path / "out", em.ParticleOptions(model=model))
    assert len(report.tables["particles"]) == pytest.approx(10, abs=1)
    assert (tmp_path / "out" / "uncertainty" / "a.png").exists() == (model == "particles-v2")


def test_a_particle_of_the_network_says_how_sure_it_is(analyzed):
    particles = pd.read_csv(analyzed.folder / "particles.csv")
    assert particles["probability"].between(0, 1).all()
    assert (particles["uncertainty_nats"] >= 0).all()


def test_doubtful_particles_are_dropped_and_counted(tmp_path):
    path = write_micrograph(tmp_path / "a.tif", 0)
    every = em.analyze([path], tmp_path / "all", em.ParticleOptions(max_uncertainty=1)).tables
    bound = float(every["particles"]["uncertainty_nats"].median())
    sure = em.analyze([path], tmp_path / "sure", em.ParticleOptions(max_uncertainty=bound)).tables
    assert sure["particles"]["uncertainty_nats"].max() <= bound
    assert sure["images"]["count_dropped"][0] == len(every["particles"]) - len(sure["particles"]) > 0
    assert sure["images"]["count"][0] == len(sure["particles"])


def test_an_unknown_model_is_refused_with_the_names_of_those_there_are(tmp_path):
    path = write_micrograph(tmp_path / "a.tif", 0)
    with pytest.raises(UsageError, match="particles-v2"):
        em.analyze([path], tmp_path / "out", em.ParticleOptions(model="particles-v999"))
    assert not (tmp_path / "out").exists()
