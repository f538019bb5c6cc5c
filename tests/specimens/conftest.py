import pytest

from emscout.synthetic.specimens import write_specimens


@pytest.fixture(scope="session")
def specimens(tmp_path_factory):
    """A folder of synthetic pictures, a folder a kind, two pictures a source."""
    folder = tmp_path_factory.mktemp("specimens")
    write_specimens(folder, 12)
    return folder
