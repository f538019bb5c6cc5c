import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real images, which never travels with the project."""
    folder = Path(os.environ.get("EMSCOUT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real images here: set EMSCOUT_DATA to a folder of them")
    return folder
