"""Nothing leaves the computer, and nothing is written outside the folder of results.

Each command runs in processes of its own. Python's audit events tell what Python code does in all of them; strace
tells what compiled code does, in a network namespace that leads nowhere, where the system has them.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from PIL import Image

from emscout.synthetic.particles import make_micrograph

# Imported by every Python process that has it on its path, workers included.
WATCH = """
import os, sys

def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"):
        seen("network", arguments[-1] if event == "socket.connect" else arguments[0])
    elif event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        mode, flags = arguments[1], arguments[2]
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) or set(mode or "") & set("wax+"):
            seen("file", os.path.abspath(os.fsdecode(arguments[0])))
    elif event == "os.mkdir":
        seen("file", os.path.abspath(os.fsdecode(arguments[0])))
    elif event == "os.rename":
        seen("file", os.path.abspath(os.fsdecode(arguments[1])))

def seen(kind, what):
    line = f"{kind} {what}\\n".encode()
    os.write(log, line)

log = os.open(os.environ["WATCH_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
sys.addaudithook(watch)
"""
# Of other programs, made when it is first missing: the list of fonts is kept by matplotlib for all that use it.
FONT_LIST = re.compile(r"(\.cache|\.config)/matplotlib(/fontlist-v[\d.]+(json)?(\.matplotlib-lock)?)?$")


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for seed in range(4):
        micrograph, *_ = make_micrograph((160, 180), n_particles=6, diameter_px=(24, 3), seed=seed)
        Image.fromarray(micrograph.image).save(folder / f"scan_{seed}.png")
    return folder


@pytest.fixture
def watched(tmp_path):
    """A function that runs a Python command and gives what it tried: network attempts and files elsewhere."""
    home, temporary, watch = (tmp_path / name for name in ("home", "temporary", "watch"))
    for folder in (home, temporary, watch):
        folder.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH)
    log, calls = watch / "log", watch / "calls"

    def run(*arguments, out=tmp_path / "out", stays=1):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ORT_"))}
        environment |= {
            "HOME": str(home),
            "USERPROFILE": str(home),
            "TMPDIR": str(temporary),
            "WATCH_LOG": str(log),
            "PYTHONPATH": os.pathsep.join([str(watch), str(Path(__file__).parents[1] / "src")]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        finished = subprocess.run(
            [*isolation(calls), sys.executable, *map(str, arguments)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
        )
        assert finished.returncode == 0, finished.stderr
        lines = log.read_text().splitlines()
        network = [line for line in lines if line.startswith("network")] + network_calls(calls)
        allowed = [str(out), str(temporary), str(watch), "/dev/"]
        written = {line.removeprefix("file ") for line in lines if line.startswith("file ")}
        written |= {str(path) for path in home.rglob("*")}
        elsewhere = sorted(
            path
            for path in written
            if not path.startswith(tuple(allowed)) and not FONT_LIST.search(path) and path not in parents(home)
        )
        return network, elsewhere

    return run


def parents(home):
    """Folders that the list of fonts lies in."""
    return {str(home / name) for name in (".cache", ".config")}


def isolation(calls):
    """What a command is started with, so that nothing gets out and compiled code is seen too."""
    without_network = shutil.which("unshare") and not subprocess.run(["unshare", "-rn", "true"], check=False).returncode
    before = ["unshare", "-rn"] if without_network else []
    if shutil.which("strace") and not subprocess.run(["strace", "-o", calls, "true"], check=False).returncode:
        before += ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=%network", "-o", str(calls)]
    return before


def network_calls(calls):
    """System calls that reach for another computer, or for the one that knows its address."""
    if not calls.exists():
        return []
    outward = re.compile(r"(connect|sendto|sendmsg|sendmmsg)\(.*(AF_INET|nscd)")
    return [line for line in calls.read_text(errors="replace").splitlines() if outward.search(line)]


def test_the_watch_sees_python_and_compiled_code(watched):
    if not isolation(Path(os.devnull)):
        pytest.skip("neither unshare nor strace is here")
    network, elsewhere = watched(
        "-c",
        textwrap.dedent(
            """
            import ctypes, pathlib, socket
            try:
                socket.create_connection(("192.0.2.1", 9), timeout=0.1)
            except OSError:
                pass
            ctypes.CDLL(None).gethostbyname(b"emscout.invalid")
            pathlib.Path.home().joinpath("trace").write_text("x")
            """
        ),
    )
    assert any(line.startswith("network") for line in network)
    if shutil.which("strace"):
        assert any("port=htons(53)" in line or "nscd" in line for line in network)
    assert [Path(path).name for path in elsewhere] == ["trace"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ("analyze", "--workers", 2),
        ("analyze", "--workers", 1),
        ("analyze", "--model", "watershed", "--workers", 1),
        ("locate",),
        ("classify", "--workers", 2),
        ("scale",),
        ("figures", "--workers", 1),
    ],
    ids=lambda command: " ".join(map(str, command)),
)
def test_a_command_reaches_for_no_network_and_writes_into_its_folder_only(command, images, watched, tmp_path):
    name, *options = command
    # The clients of a telemetry wait before they send: a process that ends at once would look innocent.
    run = f"""
import sys, time
from emscout.__main__ import main
if __name__ == "__main__":
    sys.argv = ["emscout", {name!r}, {str(images)!r}, "-o", {str(tmp_path / "out")!r}, *{list(map(str, options))!r}]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
    time.sleep(12)
"""
    program = tmp_path / "temporary" / "program.py"
    program.write_text(run)
    assert watched(program) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    [
        "import emscout as em; em.find_particles(em.read({image!r}))",
        "from emscout.models import load_model; load_model('particles-v2')",
        "from emscout.scale.text.ocr import read_lines; import numpy; read_lines(numpy.zeros((64, 64), numpy.uint8))",
        "import emscout.training.export, emscout.training.classifier",
        "import emscout.app.server",
    ],
    ids=["python", "models", "text", "training", "app"],
)
def test_python_reaches_for_no_network_and_writes_nothing(program, images, watched):
    if "training" in program:
        pytest.importorskip("torch")
    program = program.format(image=str(images / "scan_0.png"))
    assert watched("-c", f"{program}\nimport time, onnxruntime; time.sleep(12)") == ([], [])


def test_onnxruntime_imported_first_gives_a_warning(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    environment |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    program = "import warnings, json\nwith warnings.catch_warnings(record=True) as seen:\n    import {}\n"
    program += "print(json.dumps([str(one.message) for one in seen]))"
    for order, warned in (("onnxruntime, emscout", True), ("emscout, onnxruntime", False)):
        finished = subprocess.run(
            [*isolation(tmp_path / "calls")[:2], sys.executable, "-c", program.format(order)],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        said = [line for line in json.loads(finished.stdout) if "ORT_DISABLE_TELEMETRY=1" in line]
        assert bool(said) == warned
