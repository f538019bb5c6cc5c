import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tests.report.conftest import CENTRES, SHAPE, disc_labels, particle_table

from emscout.micrograph import Notice
from emscout.particles.aggregates import measure_aggregates
from emscout.particles.report.page import write_page
from emscout.report.overlay import draw_overlay, draw_uncertainty, write_png

PROVENANCE = {
    "emscout": "0.1.0",
    "python": "3.12.1",
    "libraries": {"numpy": "2.4.0"},
    "options": {"polarity": "auto", "min_diameter": None, "split": True, "seed": 0},
}
NASTY = '<b>scan</b>&"1"'


class Page(HTMLParser):
    """The text of a page, its tags in order, and what it refers to."""

    def __init__(self, path):
        super().__init__()
        self.html = path.read_text(encoding="utf-8")
        self.tags, self.texts, self.references, self.ids = [], [], [], []
        self.feed(self.html)
        self.text = re.sub(r"\s+", " ", " ".join(self.texts))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.references += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_data(self, data):
        if self.tags[-1:] not in (["style"], ["script"]):
            self.texts.append(data)

    def pictures(self):
        for reference in self.references:
            if reference.startswith("data:image/jpeg;base64,"):
                yield Image.open(io.BytesIO(base64.b64decode(reference.partition(",")[2])))


def one_image(name, nm_per_px):
    """Row and tables of one image as the analysis makes them."""
    particles = particle_table(disc_labels(CENTRES), nm_per_px)
    unit, factor = ("px", 1.0) if nm_per_px is None else ("nm", nm_per_px)
    inside = particles[~particles["touches_border"]]
    diameters = inside["equivalent_circular_diameter_px"] * factor
    row = {
        "image": name,
        "path": f"somewhere/{name}.tif",
        "sha256": "ab" * 32,
        "height_px": SHAPE[0],
        "width_px": SHAPE[1],
        "nm_per_px": nm_per_px,
        "calibration_source": None if nm_per_px is None else "metadata",
        f"d10_{unit}": diameters.quantile(0.1),
        f"d50_{unit}": diameters.median(),
        f"d50_{unit}_low": diameters.median() * 0.98,
        f"d50_{unit}_high": diameters.median() * 1.02,
        f"d90_{unit}": diameters.quantile(0.9),
        "coverage": 0.0413,
        "coverage_low": 0.031,
        "coverage_high": 0.052,
        "status": "ok",
        "error": "",
    }
    distributions = pd.DataFrame(
        {
            "quantity": ["equivalent_circular_diameter", "aspect_ratio"],
            "bin_low": [diameters.min(), 1.0],
            "bin_high": [diameters.max() + 1, 1.1],
            "unit": [unit, ""],
            "count": [len(inside)] * 2,
        }
    )
    radial = pd.DataFrame({"r_px": [10.0, 20.0], "g": [0.0, 1.2], "g_error": [np.nan, 0.3], "pairs": [0, 5]})
    aggregates = measure_aggregates(particles, disc_labels(CENTRES), nm_per_px)
    return row, {
        "particles": particles,
        "aggregates": aggregates,
        "distributions": distributions,
        "radial_distribution": radial,
    }


def run_of(images, folder):
    """Arguments of `write_page` for a run over (name, nm_per_px) pairs."""
    rows, parts = [], {"particles": [], "aggregates": [], "distributions": [], "radial_distribution": []}
    for name, nm_per_px in images:
        row, tables = one_image(name, nm_per_px)
        rows.append(row)
        for kind, table in tables.items():
            parts[kind].append(table.assign(image=name))
    labels = disc_labels(CENTRES)
    write_png(folder / "overlay.png", draw_overlay(labels, labels, particle_table(labels)))
    overlays = {name: folder / "overlay.png" for name, _ in images}
    tables = {kind: pd.concat(tables, ignore_index=True) for kind, tables in parts.items()}
    tables["images"] = pd.DataFrame(rows)
    return {"tables": tables, "overlays": overlays, "uncertainties": {}, "provenance": PROVENANCE}


def page_of(run, folder):
    write_page(folder / "report.html", **run)
    return Page(folder / "report.html")


@pytest.mark.parametrize("images", [[("a", 0.5)], [("a", 0.5), ("b", None)], [(f"i{n}", 0.5) for n in range(60)]])
def test_a_page_needs_nothing_but_itself(images, tmp_path):
    page = page_of(run_of(images, tmp_path), tmp_path)
    assert all(reference.startswith(("data:", "#")) for reference in page.references)
    assert not re.search(r"url\(|@import|https?://", page.html)
    assert len(page.ids) == len(set(page.ids))
    for reference in page.references:
        assert reference.startswith("data:") or reference[1:] in page.ids


