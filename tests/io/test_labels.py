"""Labels in every format people draw them in become the same label image, and bad ones a sentence."""

import json

import numpy as np
import pytest
import roifile
import tifffile
from PIL import Image

from emscout.errors import EmscoutError, ReadError, UsageError
from emscout.io.labels import LABEL_FORMATS, find_labelled
from emscout.report.exporters import export_coco, export_rois
from emscout.report.outlines import trace_outlines
from emscout.synthetic.particles import make_micrograph

NAMES = ("scan_a", "scan_b")


@pytest.fixture(scope="module")
def scenes():
    """Image and true labels by name; the two are of different shapes."""
    shapes = {"scan_a": (96, 128), "scan_b": (128, 80)}
    made = {name: make_micrograph(shape, n_particles=6, diameter_px=(18, 3), seed=4) for name, shape in shapes.items()}
    return {name: (micrograph.image, labels) for name, (micrograph, labels, _) in made.items()}


def write_images(folder, scenes):
    folder.mkdir(parents=True, exist_ok=True)
    for name, (image, _) in scenes.items():
        tifffile.imwrite(folder / f"{name}.tif", image)


def write_label_images(folder, scenes):
    write_images(folder / "images", scenes)
    (folder / "labels").mkdir()
    for name, (_, labels) in scenes.items():
        Image.fromarray(labels.astype(np.uint16) * 3).save(folder / "labels" / f"{name}.png")  # numbers with gaps


def tables_of(scenes, folder):
    import pandas as pd

    rows = [
        {"image": name, "path": f"elsewhere/{name}.tif", "height_px": image.shape[0], "width_px": image.shape[1]}
        for name, (image, _) in scenes.items()
    ]
    return {"images": pd.DataFrame(rows), "particles": pd.DataFrame()}


def write_coco(folder, scenes):
    write_images(folder / "images", scenes)
    export_coco(folder, tables_of(scenes, folder), {name: labels for name, (_, labels) in scenes.items()})


def write_rois(folder, scenes):
    write_images(folder, scenes)
    export_rois(folder, tables_of(scenes, folder), {name: labels for name, (_, labels) in scenes.items()})


def write_labelme(folder, scenes):
    write_images(folder, scenes)
    for name, (image, labels) in scenes.items():
        shapes = [
            {"label": "particle", "shape_type": "polygon", "points": trace_outlines(labels == i)[0][:, ::-1].tolist()}
            for i in range(1, labels.max() + 1)
        ]
        content = {
            "shapes": shapes,
            "imagePath": f"{name}.tif",
            "imageHeight": image.shape[0],
            "imageWidth": image.shape[1],
        }
        (folder / f"{name}.json").write_text(json.dumps(content))


WRITERS = {
    "label images": write_label_images,
    "COCO": write_coco,
    "ImageJ ROIs": write_rois,
    "Labelme": write_labelme,
}


def test_every_format_is_tested():
    assert WRITERS.keys() == LABEL_FORMATS.keys()


@pytest.mark.parametrize("kind", LABEL_FORMATS)
def test_contract(kind, scenes, tmp_path):
    """Found by itself and by no other format, named as the image, and drawn as it was."""
    WRITERS[kind](tmp_path, scenes)
    assert [name for name, find in LABEL_FORMATS.items() if find(tmp_path)] == [kind]
    found = find_labelled(tmp_path)
    assert tuple(image.name for image in found) == NAMES
    for image in found:
        pixels, truth = scenes[image.name]
        np.testing.assert_array_equal(tifffile.imread(image.path), pixels)
        labels = image.draw(truth.shape)
        assert labels.dtype == np.int32
        np.testing.assert_array_equal(labels, truth)


@pytest.mark.parametrize("kind", sorted(LABEL_FORMATS.keys() - {"ImageJ ROIs"}))  # which say nothing of their image
def test_labels_of_another_shape_are_refused(kind, scenes, tmp_path):
    WRITERS[kind](tmp_path, scenes)
    image = find_labelled(tmp_path)[0]
    with pytest.raises(ReadError, match="scan_a"):
        image.draw((96, 129))


@pytest.mark.parametrize("kind", LABEL_FORMATS)
def test_damage_is_a_sentence_that_names_the_file(kind, scenes, tmp_path):
    WRITERS[kind](tmp_path, scenes)
    truth = find_labelled(tmp_path)[0].truth
    truth.write_bytes(truth.read_bytes()[:40])
    with pytest.raises(ReadError, match=truth.name):
        find_labelled(tmp_path)[0].draw((96, 128))


def test_no_labels_and_no_folder_are_sentences(tmp_path, scenes):
    write_images(tmp_path, scenes)
    with pytest.raises(UsageError, match="holds no labels"):
        find_labelled(tmp_path)
    with pytest.raises(UsageError, match="not a folder"):
        find_labelled(tmp_path / "missing")


def test_labels_of_two_kinds_are_refused(tmp_path, scenes):
    write_label_images(tmp_path, scenes)
    export_coco(tmp_path, tables_of(scenes, tmp_path), {name: labels for name, (_, labels) in scenes.items()})
    with pytest.raises(UsageError, match="several kinds"):
        find_labelled(tmp_path)


def test_a_label_image_without_its_micrograph_is_named(tmp_path, scenes):
    write_label_images(tmp_path, scenes)
    (tmp_path / "images" / "scan_b.tif").unlink()
    with pytest.raises(ReadError, match=r"scan_b\.png"):
        find_labelled(tmp_path)


