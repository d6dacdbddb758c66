"""`moonshine lab` with a real server: it opens lesson 1 in the reader's copy, and asks nobody about news."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

import moonshine

pytest.importorskip("jupyterlab", reason="JupyterLab is not installed")

ADDRESS = re.compile(r"http://(?:localhost|127\.0\.0\.1):\d+(/\S*)\?token=(\w+)")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start_lab(cwd: Path, *options: str) -> subprocess.Popen:
    """Start `moonshine lab` with settings of its own; it writes to the file `log` in `cwd`."""
    own = {f"JUPYTER_{name}_DIR": str(cwd / "home" / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    path = str(Path(moonshine.__file__).parent.parent)
    env = {**os.environ, **own, "JUPYTERLAB_SETTINGS_DIR": str(cwd / "home" / "lab"), "PYTHONPATH": path}
    command = [sys.executable, "-m", "moonshine", "lab", "--no-browser", "--allow-root", *options]
    with (cwd / "log").open("w") as log:
        return subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )


def wait_for_address(server: subprocess.Popen, log: Path, limit: float = 60) -> tuple[str, str]:
    """Wait for the address that JupyterLab prints; return its path and its token."""
    end = time.time() + limit
    while time.time() < end and server.poll() is None:
        if found := ADDRESS.search(log.read_text()):
            return found.groups()
        time.sleep(0.2)
    raise AssertionError(f"no address was printed:\n{log.read_text()[-2000:]}")


def read(url: str) -> str:
    """Return what a server answers."""
    with urllib.request.urlopen(url, timeout=20) as answer:
        return answer.read().decode()


def test_lab_opens_lesson_1_in_a_copy(tmp_path):
    port = free_port()
    server = start_lab(tmp_path, "--port", str(port))
    try:
        address, token = wait_for_address(server, tmp_path / "log")
        lessons = sorted(path.name for path in (tmp_path / "moonshine-course").glob("*.ipynb"))
        assert len(lessons) == 9 and address == f"/lab/tree/{lessons[0]}"
        page = read(f"http://127.0.0.1:{port}{address}?token={token}")
        plugin = "@jupyterlab/apputils-extension:notification"
        settings = json.loads(read(f"http://127.0.0.1:{port}/lab/api/settings/{plugin}?token={token}"))
    finally:
        server.terminate()
        server.wait(20)
    config = json.loads(re.search(r"jupyter-config-data[^>]*>(.*?)</script>", page, re.DOTALL)[1])
    assert config["treePath"] == lessons[0]
    defaults = {name: entry["default"] for name, entry in settings["schema"]["properties"].items()}
    assert defaults["fetchNews"] == "false" and defaults["checkForUpdates"] is False
    assert Path(config["serverRoot"]).expanduser().name == "moonshine-course"
    assert "choose Run ▸ Run All Cells" in (tmp_path / "log").read_text()