@pytest.mark.parametrize("images", [[("a", 0.5)], [("a", 0.5), ("b", None)]])
def test_the_same_results_give_the_same_bytes(images, tmp_path):
    run = run_of(images, tmp_path)
    pages = [page_of(run, tmp_path).html for _ in range(2)]
    assert pages[0] == pages[1]


def test_figures_have_units_and_intervals(tmp_path):
    page = page_of(run_of([("a", 0.5)], tmp_path), tmp_path)
    assert "0.5 nm/px, from the file's metadata" in page.text
    # A disc of radius 12 px has 441 pixels: 23.70 px across, and pixels of 0.5 nm make that 11.85 nm.
    assert "D50 (median) 11.85 11.61 – 12.08 nm" in page.text
    assert "Area covered 4.1 3.1 – 5.2 %" in page.text
    assert "uncalibrated: lengths in px" not in page.text


@pytest.mark.parametrize(
    ("nm_per_px", "said"), [(0.5, "0.5"), (1200.0, "1200"), (3.13884, "3.139"), (0.0122, "0.0122")]
)
def test_the_pixel_size_has_no_invented_zeros(nm_per_px, said, tmp_path):
    page = page_of(run_of([("a", nm_per_px)], tmp_path), tmp_path)
    assert f" {said} nm/px" in page.text


def test_an_uncalibrated_image_is_called_that_and_has_no_nm(tmp_path):
    page = page_of(run_of([("a", None)], tmp_path), tmp_path)
    before_the_end = page.text.partition("How this was made")[0]
    assert "uncalibrated: lengths in px" in before_the_end
    assert not re.search(r"\bnm\b", before_the_end)


def test_particles_cut_by_the_border_are_counted(tmp_path):
    page = page_of(run_of([("a", 0.5)], tmp_path), tmp_path)
    assert "5 particles; 1 cut by the border and left out" in page.text
    assert "n = 4, 1 cut by the image border excluded" in page.text


def test_calibrated_and_uncalibrated_are_pooled_apart(tmp_path):
    page = page_of(run_of([("a", 0.5), ("b", None), ("c", 2.0)], tmp_path), tmp_path)
    assert "8 particles of 2 calibrated images" in page.text
    assert "4 particles of 1 uncalibrated image" in page.text


def test_names_are_text_and_never_markup(tmp_path):
    run = run_of([(NASTY, 0.5), ("b", 0.5)], tmp_path)
    run["tables"]["images"].loc[1, ["status", "error"]] = "failed", "<script>alert(1)</script>"
    page = page_of(run, tmp_path)
    assert NASTY in page.text
    assert "<b>scan" not in page.html
    assert "<script>alert" not in page.html


def test_failures_are_listed_and_have_no_section(tmp_path):
    run = run_of([("a", 0.5)], tmp_path)
    failed = {"image": "bad", "path": "bad.dm3", "status": "failed", "error": "bad.dm3 is empty: copy it again."}
    run["tables"]["images"] = pd.concat([run["tables"]["images"], pd.DataFrame([failed])], ignore_index=True)
    page = page_of(run, tmp_path)
    assert "bad : bad.dm3 is empty: copy it again." in page.text
    assert "image-1" in page.ids
    assert "image-2" not in page.ids


def test_frames_that_fail_alike_are_listed_once(tmp_path):
    run = run_of([(f"stack_f000{n}", 0.5) for n in range(4)], tmp_path)
    run["tables"]["images"].loc[1:, ["status", "error"]] = "failed", "stack.dm4 has pixels that are not square."
    page = page_of(run, tmp_path)
    assert page.text.count("stack.dm4 has pixels that are not square.") == 1
    assert "stack_f0001 to stack_f0003 (3 images): stack.dm4 has" in page.text


def test_a_run_in_which_all_failed_has_a_page(tmp_path):
    nothing = pd.DataFrame({"image": []})
    images = pd.DataFrame({"image": ["bad"], "path": ["bad.dm3"], "status": ["failed"], "error": ["bad.dm3 is empty."]})
    kinds = ("particles", "aggregates", "distributions", "radial_distribution")
    tables = {"images": images} | dict.fromkeys(kinds, nothing)
    page = page_of({"tables": tables, "overlays": {}, "uncertainties": {}, "provenance": PROVENANCE}, tmp_path)
    assert "bad.dm3 is empty." in page.text


