"""From overview images to a folder of targets: what is found, what is written, what bad input gets."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import tifffile

from emscout.crystals.locate import CrystalOptions, locate
from emscout.crystals.tiles.background import black_share
from emscout.crystals.tiles.grid import cut_grid
from emscout.errors import EmscoutError, NothingToFindError, OutputError, ReadError, UsageError
from emscout.synthetic.overview import make_overview
from emscout.synthetic.scale import print_scale

FILES = {
    *(f"{name}.csv" for name in ("tiles", "targets", "images", "clusters", "advice")),
    *(f"{name}.png" for name in ("mosaic", "contact_sheet", "advice", "scatter", "dendrogram")),
    *(f"heat_maps/Tile_00{row}-00{col}.png" for row in (1, 2) for col in (1, 2)),
    "report.html",
    "run.json",
    "targets.nav",
}


@pytest.fixture(scope="module")
def overview():
    return make_overview(shape=(300, 300), n_crystals=10, diameter_px=(40, 6), seed=1)


@pytest.fixture(scope="module")
def folder(overview, tmp_path_factory):
    folder = tmp_path_factory.mktemp("overview")
    for name, micrograph in overview.images.items():
        write(folder / f"{name}.tif", micrograph.image)
    return folder


def write(path, image, nm_per_px=5.0):
    scale = 1 / nm_per_px
    tifffile.imwrite(path, image, imagej=True, resolution=(scale, scale), metadata={"unit": "nm"})


@pytest.fixture(scope="module")
def found(folder, tmp_path_factory):
    return locate([folder], tmp_path_factory.mktemp("out") / "found", CrystalOptions(grid="15x15"))


def written(out):
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_every_promised_file_is_there_and_no_other(found):
    assert written(found.folder) == FILES


def test_crystals_are_found_and_the_bar_is_not(found, overview):
    tiles, targets = found.tables["tiles"], found.tables["targets"]
    assert len(targets) >= 8
    on_crystal = [
        overview.crystals[one.image][
            max(0, round(one.row_px) - 20) : round(one.row_px) + 21,
            max(0, round(one.col_px) - 20) : round(one.col_px) + 21,
        ].any()
        for one in targets.itertuples()
    ]
    assert np.mean(on_crystal) >= 0.9
    for one in tiles[tiles["target"]].itertuples():
        box = np.s_[one.top_px : one.top_px + one.height_px, one.left_px : one.left_px + one.width_px]
        assert overview.bars[one.image][box].mean() < 0.3


def test_black_tiles_are_reported_and_left_out(found, overview):
    tiles = found.tables["tiles"]
    black = tiles[tiles["black"]]
    assert 0.1 < len(black) / len(tiles) < 0.5
    assert black["cluster"].isna().all()
    assert black["score"].isna().all()
    assert not black["target"].any()
    assert tiles[~tiles["black"]]["cluster"].between(1, 3).all()


def test_the_tables_as_saved(found):
    saved = pd.read_csv(found.folder / "tiles.csv")
    assert len(saved) == 4 * 15 * 15
    assert list(saved.columns[:8]) == [
        "image",
        "row",
        "col",
        "top_px",
        "left_px",
        "height_px",
        "width_px",
        "black_share",
    ]
    assert {"mean", "standard_deviation", "entropy", "cluster", "black", "target", "score", "target_rank"} <= set(saved)
    targets = pd.read_csv(found.folder / "targets.csv")
    assert targets["rank"].tolist() == list(range(1, len(targets) + 1))
    assert targets["score"].is_monotonic_decreasing
    assert targets["area_nm2"].to_numpy() == pytest.approx(25 * targets["area_px2"].to_numpy(), rel=1e-5)
    images = pd.read_csv(found.folder / "images.csv")
    assert images["n_tiles"].tolist() == [225] * 4
    assert images["n_targets"].sum() == len(targets)
    ranked = saved.dropna(subset="target_rank")
    assert ranked["target"].all()
    assert ranked.groupby("target_rank").size().tolist() == targets["n_tiles"].tolist()


def test_run_json_holds_all_it_takes_to_run_it_again(found):
    run = json.loads((found.folder / "run.json").read_text())
    assert run["command"] == "locate"
    assert run["options"]["grid"] == "15x15"
    assert all(len(source["sha256"]) == 64 for source in run["inputs"])
    assert run["found"]["n_targets"] == len(found.tables["targets"])


def test_the_same_run_gives_the_same_bytes(found, folder, tmp_path):
    again = locate([folder], tmp_path / "found", CrystalOptions(grid="15x15"))
    for name in sorted(FILES - {"report.html"}):  # which names the folder it was written to
        assert (again.folder / name).read_bytes() == (found.folder / name).read_bytes(), name


def test_the_report_is_one_page_that_needs_nothing_else(found):
    html = (found.folder / "report.html").read_text(encoding="utf-8")
    assert 'src="http' not in html and 'href="http' not in html
    assert html.count("data:image/") > 10
    assert found.provenance["found"]["question"] in html
    assert "emscout locate" in html


def test_the_target_may_be_a_cluster(folder, tmp_path):
    report = locate([folder], tmp_path, CrystalOptions(grid="15x15", target=2))
    tiles = report.tables["tiles"]
    assert (tiles["target"] == (tiles["cluster"] == 2).fillna(False)).all()


def test_examples_change_what_is_target_and_are_saved(found, folder, tmp_path):
    tiles = found.tables["tiles"]
    best = tiles.sort_values("score", ascending=False).iloc[:2]
    film = tiles[~tiles["black"]].sort_values("score").iloc[:2]
    address = "{image}:{row},{col}".format
    like = [address(**row) for row in film.to_dict("records")]
    unlike = [address(**row) for row in best.to_dict("records")]
    options = CrystalOptions(grid="15x15", like=like, unlike=unlike, save_knowledge=str(tmp_path / "k.json"))
    report = locate([folder], tmp_path / "turned", options)
    after = report.tables["tiles"]["score"]
    assert after[film.index].mean() > tiles["score"][film.index].mean()
    assert after[best.index].mean() < tiles["score"][best.index].mean()
    known = locate([folder], tmp_path / "known", CrystalOptions(grid="15x15", knowledge=str(tmp_path / "k.json")))
    others = after.drop([*film.index, *best.index])
    assert known.tables["tiles"]["score"].corr(others) > 0.99


def test_a_sliding_window_reaches_finer_than_its_tile(folder, overview, tmp_path):
    name = next(iter(overview.images))
    options = CrystalOptions(tile="20px", sliding=True, step="5px")
    report = locate([folder / f"{name}.tif"], tmp_path, options)
    tiles = report.tables["tiles"]
    assert len(tiles) == 57 * 57
    assert set(tiles["height_px"]) == {20}
    assert np.diff(sorted(set(tiles["top_px"]))).tolist() == [5] * 56
    assert len(report.tables["targets"])


def test_tiles_may_be_asked_for_in_nanometres(folder, tmp_path):
    tiles = locate([folder], tmp_path, CrystalOptions(tile="100nm")).tables["tiles"]
    assert set(tiles["height_px"]) == {20}


def test_the_published_recipe_takes_grey_values_as_they_are(folder, overview, tmp_path):
    report = locate([folder], tmp_path, CrystalOptions(preset="janus2018"))
    tiles = report.tables["tiles"]
    assert len(tiles) == 4 * 16
    assert not tiles["black"].any()
    first = overview.images["Tile_001-001"].image[:75, :75]
    assert tiles["mean"][0] == pytest.approx(first.mean(), rel=1e-6)
    assert tiles["standard_deviation"][0] == pytest.approx(first.std(), rel=1e-6)


def test_images_of_different_sizes_and_bit_depths_are_one_set(overview, tmp_path):
    first, second = (micrograph.image for micrograph in list(overview.images.values())[2:])
    write(tmp_path / "large.tif", first)
    write(tmp_path / "small.tif", (second[:200, :240] // 100).astype(np.uint8))
    tiles = locate([tmp_path], tmp_path / "out", CrystalOptions(grid="10x10")).tables["tiles"]
    film = tiles[~tiles["black"]].groupby("image")["mean"].median()
    assert film["large"] == pytest.approx(film["small"], rel=0.03)


def test_a_damaged_image_does_not_end_the_run(folder, tmp_path):
    (tmp_path / "bad.tif").write_text("no image")
    report = locate([folder, tmp_path / "bad.tif"], tmp_path / "out", CrystalOptions(grid="10x10"))
    images = report.tables["images"].set_index("image")
    assert images.loc["bad", "status"] == "failed"
    assert "bad.tif" in images.loc["bad", "error"]
    assert (images.drop("bad")["status"] == "ok").all()
    assert "bad.tif" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_an_image_too_small_for_the_tiles_does_not_end_the_run(folder, tmp_path):
    tifffile.imwrite(tmp_path / "thumbnail.tif", np.arange(100, dtype=np.uint8).reshape(10, 10))
    report = locate([folder, tmp_path / "thumbnail.tif"], tmp_path / "out", CrystalOptions(grid="8x8"))
    images = report.tables["images"].set_index("image")
    assert images.loc["thumbnail", "status"] == "failed"
    assert "thumbnail.tif" in images.loc["thumbnail", "error"] and "2x2 or fewer" in images.loc["thumbnail", "error"]
    assert (images["status"] == "ok").sum() == len(images) - 1
    assert "thumbnail" not in set(report.tables["tiles"]["image"])
    with pytest.raises(UsageError, match="2x2 or fewer"):
        locate([tmp_path / "thumbnail.tif"], tmp_path / "alone", CrystalOptions(grid="8x8"))
    assert not (tmp_path / "alone").exists()


def test_frames_of_a_stack_are_images(overview, tmp_path):
    stack = np.stack([micrograph.image for micrograph in overview.images.values()])
    tifffile.imwrite(tmp_path / "stack.tif", stack, photometric="minisblack")
    tiles = locate([tmp_path / "stack.tif"], tmp_path / "out", CrystalOptions(grid="10x10")).tables["tiles"]
    assert tiles["image"].nunique() == 4


def test_film_alone_has_nothing_to_drive_to(tmp_path):
    film = make_overview((1, 2), (200, 200), n_crystals=0, bars=False, seed=3)
    for name, micrograph in film.images.items():
        write(tmp_path / f"{name}.tif", micrograph.image)
    report = locate([tmp_path], tmp_path / "out", CrystalOptions(grid="10x10"))
    assert report.tables["targets"].empty
    assert "empty film" in report.provenance["found"]["message"]
    assert "empty film" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_an_image_of_nothing_but_bar_is_left_out(tmp_path):
    image = np.random.default_rng(0).integers(500, 520, (200, 200))
    image[:, 150:] = 9000
    write(tmp_path / "bar.tif", image.astype(np.uint16)[:, :150])
    write(tmp_path / "edge.tif", image.astype(np.uint16))
    report = locate([tmp_path], tmp_path / "out", CrystalOptions(grid="8x8", clusters=1))
    tiles = report.tables["tiles"]
    assert tiles[tiles["image"] == "bar"]["black"].all()


BAD = [
    ({"grid": "20"}, "is not a grid"),
    ({"grid": "0x4"}, "at least 1x1"),
    ({"grid": "100x100"}, "at least 4 px"),
    ({"tile": "3px"}, "4 px"),
    ({"tile": "900px"}, "does not fit"),
    ({"tile": "12"}, "not a length"),
    ({"grid": "5x5", "tile": "20px"}, "leave one out"),
    ({"step": "4px"}, "`sliding"),
    ({"statistics": "mean,beauty"}, "beauty"),
    ({"clusterer": "magic"}, "magic"),
    ({"linkage": "rope"}, "rope"),
    ({"metric": "mile"}, "mile"),
    ({"preset": "janus1918"}, "janus1918"),
    ({"clusters": 500, "grid": "4x4"}, "fewer"),
    ({"grid": "1x1"}, "tile"),
    ({"target": 7}, "no cluster 7"),
    ({"like": ["Tile_001-001"]}, "is not a tile"),
    ({"like": ["Tile_009-001:1,1"]}, "no image 'Tile_009-001'"),
    ({"like": ["Tile_002-002:40,1"]}, "0,0 to 19,19"),
    ({"like": ["Tile_001-001:0,0"]}, "is black"),
    ({"save_knowledge": "k.json"}, "examples"),
    ({"seed": -1}, "`seed"),
]


@pytest.mark.parametrize(("wrong", "sentence"), BAD, ids=lambda value: str(value) if isinstance(value, dict) else "")
def test_wrong_usage_is_one_sentence_and_leaves_no_folder(wrong, sentence, folder, tmp_path):
    with pytest.raises(UsageError, match=sentence):
        locate([folder / "Tile_001-001.tif", folder / "Tile_002-002.tif"], tmp_path / "out", CrystalOptions(**wrong))
    assert not (tmp_path / "out").exists()


def test_a_length_in_nm_needs_a_pixel_size(overview, tmp_path):
    tifffile.imwrite(tmp_path / "bare.tif", overview.images["Tile_002-002"].image)
    with pytest.raises(UsageError, match="no pixel size"):
        locate([tmp_path], tmp_path / "out", CrystalOptions(tile="100nm"))
    tiles = locate([tmp_path], tmp_path / "out", CrystalOptions(tile="100nm", pixel_size="5nm")).tables["tiles"]
    assert set(tiles["width_px"]) == {20}


def test_knowledge_that_does_not_fit_is_refused(folder, found, tmp_path):
    path = tmp_path / "k.json"
    options = CrystalOptions(grid="15x15", like=[found.provenance["found"]["question"]], save_knowledge=str(path))
    locate([folder], tmp_path / "taught", options)
    learned = json.loads(path.read_text())
    path.write_text(json.dumps(learned | {"model": "of another make"}))
    (tmp_path / "foreign.json").write_text("{}")
    for name, sentence in (
        ("k.json", "was made with other statistics"),
        ("foreign.json", r"foreign\.json"),
        ("missing.json", r"missing\.json"),
    ):
        with pytest.raises(EmscoutError, match=sentence):
            locate([folder], tmp_path / "out", CrystalOptions(knowledge=str(tmp_path / name)))
    assert not (tmp_path / "out").exists()


def test_no_readable_image_is_an_error(tmp_path):
    (tmp_path / "bad.tif").write_text("no image")
    with pytest.raises(ReadError, match=r"bad\.tif"):
        locate([tmp_path], tmp_path / "out")


def test_an_all_black_image_is_an_error_that_says_what_to_do(tmp_path):
    write(tmp_path / "black.tif", np.zeros((100, 100), np.uint16))
    with pytest.raises((NothingToFindError, UsageError)) as caught:
        locate([tmp_path], tmp_path / "out", CrystalOptions(grid="10x10"))
    assert len(str(caught.value)) < 300


def test_other_results_are_not_overwritten_unasked(folder, found, tmp_path):
    out = tmp_path / "out"
    locate([folder], out, CrystalOptions(grid="8x8"))
    before = (out / "tiles.csv").read_bytes()
    for options, images in (
        (CrystalOptions(grid="9x9"), [folder]),
        (CrystalOptions(grid="8x8"), [folder / "Tile_001-001.tif"]),
    ):
        with pytest.raises(OutputError, match="`overwrite"):
            locate(images, out, options)
    assert (out / "tiles.csv").read_bytes() == before
    locate([folder / "Tile_002-002.tif"], out, CrystalOptions(grid="9x9"), overwrite=True)
    assert written(out) == (FILES - {name for name in FILES if "/" in name} - {"mosaic.png"}) | {
        "heat_maps/Tile_002-002.png"
    }


def test_files_of_others_are_not_touched(folder, tmp_path):
    (tmp_path / "report.html").write_text("mine")
    with pytest.raises(OutputError, match="files of your own"):
        locate([folder], tmp_path, CrystalOptions(grid="8x8"))
    assert (tmp_path / "report.html").read_text() == "mine"


def test_an_interrupted_run_leaves_no_half_file(folder, tmp_path):
    def interrupt(done, total, what):
        if what.startswith("drawing dendrogram"):
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        locate([folder], out, CrystalOptions(grid="8x8"), progress=interrupt)
    assert not [path for path in out.rglob("*") if "tmp" in path.name]
    assert not (out / "report.html").exists()
    locate([folder], out, CrystalOptions(grid="8x8"))
    assert written(out) == FILES


def test_progress_goes_forward_to_its_end(folder, tmp_path):
    seen = []
    locate(
        [folder], tmp_path, CrystalOptions(grid="8x8"), progress=lambda done, total, what: seen.append((done, total))
    )
    assert all(0 <= done <= total for done, total in seen)
    assert seen[-1][0] == seen[-1][1]


def test_the_network_takes_no_noise_for_crystals(tmp_path):
    faint = make_overview((1, 2), contrast=0.15, noise=0.05, n_crystals=8, seed=3)
    (tmp_path / "images").mkdir()
    for name, micrograph in faint.images.items():
        write(tmp_path / "images" / f"{name}.tif", micrograph.image)
    tiles = locate([tmp_path / "images"], tmp_path / "out", CrystalOptions(network=True)).tables["tiles"]
    lattice = cut_grid((400, 400), 20, 20)
    held = np.concatenate([black_share(mask, lattice).ravel() for mask in faint.crystals.values()])
    target = tiles["target"].to_numpy(bool)
    assert target[held > 0.5].mean() > 0.7
    assert target[held == 0].mean() < 0.05


@pytest.fixture(scope="module")
def printed(overview):
    """An image of the set with a scale bar of 100 px for 500 nm on a plate."""
    image = overview.images["Tile_001-001"].image
    grey = (image / image.max() * 255).astype(np.uint8)
    return print_scale("500 nm", "box", length_px=100, ground="plate", ink=0, font_px=16, image=grey)[0]


def test_the_printed_scale_counts_where_the_file_says_none(printed, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", printed)
    report = locate([tmp_path / "a.tif"], tmp_path / "out", CrystalOptions(grid="15x15"))
    row = report.tables["images"].iloc[0]
    assert row["calibration_source"] == "scale-bar"
    assert row["nm_per_px"] == pytest.approx(5, rel=0.03)


def test_nothing_is_in_nm_where_file_and_bar_disagree_until_one_is_trusted(printed, tmp_path):
    write(tmp_path / "a.tif", printed, nm_per_px=2.5)
    found = {
        trust: locate([tmp_path / "a.tif"], tmp_path / str(trust), CrystalOptions(grid="15x15", trust=trust)).tables
        for trust in (None, "metadata", "bar")
    }
    rows = {trust: tables["images"].iloc[0] for trust, tables in found.items()}
    assert pd.isna(rows[None]["nm_per_px"]) and "`trust" in rows[None]["calibration_note"]
    assert not [name for name in found[None]["targets"] if name.endswith("_nm")]
    assert rows["metadata"]["nm_per_px"] == pytest.approx(2.5)
    assert rows["bar"]["nm_per_px"] == pytest.approx(5, rel=0.03)


def test_a_scale_bar_is_no_crystal(printed, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", printed)
    tiles = locate([tmp_path / "a.tif"], tmp_path / "out", CrystalOptions(grid="15x15")).tables["tiles"]
    plate = np.asarray(printed)[-60:, :] == 255
    rows, cols = np.nonzero(plate)
    under = tiles[
        tiles["row"].between((240 + rows.min()) // 20, (240 + rows.max()) // 20)
        & tiles["col"].between(cols.min() // 20, cols.max() // 20)
    ]
    assert len(under) >= 4
    assert not under["target"].any()


def test_several_processes_write_the_same_bytes(found, folder, tmp_path):
    (tmp_path / "bad.tif").write_text("no image")
    images = [folder, tmp_path / "bad.tif"]
    outs = [tmp_path / f"by_{workers}" for workers in (1, 2)]
    for out, workers in zip(outs, (1, 2), strict=True):
        locate(images, out, CrystalOptions(grid="15x15"), workers=workers)
    for name in sorted(written(outs[0]) - {"report.html"}):  # which names the folder it was written to
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes(), name
    assert (outs[1] / "tiles.csv").read_bytes() == (found.folder / "tiles.csv").read_bytes()


def test_a_report_shows_any_number_of_clusters(folder, tmp_path):
    report = locate([folder / "Tile_002-002.tif"], tmp_path, CrystalOptions(grid="15x15", clusters=40))
    assert report.tables["tiles"]["cluster"].max() == 40
    (panel,) = json.loads(
        re.search(r"var panels = (\[.*?\]), scoreCharacters", (tmp_path / "report.html").read_text("utf-8"))[1]
    )
    assert panel["cluster"] == report.tables["tiles"]["cluster"].fillna(0).astype(int).tolist()


def test_warnings_are_the_same_in_report_table_and_page(tmp_path):
    film = make_overview((1, 2), (200, 200), n_crystals=0, bars=False, seed=3)
    for name, micrograph in film.images.items():
        write(tmp_path / f"{name}.tif", micrograph.image)
    report = locate([tmp_path], tmp_path / "out", CrystalOptions(grid="10x10"))
    (notice,) = report.warnings
    saved = pd.read_csv(tmp_path / "out" / "images.csv")
    assert (saved["warnings"] == f"[empty] {notice}").all()
    assert notice.sentence in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
