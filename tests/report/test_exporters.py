import json
import math

import numpy as np
import pandas as pd
import pytest
import roifile
import tifffile
from PIL import Image, ImageDraw

from emscout.report.exporters import EXPORTERS, export_coco, export_parquet, export_rois, write_labels

from .conftest import particle_table


@pytest.fixture
def tables(labels):
    images = pd.DataFrame(
        {
            "image": ["a b", "empty", "broken"],
            "path": ["x/a b.tif", "x/empty.tif", "x/broken.tif"],
            "height_px": [200, 200, math.nan],
            "width_px": [300, 300, math.nan],
            "status": ["ok", "empty", "failed"],
        }
    )
    particles = particle_table(labels, nm_per_px=0.5)
    particles.insert(0, "image", "a b")
    return {"images": images, "particles": particles}


@pytest.fixture
def label_images(labels):
    return {"a b": labels, "empty": np.zeros_like(labels)}


@pytest.mark.parametrize("name", EXPORTERS)
def test_contract_of_every_exporter(name, tmp_path, tables, label_images):
    """Writes into the folder it is given, tells what it wrote, and writes the same bytes each time."""
    contents = []
    for run in ("first", "second"):
        folder = tmp_path / run
        folder.mkdir()
        written = EXPORTERS[name](folder, tables, label_images)
        assert sorted(written) == sorted(path for path in folder.rglob("*") if path.is_file())
        assert written
        contents.append({str(path.relative_to(folder)): path.read_bytes() for path in written})
    assert contents[0] == contents[1]


@pytest.mark.parametrize("name", EXPORTERS)
def test_every_exporter_takes_a_run_in_which_all_failed(name, tmp_path, tables):
    images = tables["images"].tail(1)
    EXPORTERS[name](tmp_path, {"images": images, "particles": pd.DataFrame({"image": []})}, {})


def test_filling_an_imagej_roi_gives_the_particle_back(tmp_path, tables, label_images, labels):
    path, empty = export_rois(tmp_path, tables, label_images)
    rois = roifile.roiread(path)
    assert [roi.name for roi in rois] == ["1", "2", "3", "4", "5"]
    for roi in rois:
        # Eight-fold, so that the rasterizer's own half pixel at the edge does not matter.
        canvas = Image.new("1", (300 * 8, 200 * 8))
        ImageDraw.Draw(canvas).polygon([(8 * x, 8 * y) for x, y in roi.coordinates()], fill=1)
        filled = np.asarray(canvas)[4::8, 4::8]
        assert np.array_equal(filled, labels == int(roi.name))
    assert empty.name == "empty.zip"


def test_coco_says_what_the_labels_say(tmp_path, tables, label_images, labels):
    (path,) = export_coco(tmp_path, tables, label_images)
    coco = json.loads(path.read_text(encoding="utf-8"))
    assert [(image["file_name"], image["width"], image["height"]) for image in coco["images"]] == [
        ("x/a b.tif", 300, 200),
        ("x/empty.tif", 300, 200),
    ]
    assert coco["categories"] == [{"id": 1, "name": "particle"}]
    assert [annotation["id"] for annotation in coco["annotations"]] == [1, 2, 3, 4, 5]
    for annotation in coco["annotations"]:
        row, col = np.nonzero(labels == annotation["label"])
        assert annotation["area"] == row.size
        left, top, width, height = annotation["bbox"]
        assert (left, top, left + width, top + height) == (col.min(), row.min(), col.max() + 1, row.max() + 1)
        x, y = np.array(annotation["segmentation"][0]).reshape(-1, 2).T
        assert abs(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y)) == row.size
        assert "score" not in annotation


def test_coco_carries_scores(tmp_path, tables, label_images):
    tables["particles"]["probability"] = [0.9, 0.8, 0.7, 0.6, 0.5]
    (path,) = export_coco(tmp_path, tables, label_images)
    annotations = json.loads(path.read_text(encoding="utf-8"))["annotations"]
    assert [annotation["score"] for annotation in annotations] == [0.9, 0.8, 0.7, 0.6, 0.5]


def test_parquet_holds_the_tables(tmp_path, tables, label_images):
    for path in export_parquet(tmp_path, tables, label_images):
        pd.testing.assert_frame_equal(pd.read_parquet(path), tables[path.stem])


@pytest.mark.parametrize("nm_per_px", [0.0123456789, 0.5, 1.0, 3.7, 1234.5, 2.5e5])
def test_a_label_image_keeps_its_numbers_and_its_scale(tmp_path, labels, nm_per_px):
    path = tmp_path / "labels.tif"
    write_labels(path, labels, nm_per_px)
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        assert tiff.is_imagej
        assert tiff.imagej_metadata["unit"] == "nm"
        for tag in ("XResolution", "YResolution"):
            pixels, nm = page.tags[tag].value
            assert nm / pixels == pytest.approx(nm_per_px, rel=1e-8)
        assert page.dtype == np.int32
        assert not page.is_tiled
        assert np.array_equal(tiff.asarray(), labels)


@pytest.mark.parametrize("nm_per_px", [0.05, 12.0])
def test_a_label_image_read_back_is_calibrated(tmp_path, labels, nm_per_px):
    from emscout.io import read

    write_labels(tmp_path / "labels.tif", labels, nm_per_px)
    assert read(tmp_path / "labels.tif").nm_per_px == pytest.approx(nm_per_px)


def test_an_uncalibrated_label_image_has_no_scale(tmp_path, labels):
    from emscout.io import read

    write_labels(tmp_path / "labels.tif", labels, None)
    assert read(tmp_path / "labels.tif").nm_per_px is None
    with tifffile.TiffFile(tmp_path / "labels.tif") as tiff:
        assert "unit" not in tiff.imagej_metadata


def test_label_images_are_the_same_bytes_each_time(tmp_path, labels):
    for name in ("a.tif", "b.tif"):
        write_labels(tmp_path / name, labels, 0.7)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_particles_of_a_real_image_keep_their_area(tmp_path, data):
    labels = read_labels(sorted((data / "emps" / "segmaps").glob("*.png"))[40])
    images = pd.DataFrame({"image": ["emps"], "status": ["ok"]})
    (path,) = export_rois(tmp_path, {"images": images}, {"emps": labels})
    for roi in roifile.roiread(path):
        x, y = roi.coordinates().T
        area = abs(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
        assert area == pytest.approx((labels == int(roi.name)).sum(), rel=0.01)


def read_labels(path):
    return np.asarray(Image.open(path)).astype(np.int32)