def test_an_image_without_particles_says_why(tmp_path):
    run = run_of([("a", 0.5), ("none", 0.5)], tmp_path)
    tables = run["tables"]
    for kind in ("particles", "aggregates", "distributions", "radial_distribution"):
        tables[kind] = tables[kind][tables[kind]["image"] == "a"]
    summary = [column for column in tables["images"] if column.startswith(("d10", "d50", "d90", "coverage"))]
    tables["images"].loc[1, summary] = np.nan
    tables["images"].loc[1, "status"] = "empty"
    run["warnings"] = [Notice("empty", "none.tif shows no particles.", "Try another `diameter`.", "none")]
    page = page_of(run, tmp_path)
    assert "none.tif shows no particles." in page.text
    assert "diameter" in page.text and "`" not in page.text
    assert "0 particles" in page.text
    assert not re.search(r"\bnan\b", page.text, re.IGNORECASE)


def test_summary_columns_that_are_not_there_are_left_out(tmp_path):
    run = run_of([("a", 0.5), ("b", None)], tmp_path)
    images = run["tables"]["images"]
    run["tables"]["images"] = images[["image", "nm_per_px", "calibration_source", "status", "error"]]
    page = page_of(run, tmp_path)
    assert "D50" not in page.text.partition("a 0.5 nm/px")[2].partition("How this was made")[0]


def test_many_images_get_small_pictures_and_no_section_each(tmp_path):
    run = run_of([(f"i{n}", 0.5) for n in range(51)], tmp_path)
    page = page_of(run, tmp_path)
    pictures = list(page.pictures())
    assert len(pictures) == 51
    assert max(max(picture.size) for picture in pictures) <= 320
    assert "Particles one by one" not in page.text
    assert "204 particles of 51 calibrated images" in page.text


def test_pictures_share_what_a_page_may_weigh(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (1200, 1600, 3), dtype=np.uint8)
    run = run_of([(f"i{n}", 0.5) for n in range(20)], tmp_path)
    for overlay in run["overlays"].values():
        write_png(overlay, noise)
    page = page_of(run, tmp_path)
    sides = [max(picture.size) for picture in page.pictures()]
    assert len(sides) == 20 and 240 <= min(sides) == max(sides) < 1600
    assert (tmp_path / "report.html").stat().st_size < 20_000_000  # a page to send by mail


def test_options_and_versions_are_shown(tmp_path):
    page = page_of(run_of([("a", 0.5)], tmp_path), tmp_path)
    for text in ("polarity auto", "min_diameter not set", "split yes", "seed 0", "emscout 0.1.0", "numpy 2.4.0"):
        assert text in page.text


@pytest.mark.parametrize(
    ("value", "low", "high", "said"),
    [
        (4.3978, 4.326, 4.468, "4.398 4.326 – 4.468"),
        (12583.0, 11795.0, 13385.0, "12580 11800 – 13380"),
        (0.00123456, 0.0011, 0.0013, "0.00123 0.00110 – 0.00130"),
        (34567.0, np.nan, np.nan, "34570"),
        (5.0, 5.0, 5.0, "5.000"),
    ],
)
def test_numbers_have_the_digits_their_interval_is_worth(value, low, high, said, tmp_path):
    run = run_of([("a", 0.5)], tmp_path)
    run["tables"]["images"][["d50_nm", "d50_nm_low", "d50_nm_high"]] = value, low, high
    page = page_of(run, tmp_path)
    assert f"D50 (median) {said} nm" in page.text


@pytest.mark.parametrize(("per_um2", "said"), [(85.0, "85.00 per µm²"), (1.2e7, "12.00 per nm²")])
def test_density_has_a_suitable_unit(per_um2, said, tmp_path):
    run = run_of([("a", 0.5)], tmp_path)
    run["tables"]["images"]["number_density_per_um2"] = per_um2
    assert f"Number density {said}" in page_of(run, tmp_path).text


def test_doubtful_particles_come_first_and_dropped_ones_are_counted(tmp_path):
    run = run_of([("a", 0.5)], tmp_path)
    count = len(run["tables"]["particles"])
    run["tables"]["particles"]["probability"] = np.linspace(0.91, 0.12, count)
    run["tables"]["images"]["count_dropped"] = 3
    write_png(tmp_path / "unsure.png", draw_uncertainty(np.zeros(SHAPE, np.float32)))
    page = page_of(run | {"uncertainties": {"a": tmp_path / "unsure.png"}}, tmp_path)
    assert "3 more found but dropped" in page.html
    assert "Where the network is unsure" in page.html
    assert page.html.index(">0.1200<") < page.html.index(">0.9100<")
