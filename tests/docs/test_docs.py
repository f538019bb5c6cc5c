"""Every command and every Python block of the docs runs as it stands, in the order of its page."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from emscout.synthetic.figure import make_figure
from emscout.synthetic.movie import make_movie
from emscout.synthetic.overview import make_overview
from emscout.synthetic.particles import make_micrograph
from emscout.synthetic.specimens import write_specimens

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A folder as the pages assume it: calibrated images in micrographs/ and overview/, masks/ of the latter,
    heating.tif, papers/, specimens/."""
    folder = tmp_path_factory.mktemp("docs")
    (folder / "micrographs").mkdir()
    for seed in range(3):
        micrograph, _, _ = make_micrograph((256, 256), n_particles=15, nm_per_px=0.5, seed=seed)
        tifffile.imwrite(
            folder / "micrographs" / f"scan_{seed}.tif",
            micrograph.image,
            imagej=True,
            resolution=(2, 2),
            metadata={"unit": "nm"},
        )
    overview = make_overview()
    (folder / "overview").mkdir()
    (folder / "masks").mkdir()
    for name, micrograph in overview.images.items():
        tifffile.imwrite(
            folder / "overview" / f"{name}.tif",
            micrograph.image,
            imagej=True,
            resolution=(0.2, 0.2),
            metadata={"unit": "nm"},
        )
        tifffile.imwrite(folder / "masks" / f"{name}.tif", overview.crystals[name].astype("uint8") * 255)
    tifffile.imwrite(folder / "heating.tif", np.stack(make_movie(10, (160, 160), n_particles=25, seed=1).frames))
    write_specimens(folder / "specimens", 10)
    (folder / "papers").mkdir()
    Image.fromarray(make_figure((2,), kinds=("micrograph", "plot")).image).save(folder / "papers" / "figure_1.png")
    return folder


def blocks(page: Path) -> list[tuple[str, str]]:
    return re.findall(r"^```(bash|python)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_page_runs(page, bench):
    for language, text in blocks(page):
        if language == "python":
            run([sys.executable, "-c", text], bench)
            continue
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] == "emscout":
                run([sys.executable, "-m", *words], bench)


def run(command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_pages_have_something_to_run():
    assert sum(len(blocks(page)) for page in PAGES) >= 4
