"""Faults around a run: one line, status 2, nothing good overwritten, and the run ends as without the
fault (`faults.py` makes them).
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import faults
import pytest
import torch

from moonshine.cli.program import main
from moonshine.data import registry as data
from moonshine.training.checkpoints import describe, lock_file

SMALL = ["--wrn_depth", "10", "--wrn_width", "0.5", "--batch_size", "32", "--epoch_step", "[]"]
PROGRAM = (
    "import sys; from moonshine.data import registry as data; from moonshine.cli.program import main; "
    "few = data.shapes(64, 32); "
    "data.DATASETS['shapes'] = lambda *arguments: few; sys.exit(main(sys.argv[1:]))"
)  # the command line, with few images


@pytest.fixture
def few(tmp_path, monkeypatch):
    """An empty folder, and few drawn images."""
    monkeypatch.chdir(tmp_path)
    images = data.shapes(train=64, test=32)
    monkeypatch.setitem(data.DATASETS, "shapes", lambda *arguments: images)


@pytest.mark.parametrize("name", [*faults.FAULTS, "folder removed during the run"])
def test_fault(name):
    (entry,) = faults.main(2, [name])
    assert entry["survived"] == 2 and entry["lost"] == 0, entry
    assert "\n" not in entry["reads"]


def test_two_programs_of_one_name(few, capsys):
    """A program that trains has the name; killed, it has it no longer."""
    words = ["train", "shapes", "teacher", "-t", "T", "--resume", *SMALL]
    running = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *words, "--epochs", "500"], stdout=subprocess.DEVNULL
    )
    try:
        while not os.path.exists("checkpoints/T.jsonl"):
            assert running.poll() is None
            time.sleep(0.1)
        assert main([*words, "--epochs", "1"]) == 2
        assert f"checkpoints/T is being trained by process {running.pid} on" in capsys.readouterr().err
    finally:
        running.kill()
        running.wait()
    done = len(open("checkpoints/T.jsonl").readlines())
    assert main([*words, "--epochs", str(done + 1)]) == 0 and describe("checkpoints/T.pt")["epoch"] >= done
    assert not lock_file("checkpoints/T").exists()


def test_save_every_and_progress_without_a_terminal(few, capsys):
    assert main(["train", "shapes", "teacher", "-t", "T", "--save_every", "-1", *SMALL]) == 2
    assert "--save_every is -1; it must be 0 or more" in capsys.readouterr().err
    assert main(["train", "shapes", "teacher", "-t", "T", "--save_every", "1", "--epochs", "2", *SMALL]) == 0
    out = capsys.readouterr().out
    lines = [line.split("  ")[0] for line in out.splitlines() if line.startswith("epoch ")]
    assert lines == ["epoch 1/2", "epoch 2/2"] and "\r" not in out and "\x1b" not in out
    assert describe("checkpoints/T.before.pt")["started"]["images"] == 64, (
        "saved after the last step of the last epoch too"
    )


def test_other_images_are_noticed(few, capsys, monkeypatch):
    words = ["train", "shapes", "teacher", "-t", "T", "--resume", *SMALL, "--epochs"]
    assert main([*words, "1"]) == 0
    other = data.shapes(train=65, test=32)
    monkeypatch.setitem(data.DATASETS, "shapes", lambda *arguments: other)
    assert main([*words, "2"]) == 2
    odd = "the images of shapes are not those that it was trained on"
    assert f"{odd}; resume with what it began with" in capsys.readouterr().err
    assert main([*words, "2", "--resume_with_changes"]) == 0
    assert "note: T is resumed with changes: " in capsys.readouterr().err


def test_deterministic_flag(few):
    before = os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
    try:
        assert (
            main(["train", "shapes", "teacher", "-t", "T", "--deterministic", "--epochs", "1", *SMALL]) == 0
        )
        assert (
            torch.are_deterministic_algorithms_enabled()
            and os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
        )
    finally:
        torch.use_deterministic_algorithms(False)
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
        if before is not None:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = before


def memory(process) -> float:
    """The resident memory of a process, in MiB."""
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory from Linux's /proc")
def test_memory_is_flat_over_200_epochs(tmp_path):
    """What a training process holds after 20 epochs and after 200, seen from outside."""
    words = [
        "train",
        "shapes",
        "teacher",
        "-t",
        "T",
        "--checkpoint_dir",
        str(tmp_path),
        "--epochs",
        "201",
        *SMALL,
    ]
    running, seen = (
        subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=subprocess.PIPE, text=True),
        {},
    )
    for line in running.stdout:
        if line.startswith(("epoch 20/", "epoch 200/")):
            seen[line.split("/")[0]] = memory(running.pid)
    assert running.wait() == 0
    print(json.dumps(seen))
    assert seen["epoch 200"] - seen["epoch 20"] < 10, seen
    assert [json.loads(line)["epoch"] for line in open(tmp_path / "T.jsonl")] == list(range(1, 202))
