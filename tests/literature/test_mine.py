"""From documents to measured micrographs."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from emscout.errors import OutputError
from emscout.literature.mine import LiteratureOptions, mine
from emscout.literature.results import COLUMNS
from emscout.micrograph import Micrograph
from emscout.synthetic.figure import make_figure
from emscout.synthetic.particles import make_micrograph

OPTIONS = LiteratureOptions(model="watershed")
CAPTION = "Figure 1. TEM images of (a) gold and (b) silver; (c) their sizes."


@pytest.fixture(scope="module")
def folder(tmp_path_factory, composite, write_paper):
    """A paper, a figure, an article without its pictures, and a PDF that is none."""
    folder = tmp_path_factory.mktemp("papers")
    write_paper(folder / "paper.pdf", [composite.image], [CAPTION])
    Image.fromarray(make_figure((2,), seed=21, gutter_px=8).image).save(folder / "figure.png")
    (folder / "lost.html").write_text('<figure><img src="lost.png"><figcaption>Figure 1</figcaption></figure>')
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7 and no more")
    return folder


@pytest.fixture(scope="module")
def mined(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("mined") / "out"
    return mine([folder], out, OPTIONS, workers=1), out


def test_every_panel_has_a_row(mined, composite):
    report, out = mined
    table = report.tables["figures"]
    assert tuple(table.columns) == COLUMNS
    paper = table[table["document"] == "paper"]
    assert list(paper["panel"]) == ["a", "b", "c"]
    assert list(paper["kind"]) == ["micrograph", "micrograph", "plot"]
    assert set(paper["page"]) == {1}
    assert set(paper["caption"]) == {CAPTION}
    assert set(paper["doi"]) == {"10.1234/particles.2026.17"}
    assert list(paper["technique"][:2]) == ["TEM", "TEM"]
    assert list(paper["status"]) == ["ok", "ok", "left out"]
    for row, truth in zip(paper.to_dict("records"), composite.panels.to_dict("records"), strict=True):
        for side in ("top_px", "left_px", "height_px", "width_px"):
            assert abs(row[side] - truth[side]) <= 0.1 * max(truth["height_px"], truth["width_px"])
        with Image.open(out / "panels" / f"{row['image']}.png") as panel:
            assert panel.size == (row["width_px"], row["height_px"])
    pd.testing.assert_frame_equal(pd.read_csv(out / "figures.csv")[["image", "kind"]], table[["image", "kind"]])


def test_micrographs_are_measured_in_nm_by_their_bars(mined, composite):
    report, _ = mined
    table = report.tables["figures"]
    measured = table[(table["document"] == "paper") & table["count"].notna()]
    assert len(measured) == 2
    for row, truth in zip(measured.to_dict("records"), composite.panels.to_dict("records"), strict=False):
        assert row["nm_per_px"] == pytest.approx(truth["nm_per_px"], rel=0.02)
        assert row["calibration_source"] == "scale-bar"
        assert row["count"] == pytest.approx(truth["count"], rel=0.25)
        assert row["d50_nm"] == pytest.approx(row["d50_px"] * row["nm_per_px"])


def test_bad_documents_are_rows_and_end_nothing(mined):
    report, _ = mined
    table = report.tables["figures"].set_index("document")
    assert table.loc["broken", "status"] == "failed"
    assert "damaged" in table.loc["broken", "error"]
    assert "is in its folder" in table.loc["lost", "error"]
    assert (table.loc["figure", "status"] == "ok").all()


def test_a_page_a_document_with_its_pictures(mined):
    _, out = mined
    page = (out / "reports" / "paper.html").read_text(encoding="utf-8")
    for text in ("TEM images of", "10.1234/particles.2026.17", "../measured/paper/report.html", "data:image/jpeg"):
        assert text in page
    assert 'src="http' not in page
    assert (out / "measured" / "paper" / "particles.csv").exists()
    assert len(list((out / "overviews").iterdir())) == 2


def test_it_resumes_and_gives_the_same_bytes(mined, folder, tmp_path):
    _, out = mined
    copy = tmp_path / "copy"
    shutil.copytree(out, copy)
    before = (copy / "figures.csv").read_bytes()
    kept = copy / "panels" / "paper_fig1_a.png"
    kept.write_bytes(b"not done again")
    calls = []
    mine([folder], copy, OPTIONS, workers=1, progress=lambda done, total, name: calls.append((done, total)))
    assert kept.read_bytes() == b"not done again"
    assert (copy / "figures.csv").read_bytes() == before
    assert calls[-1] == (4, 4)
    finished = json.loads((copy / ".finished" / "paper.json").read_text())
    finished["source"]["sha256"] = "another document"
    (copy / ".finished" / "paper.json").write_text(json.dumps(finished))
    mine([folder], copy, OPTIONS, workers=1)
    assert kept.read_bytes() != b"not done again"
    assert (copy / "figures.csv").read_bytes() == before


def test_other_options_do_not_overwrite(mined, folder):
    _, out = mined
    with pytest.raises(OutputError, match="`overwrite"):
        mine([folder], out, LiteratureOptions(model="watershed", seed=1))


def bar_without_label(length_px):
    micrograph, _, _ = make_micrograph((220, 300), n_particles=20, nm_per_px=None, seed=5)
    image = micrograph.image.copy()
    image[196:204, 180 : 180 + length_px] = 0
    assert isinstance(micrograph, Micrograph)
    return np.repeat(image[..., None], 3, axis=2)


@pytest.mark.parametrize(
    ("caption", "nm_per_px", "note"),
    [
        ("Figure 1. TEM of gold. Scale bar: 50 nm.", 0.5, "caption"),
        ("Figure 1. TEM of gold.", None, "no length"),
        ("Figure 1. SAED pattern of gold. Scale bar: 50 nm.", None, None),
    ],
)
def test_a_bar_without_label_takes_its_length_from_the_caption(tmp_path, write_paper, caption, nm_per_px, note):
    write_paper(tmp_path / "paper.pdf", [bar_without_label(100)], [caption])
    table = mine([tmp_path / "paper.pdf"], tmp_path / "out", OPTIONS, workers=1).tables["figures"]
    (row,) = table.to_dict("records")
    if note is None:
        assert row["status"] == "left out"
        return
    assert note in row["scale_note"]
    if nm_per_px is None:
        assert pd.isna(row["nm_per_px"])
    else:
        assert row["nm_per_px"] == pytest.approx(nm_per_px, rel=0.03)


def test_bar_and_caption_that_disagree_give_no_scale(tmp_path, write_paper):
    figure = make_figure((1,), letters="none", seed=30)
    write_paper(tmp_path / "paper.pdf", [figure.image], ["Figure 1. TEM of gold. Scale bar: 3 µm."])
    (row,) = mine([tmp_path / "paper.pdf"], tmp_path / "out", OPTIONS, workers=1).tables["figures"].to_dict("records")
    assert pd.isna(row["nm_per_px"])
    assert "caption says 3 µm" in row["scale_note"]
    assert row["count"] > 0
