"""The app in a real browser: clicks on tiles, keys, and what is seen to change."""

import base64
import os
import shutil

import pandas as pd
import pytest

from emscout.app.pages import PAGES

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: make browser installs it where it can")


@pytest.fixture(scope="module")
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with api.sync_playwright() as playwright:
        # Chromium's own sandbox refuses to run as root, as containers do.
        arguments = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium, address):
    """The start page, opened as the app opens it; nothing foreign may be asked for and no script may fail."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    page, faults = context.new_page(), []
    page.set_default_timeout(20_000)
    page.on("pageerror", lambda error: faults.append(str(error)))
    # A refused answer is told as a fault of the network; the page says it in a sentence.
    page.on("console", lambda one: one.type == "error" and "400" not in one.text and faults.append(one.text))
    own = address.split("?")[0]
    page.on("request", lambda request: request.url.startswith((own, "data:")) or faults.append(request.url))
    page.goto(address)
    yield page
    context.close()
    assert not faults


@pytest.fixture
def locator(page, overview):
    """The locator's page after a search of the overview images, chosen by clicking."""
    page.get_by_role("link", name=PAGES["locate"].question).click()
    page.locator("#count").get_by_text("mage").wait_for(state="attached")
    if page.locator("#ask").get_attribute("open") is None:
        page.locator("#ask > summary").click()
    page.fill("#path", str(overview.parent))
    page.click("#look")
    page.locator("#folders").get_by_role("button", name="overview").click()
    page.get_by_text("2 image files").wait_for()
    page.fill("[name=grid]", "8x8")
    with page.expect_response("**/locate/picture/1*"):
        page.click("#search")
    page.wait_for_selector("#ask:not([open])")
    return page


def point(page, image, row, col):
    """Where a tile of an image in 8 x 8 tiles is on the screen."""
    canvas = page.locator("#mosaic canvas").nth(image)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    return box["x"] + (col + 0.5) * box["width"] / 8, box["y"] + (row + 0.5) * box["height"] / 8


def click_tile(page, image, row, col):
    with page.expect_response("**/locate/answer") as answered:
        page.mouse.click(*point(page, image, row, col))
    return answered.value.json()


def dull_tile(judged, image=0):
    """Row and column of a tile that is film, not answered for, and as far from crystal as any of its image."""
    cluster, score = (base64.b64decode(judged["tiles"][image][what]) for what in ("cluster", "score"))
    answered = [(one["row"], one["col"]) for one in judged["answers"] if one["image"] == image]
    free = [i for i in range(64) if cluster[i] and divmod(i, 8) not in answered]
    return divmod(min(free, key=lambda i: score[i]), 8)


def judged_now(page):
    return page.evaluate("fetch('/locate/state').then((answer) => answer.json()).then((state) => state.judged)")


def test_clicked_tiles_become_targets_and_cease_to_be(locator):
    before = judged_now(locator)
    row, col = dull_tile(before)
    click_tile(locator, 0, row, col)
    said = locator.locator("#says")
    said.get_by_text("you said: crystal").wait_for()
    assert "target" in said.inner_text()
    locator.locator("#how").get_by_text("1 example").wait_for()
    n_targets = int(locator.locator("#n-targets").inner_text())
    assert n_targets == len(judged_now(locator)["targets"]) == locator.locator("#targets tr").count()
    click_tile(locator, 0, row, col)
    said.get_by_text("you said: not crystal").wait_for()
    assert "target" not in said.inner_text()
    click_tile(locator, 0, row, col)
    locator.get_by_text("No answer yet").wait_for()
    assert judged_now(locator) == before


def test_it_can_be_taught_without_a_mouse(locator):
    first = locator.locator("#asked-tile").inner_text()
    with locator.expect_response("**/locate/answer"):
        locator.keyboard.press("y")
    locator.locator("#asked-tile").filter(has_not_text=first).wait_for()
    with locator.expect_response("**/locate/answer"):
        locator.keyboard.press("n")
    locator.get_by_text("2 answers so far").wait_for()
    row, col = dull_tile(judged_now(locator), image=1)
    locator.locator("#mosaic canvas").nth(1).focus()
    for key, steps in (("ArrowDown", row - 4), ("ArrowRight", col - 4)):
        opposite = {"ArrowDown": "ArrowUp", "ArrowRight": "ArrowLeft"}[key]
        for _ in range(abs(steps)):
            locator.keyboard.press(key if steps > 0 else opposite)
    with locator.expect_response("**/locate/answer"):
        locator.keyboard.press("Space")
    locator.get_by_text("3 answers so far").wait_for()
    assert {"image": 1, "row": row, "col": col, "crystal": True} in judged_now(locator)["answers"]
    locator.click("#forget")
    locator.get_by_text("No answer yet").wait_for()


