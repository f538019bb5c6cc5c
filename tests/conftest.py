import os
from pathlib import Path

import pytest
import tifffile

from emscout.synthetic.particles import make_micrograph


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real images, which never travels with the project."""
    folder = Path(os.environ.get("EMSCOUT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real images here: set EMSCOUT_DATA to a folder of them")
    return folder


@pytest.fixture(scope="session")
def labelled_folder(tmp_path_factory):
    """Three small micrographs with label images."""
    folder = tmp_path_factory.mktemp("labelled")
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for seed in range(3):
        micrograph, labels, _ = make_micrograph((96, 112), n_particles=8, diameter_px=(20, 3), seed=seed)
        tifffile.imwrite(folder / "images" / f"scan_{seed}.tif", micrograph.image)
        tifffile.imwrite(folder / "labels" / f"scan_{seed}.tif", labels)
    return folder
