"""What holds for every page there is."""

import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import emscout.app
from emscout.app.pages import PAGES

STATIC = Path(emscout.app.__file__).parent / "static"


def test_the_start_page_asks_every_question(client):
    page = client.get("/").text
    for name, entry in PAGES.items():
        assert f'href="/{name}"' in page
        assert entry.question in page


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(client, name):
    page = client.get(f"/{name}").text
    assert f"<h1>{PAGES[name].question}</h1>" in page
    labelled = set(re.findall(r'<label for="([^"]+)"', page))
    for field in re.findall(r"<(?:input|select)[^>]*>", page):
        identity = re.search(r'id="([^"]+)"', field)
        assert 'type="checkbox"' in field or 'type="radio"' in field or identity[1] in labelled, field
    identities = re.findall(r'\bid="([^"]+)"', page)
    assert len(identities) == len(set(identities))


@pytest.mark.parametrize("address", ["/", *(f"/{name}" for name in PAGES)])
def test_nothing_comes_from_the_network_and_everything_is_there(client, address):
    page = client.get(address).text
    wanted = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert not [one for one in wanted if not one.startswith("/")]
    for one in wanted:
        if one.startswith("/static/"):
            assert client.get(one).status_code == 200


def test_scripts_name_only_addresses_and_modules_of_the_app(client):
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"(^|\s)//.*", "", text), path.name
        for module in re.findall(r'from "\./([^"]+)"', text):
            assert client.get(f"/static/{module}").status_code == 200


def test_an_unknown_page_is_a_sentence(client):
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert answer.json()["error"] == "There is no such page."


def test_frameworks_pages_that_load_from_the_network_are_off(client):
    assert {client.get(f"/{name}").status_code for name in ("docs", "redoc", "openapi.json")} == {404}


def test_a_taken_port_is_a_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        command = [sys.executable, "-m", "emscout", "app", "--no-browser", "--port", str(taken.getsockname()[1])]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
