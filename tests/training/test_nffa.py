"""The published pictures, fetched from a stand-in of B2SHARE that breaks off, sends rubbish, or is not there."""

import hashlib
import http.server
import io
import json
import tarfile
import threading
import time

import pytest
from PIL import Image

from emscout.errors import ReadError
from emscout.specimens.dataset import drop_duplicates, find_pictures
from emscout.synthetic.specimens import KINDS, make_specimen
from emscout.training.nffa import download_nffa


def archive(kind, count=4):
    """A tar as the record has them: a folder a category, with pictures and what else lies there."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for number in range(count):
            picture = io.BytesIO()
            Image.fromarray(make_specimen(kind, 64, seed=max(1, number))).save(picture, format="JPEG")
            for name in [f"{kind}/L{number}_{kind}.jpg"]:
                member = tarfile.TarInfo(name)
                member.size = picture.tell()
                tar.addfile(member, io.BytesIO(picture.getvalue()))
        for name in (f"{kind}/readme.txt", "../../escaped.txt"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"text"))
        climbing = tarfile.TarInfo("../../outside.jpg")
        climbing.size = 4
        tar.addfile(climbing, io.BytesIO(b"text"))
    return buffer.getvalue()


class Share(http.server.ThreadingHTTPServer):
    """Serves a record and its archives; a first answer ends after ``breaks`` bytes, no answer passes byte ``ends``."""

    def __init__(self, newer=False, ranges=True):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.newer, self.ranges = newer, ranges
        self.files = {f"{kind}.tar": archive(kind) for kind in KINDS}
        self.breaks, self.ends, self.asked, self.wrong = {}, {}, [], {}
        self.base = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def record(self):
        rows = [
            {"key": name, "size": len(content), "checksum": "md5:" + hashlib.md5(content).hexdigest()}
            for name, content in [*self.files.items(), ("readme.pdf", b"x")]
        ]
        files = {"entries": {row["key"]: row for row in rows}} if self.newer else rows
        return {"files": files, "links": {"files": f"{self.base}/files"}}


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        share = self.server
        if self.path == "/record":
            return self.answer(json.dumps(share.record).encode())
        name = self.path.removesuffix("/content").rsplit("/", 1)[-1]
        start = self.headers.get("Range")
        share.asked.append((name, start))
        content = share.wrong.pop(name, share.files[name])
        if start and share.ranges:
            content = content[int(start.removeprefix("bytes=").rstrip("-")) :]
        self.send_response(206 if start and share.ranges else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        content = content[: share.breaks.pop(name, None)]
        if name in share.ends:
            sent = len(share.files[name]) - len(content)
            content = content[: max(0, share.ends[name] - sent)]
        self.wfile.write(content)
        return None

    def answer(self, content):
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words):
        pass


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Do not wait between attempts."""
    monkeypatch.setattr(time, "sleep", lambda seconds: None)


@pytest.fixture
def share(request):
    server = Share(**getattr(request, "param", {}))
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("share", [{}, {"newer": True}], ids=["older interface", "newer interface"], indirect=True)
def test_everything_is_fetched_and_unpacked(share, tmp_path):
    seen = []
    folder = download_nffa(
        tmp_path / "nffa", record_url=f"{share.base}/record", progress=lambda f, name: seen.append(f)
    )
    assert sorted(path.name for path in folder.iterdir() if path.is_dir()) == sorted(KINDS)
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1)
    assert not list(tmp_path.glob("*.jpg")) and not list(tmp_path.glob("*.txt"))
    for kind in KINDS:
        (folder / kind / "outside.jpg").unlink()  # by its last name only, inside the folder
    table, dropped, _ = drop_duplicates(find_pictures(folder))
    assert table["category"].value_counts().to_dict() == dict.fromkeys(KINDS, 3)
    assert dropped == 3
    assert (sum(name.endswith(".tar") for name, _ in share.asked)) == 3
    download_nffa(folder, record_url=f"{share.base}/record")
    assert len(share.asked) == 3


def test_a_broken_connection_goes_on_where_it_stopped(share, tmp_path):
    share.breaks["pores.tar"] = 2500
    download_nffa(tmp_path, record_url=f"{share.base}/record")
    assert ("pores.tar", "bytes=2500-") in share.asked
    assert len(list((tmp_path / "pores").glob("L*.jpg"))) == 4


@pytest.mark.parametrize("share", [{"ranges": False}], indirect=True)
def test_a_server_without_ranges_begins_anew(share, tmp_path):
    share.breaks["pores.tar"] = 2500
    download_nffa(tmp_path, record_url=f"{share.base}/record")
    assert len(list((tmp_path / "pores").glob("L*.jpg"))) == 4


def test_what_does_not_match_its_checksum_is_fetched_again(share, tmp_path):
    share.wrong["fibres.tar"] = bytes(len(share.files["fibres.tar"]))
    download_nffa(tmp_path, record_url=f"{share.base}/record")
    assert [name for name, _ in share.asked].count("fibres.tar") == 2
    assert len(list((tmp_path / "fibres").glob("L*.jpg"))) == 4


def test_an_archive_that_never_comes_whole_is_a_sentence_and_what_arrived_is_kept(share, tmp_path):
    share.ends["particles.tar"] = 3000
    with pytest.raises(ReadError, match=r"particles\.tar.* what has arrived is kept"):
        download_nffa(tmp_path, record_url=f"{share.base}/record")
    assert (tmp_path / ".particles.tar.part").stat().st_size == 3000


def test_no_network_is_a_sentence(tmp_path):
    with pytest.raises(ReadError, match="check the network"):
        download_nffa(tmp_path, record_url="http://127.0.0.1:9/record")


def test_a_record_of_something_else_is_a_sentence(share, tmp_path):
    share.files.clear()
    with pytest.raises(ReadError, match="does not list the archives"):
        download_nffa(tmp_path, record_url=f"{share.base}/record")
