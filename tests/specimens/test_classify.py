"""Categories by the shipped model: a holiday photograph is none of these, and a bad file does not end a run."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import skimage
import tifffile
from PIL import Image

import emscout as em
from emscout.errors import ModelError, NothingToFindError, OutputError, UsageError
from emscout.io.colour import read_colours
from emscout.models import load_category_model
from emscout.specimens.classify import SpecimenOptions, categorize, classify, classify_picture
from emscout.specimens.occlusion import map_evidence
from emscout.specimens.report.thumbnails import draw_thumbnail
from emscout.synthetic.particles import make_micrograph
from emscout.synthetic.specimens import make_specimen

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee")


def photograph(name):
    """A picture that comes inside scikit-image."""
    from pathlib import Path

    return read_colours(Path(skimage.__file__).parent / "data" / f"{name}.png")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    tifffile.imwrite(folder / "grey16.tif", make_micrograph((200, 220), n_particles=20)[0].image.astype(np.uint16) * 9)
    Image.fromarray(make_specimen("pores")).save(folder / "pores.png")
    Image.fromarray(photograph("coffee")).save(folder / "holiday.jpg")
    Image.fromarray(np.full((40, 40), 90, np.uint8)).save(folder / "flat.png")
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    return folder


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_holiday_photograph_is_none_of_these(name):
    found = classify_picture(photograph(name))
    assert not found.known and found.category == "" and found.novelty > 1


@pytest.mark.parametrize("kind", ["plot", "bar", "scatter"])
def test_a_plot_is_none_of_these(kind):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    generator = np.random.default_rng(0)
    figure = Figure(figsize=(4, 3))
    canvas = FigureCanvasAgg(figure)
    getattr(figure.add_subplot(), kind)(np.arange(20), generator.random(20))
    canvas.draw()
    assert not classify_picture(np.asarray(canvas.buffer_rgba())[..., :3]).known


def test_probabilities_add_up_and_the_doubtful_are_not_named():
    found = classify_picture(make_specimen("pores"))
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.probability == max(found.probabilities.values())
    assert 0 <= found.entropy_nats <= np.log(len(found.probabilities))
    assert classify_picture(make_specimen("pores"), min_probability=1.0).category == ""


def test_a_single_grey_value_and_a_wrong_model_are_sentences():
    with pytest.raises(NothingToFindError, match="single grey value"):
        classify_picture(np.zeros((30, 30)))
    with pytest.raises(ModelError, match=r"finds particles.* classifies pictures"):
        classify_picture(make_specimen("pores"), "particles-v2")
    with pytest.raises(UsageError, match="`min_probability`"):
        SpecimenOptions(min_probability=2)


def test_a_batch_goes_on_past_bad_files(pictures, tmp_path):
    report = categorize([pictures], tmp_path / "out", workers=1)
    classes = report.tables["classes"].set_index("image")
    assert classes["status"].to_dict() == {
        "damaged": "failed",
        "flat": "failed",
        "grey16": "ok",
        "holiday": "ok",
        "pores": "ok",
    }
    assert "damaged.png" in classes.loc["damaged", "error"]
    assert "flat.png" in classes.loc["flat", "error"] and "single grey value" in classes.loc["flat", "error"]
    assert classes.loc["holiday", "category"] == "" and not classes.loc["holiday", "known"]
    saved = pd.read_csv(tmp_path / "out" / "classes.csv")
    columns = [name for name in saved if name.startswith("p_")]
    assert columns == [f"p_{name}" for name in load_category_model("technique-v1").description["categories"]]
    assert list(saved.columns[:3]) == ["image", "category", "probability"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "none of these" in page and "holiday" in page and "damaged.png" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_subfolders_are_not_searched_and_results_never_lie_among_the_images(specimens, pictures, tmp_path):
    with pytest.raises(UsageError, match=r"subfolders only.*/\*/\*"):
        categorize([specimens], tmp_path / "out")
    with pytest.raises(OutputError, match="the images themselves"):
        categorize([pictures], pictures)
    assert not (tmp_path / "out").exists() and not (pictures / "classes.csv").exists()
    assert len(categorize([f"{specimens}/*/*"], tmp_path / "out").tables["classes"]) == 36


def test_a_dark_picture_is_seen_in_the_report_and_an_ordinary_one_is_left_alone():
    dark = np.random.default_rng(0).integers(10, 28, (80, 80)).astype(np.uint8)
    shown = draw_thumbnail(dark, 80)
    assert shown.min() < 5 and shown.max() > 250
    ordinary = make_specimen("pores", 80)
    np.testing.assert_array_equal(draw_thumbnail(ordinary, 80)[..., 0], ordinary)


def test_the_same_run_gives_the_same_bytes_and_finished_images_are_not_done_again(pictures, tmp_path):
    for name in ("one", "other"):
        categorize([pictures / "pores.png", pictures / "holiday.jpg"], tmp_path / name, workers=1)
    for file in ("classes.csv", "report.html"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()
    written = (tmp_path / "one" / "pictures" / "pores.jpg").stat().st_mtime_ns
    categorize([pictures / "pores.png", pictures / "holiday.jpg"], tmp_path / "one", workers=1)
    assert (tmp_path / "one" / "pictures" / "pores.jpg").stat().st_mtime_ns == written


def test_images_in_memory_have_the_categories_of_their_files(pictures, tmp_path):
    files = [pictures / name for name in ("holiday.jpg", "pores.png", "grey16.tif")]
    saved = categorize(files, tmp_path / "out", SpecimenOptions(evidence=False), workers=1)
    saved_table = saved.tables["classes"].set_index("image")
    found = classify([em.read(file) for file in files])
    assert found.table["image"].tolist() == ["holiday", "pores", "grey16"]
    for row in found.table.set_index("image").itertuples():
        for name in ("category", "probability", "p_sem", "known", "novelty", "warnings"):
            assert getattr(row, name) == saved_table.loc[row.Index, name], name
    assert {notice.image for notice in found.warnings} >= {"holiday"}
    assert sorted(found.warnings, key=str) == sorted(saved.warnings, key=str)
    # What was changed since it was read is classified as it is, not as its file.
    changed = replace(em.read(files[0]), image=make_specimen("pores"))
    assert classify(changed).table["p_sem"][0] == pytest.approx(classify(make_specimen("pores")).table["p_sem"][0])


def test_a_picture_of_one_grey_value_in_memory_is_a_warning_and_fields_are_checked():
    found = classify([np.zeros((30, 30)), make_specimen("pores")])
    assert found.table["image"].tolist() == ["image_1", "image_2"]
    assert found.table["category"][0] == "" and np.isnan(found.table["probability"][0])
    assert [(notice.code, notice.image) for notice in found.warnings if notice.code == "empty"] == [
        ("empty", "image_1")
    ]
    assert classify(make_specimen("pores"), min_probability=1.0).table["category"][0] == ""
    with pytest.raises(UsageError, match="not both"):
        classify(make_specimen("pores"), SpecimenOptions(), min_probability=0.5)
    with pytest.raises(UsageError, match="`min_probability`"):
        classify(make_specimen("pores"), min_probability=2)


def test_a_picture_unlike_all_has_the_same_warning_in_the_table_the_report_and_python(pictures, tmp_path):
    report = categorize([pictures / "holiday.jpg"], tmp_path / "out", SpecimenOptions(evidence=False), workers=1)
    (notice,) = report.warnings
    assert (notice.code, notice.image) == ("unlike", "holiday") and "unlike those" in notice.sentence
    assert notice.sentence in pd.read_csv(tmp_path / "out" / "classes.csv")["warnings"][0]
    assert notice.sentence in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_every_frame_of_a_stack_is_an_image(tmp_path):
    frames = np.stack([make_specimen(kind, 64) for kind in ("pores", "fibres")])
    tifffile.imwrite(tmp_path / "stack.tif", frames)
    classes = categorize([tmp_path / "stack.tif"], tmp_path / "out", workers=1).tables["classes"]
    assert classes["image"].tolist() == ["stack_f0000", "stack_f0001"]
    assert classes["p_sem"].nunique() == 2


def test_evidence_lies_where_the_picture_says_something():
    """A model that looks at the brightness of the upper left corner alone is found to look there."""

    class Corner:
        description = {"temperature": 1.0}  # noqa: RUF012

        def run(self, views):
            bright = views[:, :60, :60].mean(axis=(1, 2, 3)) / 255
            return np.stack([np.zeros(len(views)), 8 * bright], axis=1), None, None

    view = np.full((224, 224, 3), 20, np.uint8)
    view[:60, :60] = 250
    evidence = map_evidence(view, Corner(), 1)
    assert evidence.shape == (7, 7)
    assert evidence[0, 0] == evidence.max() > 1
    assert np.abs(evidence[4:, 4:]).max() < 1e-6