def test_a_chosen_cluster_is_kept_when_the_tab_is_closed_and_saved(locator, tmp_path):
    locator.locator("[name=clusters][value='4']").check()
    locator.locator("#clusters").get_by_role("button", name="cluster 4").click()
    locator.locator("#how").get_by_text("cluster 4, as requested").wait_for()
    locator.reload()
    locator.locator("#how").get_by_text("cluster 4, as requested").wait_for()
    assert locator.locator("#clusters [aria-pressed=true]").inner_text().startswith("cluster 4")
    locator.fill("#out", str(tmp_path / "found"))
    locator.click("#save")
    with locator.context.expect_page() as opened:
        locator.get_by_role("link", name="open the report").click()
    opened.value.get_by_text("cluster 4, as requested").first.wait_for()
    assert locator.locator("#saved-in").inner_text() == str(tmp_path / "found")
    assert (tmp_path / "found" / "targets.csv").exists()


def test_a_wrong_option_is_a_sentence_in_the_page(locator):
    locator.locator("#ask > summary").click()
    locator.fill("[name=grid]", "many")
    locator.locator("#search").click()
    locator.get_by_role("alert").get_by_text("'many' is not a grid").wait_for()


def test_particles_are_outlined_and_listed(page, micrographs, tmp_path):
    page.get_by_role("link", name=PAGES["analyze"].question).click()
    page.locator("#count").get_by_text("mage").wait_for(state="attached")
    page.fill("#path", str(micrographs))
    page.fill("[name=model]", "watershed")
    page.fill("#out", str(tmp_path / "out"))
    page.click("#run")
    page.get_by_role("button", name="scan_1").click()
    page.locator("#one-title").get_by_text("scan_1").wait_for()
    assert page.locator("#overlay").evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    assert page.locator("#particles tr").count() > 3
    assert "nm" in page.locator("#columns").inner_text()
    assert page.get_by_text("bad.tif").is_visible()

    # The row of the table, the particle in the picture, and back.
    particles = pd.read_csv(tmp_path / "out" / "particles.csv")
    first = particles[particles["image"] == "scan_1"].iloc[2]
    page.locator("#particles").get_by_role("button", name=str(first["label"]), exact=True).click()
    marked, picture = page.locator("#mark").bounding_box(), page.locator("#overlay").bounding_box()
    per_px = picture["width"] / 160
    x, y = picture["x"] + (first["col_px"] + 0.5) * per_px, picture["y"] + (first["row_px"] + 0.5) * per_px
    assert (marked["x"] + marked["width"] / 2, marked["y"] + marked["height"] / 2) == pytest.approx((x, y), abs=1)
    page.mouse.move(x, y)
    tip = page.locator("#tip").inner_text()
    assert f"label: {first['label']}" in tip.splitlines()
    assert f"(nm): {float(f'{first.equivalent_circular_diameter_nm:.3g}'):g}" in tip
    other = particles[particles["image"] == "scan_1"].iloc[0]
    page.mouse.click(picture["x"] + (other["col_px"] + 0.5) * per_px, picture["y"] + (other["row_px"] + 0.5) * per_px)
    assert page.locator("#particles tr.chosen td").first.inner_text() == str(other["label"])


def test_the_report_of_pictures_that_were_named_is_in_the_page(page, micrographs, tmp_path):
    page.get_by_role("link", name=PAGES["classify"].question).click()
    page.locator("#count").get_by_text("mage").wait_for(state="attached")
    page.fill("#path", str(micrographs))
    page.fill("#out", str(tmp_path / "out"))
    page.click("#run")
    page.frame_locator("#report").get_by_text("scan_1").first.wait_for()
    assert page.locator("#saved-in").inner_text() == str(tmp_path / "out")
