"""Panels in memory: what `mine` measures, without files."""

import numpy as np
import pytest
from PIL import Image

import emscout as em
from emscout.literature.mine import LiteratureOptions, mine
from emscout.synthetic.figure import make_figure


def test_panels_in_memory_are_those_of_the_folder(composite, tmp_path):
    Image.fromarray(composite.image).save(tmp_path / "figure.png")
    options = LiteratureOptions(model="watershed")
    table = mine([tmp_path / "figure.png"], tmp_path / "out", options, workers=1).tables["figures"]
    for picture in (tmp_path / "figure.png", composite.image, em.read(tmp_path / "figure.png")):
        found = em.find_panels(picture)
        for name in ("panel", "kind", "top_px", "left_px", "height_px", "width_px"):
            assert found.table[name].tolist() == table[name].tolist()
        np.testing.assert_allclose(found.table["nm_per_px"].astype(float), table["nm_per_px"].astype(float), rtol=1e-6)
    measured = [row for row in table.to_dict("records") if row["status"] == "ok"]
    panels = [panel for panel in found.panels if panel.is_measurable]
    for panel, row in zip(panels, measured, strict=True):
        result = em.find_particles(panel.micrograph, options.for_particles(), hidden=panel.hidden)
        assert result.summary["count"] == row["count"]
        assert result.summary["d50_nm"] == pytest.approx(row["d50_nm"], rel=1e-6)


def test_a_caption_names_the_technique_and_must_agree_with_the_bar():
    figure = make_figure((1,), letters="none", seed=30)
    (panel,) = em.find_panels(figure.image, caption="Figure 1. TEM of gold.").panels
    assert panel.technique == "TEM" and panel.micrograph.nm_per_px and panel.scale
    found = em.find_panels(figure.image, caption="Figure 1. TEM of gold. Scale bar: 3 µm.")
    (notice,) = found.warnings
    assert notice.code == "pixel-size" and notice.image == "1" and "caption says 3 µm" in notice.sentence
    assert found.panels[0].micrograph.calibration is None
    assert "caption says 3 µm" in found.table["warnings"][0]


def test_a_contradiction_is_a_warning_of_the_run_in_table_report_and_python(tmp_path, write_paper):
    figure = make_figure((1,), letters="none", seed=30)
    write_paper(tmp_path / "paper.pdf", [figure.image], ["Figure 1. TEM of gold. Scale bar: 3 µm."])
    report = mine([tmp_path / "paper.pdf"], tmp_path / "out", LiteratureOptions(model="watershed"), workers=1)
    assert "pixel-size" in [notice.code for notice in report.warnings]
    assert {notice.image for notice in report.warnings} == {"paper_fig1_1"}
    assert "caption says 3 µm" in report.tables["figures"]["warnings"][0]
    assert "caption says 3 µm" in (tmp_path / "out" / "reports" / "paper.html").read_text(encoding="utf-8")


def test_a_grey_picture_of_any_dtype_is_a_figure():
    grey = make_figure((1,), letters="none", seed=3).image[..., 0]
    wide = (grey.astype(np.uint16) + 5) * 100
    assert [panel.kind for panel in em.find_panels(wide).panels] == ["micrograph"]
    with pytest.raises(em.ReadError):
        em.find_panels("nowhere.png")