def test_an_image_that_coco_names_but_is_missing_is_named(tmp_path, scenes):
    write_coco(tmp_path, scenes)
    (tmp_path / "images" / "scan_b.tif").unlink()
    with pytest.raises(ReadError, match=r"scan_b\.tif"):
        find_labelled(tmp_path)


def draw_one(folder, name, pixels):
    write_images(folder / "images", {name: (np.zeros(pixels.shape[:2], np.uint8), None)})
    (folder / "masks").mkdir()
    tifffile.imwrite(folder / "masks" / f"{name}.tif", pixels)
    return find_labelled(folder)[0].draw(pixels.shape[:2])


def test_a_mask_of_0_and_255_becomes_one_particle_a_piece(tmp_path):
    mask = np.zeros((20, 30), np.uint8)
    mask[2:6, 2:6] = mask[10:15, 10:20] = 255
    labels = draw_one(tmp_path, "m", mask)
    assert [int((labels == i).sum()) for i in range(1, labels.max() + 1)] == [16, 50]


def test_a_particle_in_two_pieces_stays_one(tmp_path):
    pieces = np.zeros((20, 30), np.uint8)
    pieces[2:6, 2:6] = pieces[10:15, 10:20] = 1
    assert draw_one(tmp_path, "p", pieces).max() == 1


@pytest.mark.parametrize(
    "pixels",
    [
        np.stack([np.full((8, 8), v, np.uint8) for v in (1, 2, 3)], -1),
        np.full((8, 8), 0.5, np.float32),
        np.full((8, 8), -1, np.int16),
        np.full((8, 8), np.nan, np.float32),
    ],
    ids=["colour", "fraction", "negative", "nan"],
)
def test_what_is_no_label_image_is_refused(pixels, tmp_path):
    with pytest.raises(ReadError, match="bad"):
        draw_one(tmp_path, "bad", pixels)


def coco(tmp_path, **segmentation):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((10, 12), np.uint8))
    annotations = [{"image_id": 7, **segmentation}]
    content = {"images": [{"id": 7, "file_name": "x.tif"}], "annotations": annotations}
    (tmp_path / "coco.json").write_text(json.dumps(content))
    return find_labelled(tmp_path)[0].draw((10, 12))


def test_coco_runs_go_down_the_columns(tmp_path):
    labels = coco(tmp_path, segmentation={"counts": [20, 5, 95], "size": [10, 12]})
    assert np.argwhere(labels).tolist() == [[row, 2] for row in range(5)]


@pytest.mark.parametrize(
    "segmentation",
    [[], {"counts": [1, 2]}, {"counts": "ab`"}, [[1, 1, 2, 2]], [["a", 1, 2, 2, 3, 3]], None],
    ids=["none", "short", "compressed", "two corners", "no number", "null"],
)
def test_coco_without_outlines_is_refused(segmentation, tmp_path):
    with pytest.raises(ReadError, match=r"coco\.json"):
        coco(tmp_path, segmentation=segmentation)


def labelme(tmp_path, *shapes):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((20, 20), np.uint8))
    (tmp_path / "x.json").write_text(json.dumps({"shapes": shapes, "imagePath": "C:\\scans\\x.tif"}))
    return find_labelled(tmp_path)[0].draw((20, 20))


def test_of_overlapping_outlines_the_later_wins(tmp_path):
    labels = labelme(
        tmp_path,
        {"shape_type": "rectangle", "points": [[2, 2], [10, 10]]},
        {"shape_type": "rectangle", "points": [[6, 2], [14, 10]]},
    )
    assert ((labels == 1).sum(), (labels == 2).sum()) == (4 * 8, 8 * 8)


def test_a_circle_is_given_by_its_centre_and_a_point_on_it(tmp_path):
    labels = labelme(tmp_path, {"shape_type": "circle", "points": [[10, 10], [15, 10]]})
    assert labels.sum() == pytest.approx(np.pi * 25, rel=0.05)
    assert np.argwhere(labels).mean(0).tolist() == [9.5, 9.5]


def test_outlines_beyond_the_image_are_cut_at_its_edge(tmp_path):
    labels = labelme(tmp_path, {"shape_type": "polygon", "points": [[-5, -5], [4, -5], [4, 3], [-5, 3]]})
    assert labels.sum() == 4 * 3


def test_a_line_is_no_particle(tmp_path):
    with pytest.raises(ReadError, match="line"):
        labelme(tmp_path, {"shape_type": "line", "points": [[1, 1], [5, 5]]})


@pytest.mark.parametrize(
    ("kind", "area"), [(roifile.ROI_TYPE.RECT, 60), (roifile.ROI_TYPE.OVAL, np.pi / 4 * 60)], ids=["rectangle", "oval"]
)
def test_rois_without_corners(kind, area, tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((20, 20), np.uint8))
    roi = roifile.ImagejRoi(roitype=kind, left=3, top=4, right=13, bottom=10)
    roi.tofile(tmp_path / "x.roi")
    labels = find_labelled(tmp_path)[0].draw((20, 20))
    assert labels.sum() == pytest.approx(area, rel=0.06)
    assert np.argwhere(labels).mean(0) == pytest.approx([6.5, 7.5], abs=0.2)


def test_a_point_roi_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((20, 20), np.uint8))
    roifile.ImagejRoi(roitype=roifile.ROI_TYPE.POINT, name="dot").tofile(tmp_path / "x.roi")
    with pytest.raises(EmscoutError, match="point"):
        find_labelled(tmp_path)[0].draw((20, 20))
