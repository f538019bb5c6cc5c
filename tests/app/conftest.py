"""The app, its server, and a folder of overview images to search."""

import re
import subprocess
import sys
import time

import pytest
import tifffile
from fastapi.testclient import TestClient

from emscout.app.server import make_app
from emscout.synthetic.overview import make_overview
from emscout.synthetic.particles import make_micrograph

PORT, TOKEN = 8123, "the-token"


@pytest.fixture
def client_without_token():
    """A browser that has not opened the address with the token."""
    return TestClient(
        make_app(port=PORT, token=TOKEN), base_url=f"http://127.0.0.1:{PORT}", raise_server_exceptions=False
    )


@pytest.fixture
def client(client_without_token):
    assert client_without_token.get("/", params={"token": TOKEN}).status_code == 200
    return client_without_token


@pytest.fixture
def finish():
    """Wait for the job of a client to end; the job."""

    def wait(client, seconds=60):
        end = time.monotonic() + seconds
        while (job := client.get("/job").json())["state"] == "running":
            assert time.monotonic() < end
            time.sleep(0.02)
        return job

    return wait


@pytest.fixture
def searched(client, finish, overview):
    """A client that has searched the overview images in 8 x 8 tiles."""
    client.post("/locate/search", json={"path": str(overview), "options": {"grid": "8x8"}})
    assert finish(client)["state"] == "done"
    return client


@pytest.fixture(scope="session")
def overview(tmp_path_factory):
    folder = tmp_path_factory.mktemp("grids") / "overview"
    folder.mkdir()
    for name, micrograph in make_overview((1, 2), (160, 160), n_crystals=6, diameter_px=(30, 4), seed=2).images.items():
        tifffile.imwrite(folder / f"{name}.tif", micrograph.image)
    return folder


@pytest.fixture(scope="session")
def micrographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("micrographs")
    for seed in range(2):
        micrograph, _, _ = make_micrograph((128, 160), n_particles=8, seed=seed)
        nm = {"unit": "nm"}
        tifffile.imwrite(folder / f"scan_{seed}.tif", micrograph.image, imagej=True, resolution=(2, 2), metadata=nm)
    (folder / "bad.tif").write_text("no image")
    return folder


@pytest.fixture(scope="session")
def address():
    """``emscout app`` as a user starts it: the address it writes."""
    command = [sys.executable, "-m", "emscout", "app", "--no-browser"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        yield re.search(r"http://\S+", running.stdout.readline())[0]
    finally:
        running.terminate()
        running.communicate(timeout=20)
