"""One run by several processes, on the CPU: what they see, what comes out, what is left when one is
killed. `ranks.py` starts them.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from moonshine.cli.program import main as moonshine
from moonshine.data.drawing import shapes
from moonshine.data.registry import DATASETS
from moonshine.training import checkpoints

RANKS = Path(__file__).with_name("ranks.py")
IMAGES, BATCH = 50, 16


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Run all that `ranks.py` does, once, in a separate process: it forks, which a process with
    threads should not do.
    """
    root, random = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for part, count in (("train", 5), ("val", 3)):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                Image.fromarray(random.integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(
                    root / part / name / f"{i}.png"
                )
    done = subprocess.run(
        [sys.executable, RANKS, root], cwd=RANKS.parent, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1].removeprefix("found "))


def largest_difference(a, b):
    """Between two networks' numbers."""
    assert a.keys() == b.keys()
    return max(np.abs(np.array(a[name]) - np.array(b[name])).max() for name in a)


def check_close(one, other):
    """The same history but for rounding, and the same weights."""
    for ours, theirs in zip(one["history"], other["history"], strict=True):
        assert ours.keys() == theirs.keys()
        assert ours == pytest.approx(theirs, rel=1e-6)
    assert largest_difference(one["net"], other["net"]) < 1e-6


def of_all(steps, whole):
    """The images of one step, seen by all processes: each one's first `n` are its own, and a copy
    where it has none.
    """
    size = len(steps)
    shares = [whole[rank::size] for rank in range(size)]
    for mine, share in zip(steps, shares):
        assert mine == (share or whole[:1])
    return sorted(number for share in shares for number in share)


def test_each_process_sees_its_share_of_the_batches_that_one_would_see(found):
    (alone,), *others = found["wrap_ddp"]
    assert [len(step) for step in alone["seen"]] == 2 * [16, 16, 16, 2]
    for epoch in range(2):
        assert sorted(sum(alone["seen"][4 * epoch : 4 * epoch + 4], [])) == list(range(IMAGES))
    for answers in others:
        for *steps, whole in zip(*(answer["seen"] for answer in answers), alone["seen"], strict=True):
            assert of_all(steps, whole) == sorted(whole)


def test_weights_and_history_are_those_of_one_process(found):
    (alone,), *others = found["wrap_ddp"]
    assert alone["history"][0] != alone["history"][1]
    for answers in others:
        for answer in answers:
            assert answer["history"] == answers[0]["history"] and answer["net"] == answers[0]["net"]
            check_close(answer, alone)


@pytest.mark.parametrize("name, before, after", [("stopped_2_1", 2, 1), ("stopped_1_3", 1, 3)])
def test_a_stopped_run_goes_on_with_another_number_of_processes(found, name, before, after):
    case = found[name]
    assert all(answer["stopped"] for answer in case["first"]) and not any(
        answer["stopped"] for answer in case["second"]
    )
    assert (len(case["first"]), len(case["second"]), case["parts"]["processes"]) == (
        before,
        after,
        [before, after],
    )
    check_close(case["parts"], case["whole"])
    assert case["left"] == ["T.before.pt", "T.jsonl", "T.pt"]
    steps = [
        set().union(*step)
        for part in ("first", "second")
        for step in zip(*(answer["seen"] for answer in case[part]))
    ]
    assert [len(step) for step in steps] == 2 * [16, 16, 16, 2]
    assert set().union(*steps[:4]) == set().union(*steps[4:]) == set(range(IMAGES))


def test_with_as_many_processes_it_goes_on_bit_for_bit(found):
    """With batch norm, whose statistics depend on the shares."""
    case = found["stopped_2_2"]
    assert (
        case["parts"]["history"] == case["whole"]["history"] and case["parts"]["net"] == case["whole"]["net"]
    )
    assert "net.1.running_mean" in case["whole"]["net"] and len(case["first"][0]["seen"]) == 3


@pytest.mark.parametrize("name, victim", [("killed_first", 0), ("killed_second", 1)])
def test_a_killed_process_ends_the_run_which_goes_on(found, name, victim):
    case = found[name]
    assert case["statuses"].pop(victim) == -signal.SIGKILL and set(case["statuses"]) == {2}
    assert case["seconds"] < 20
    for line in case["said"]:
        assert "another process of this run has ended" in line and "\n" not in line
    check_close(case["parts"], case["whole"])


def test_a_signal_to_one_process_stops_all_after_the_same_step(found):
    case = found["signalled"]
    first, second = case["answers"]
    assert case["statuses"] == [0, 0] and first["signal"] == second["signal"] == "SIGTERM"
    assert len(first["seen"]) == len(second["seen"]) < 8
    assert case["images"] == sum(len(set(a) | set(b)) for a, b in zip(first["seen"], second["seen"]))


def test_all_processes_are_refused_in_the_same_words(found):
    for what, words in (
        ("spoiled", "the loss is nan in epoch 1, after 32 images"),
        ("taken", "is being trained by process"),
    ):
        statuses, (one, other) = found["refused"][what]
        assert statuses == [2, 2] and one == other and words in one


def test_streamed_images_are_read_once(found):
    (one, other), (alone,) = found["streamed"]
    assert sorted(one["opened"] + other["opened"]) == sorted(alone["opened"])
    assert len(set(alone["opened"])) == len(alone["opened"]) == 16
    assert one["history"] == other["history"]


WORDS = (
    "train shapes teacher -t T --wrn_depth 10 --wrn_width 0.5 --batch_size 16 --device cpu --checkpoint_dir"
).split()
JOB = """
from moonshine.data import registry as data
few = data.shapes(train=64, test=33)
data.DATASETS["shapes"] = lambda *arguments: few

import time
from moonshine.cli import program as cli
first_to_say = cli.first_to_say
cli.first_to_say = lambda line: time.sleep(1) or first_to_say(line)  # torchrun's SIGTERM comes first
cli.main()
"""


def torchrun(folder, *flags):
    """Start the command line on few images by torchrun, as two processes."""
    job = folder / "job.py"
    job.write_text(JOB)
    launcher = "-m torch.distributed.run --standalone --nproc-per-node 2".split()
    return subprocess.Popen(
        [sys.executable, *launcher, job, *WORDS, folder, *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def processes_of(parent) -> list[int]:
    """The children of a process that are Python."""
    return [int(number) for number in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc")
def test_torchrun_trains_is_killed_and_one_process_goes_on(tmp_path, monkeypatch):
    job = torchrun(tmp_path, "--epochs", "1000", "--save_every", "1")
    while not checkpoints.before(tmp_path / "T.pt").exists():
        assert job.poll() is None, job.stderr.read()
        time.sleep(0.05)
    os.kill(processes_of(job.pid)[1], signal.SIGKILL)
    begin = time.monotonic()
    out, said = job.communicate(timeout=60)
    assert job.returncode != 0 and time.monotonic() - begin < 40
    assert said.count("moonshine: another process of this run has ended") == 1 and "gloo" not in said, said
    assert out.count("teacher T: WRN-10-0.5") == 1, out
    done = checkpoints.describe(tmp_path / "T.pt")["epoch"]

    few = shapes(train=64, test=33)
    monkeypatch.setitem(DATASETS, "shapes", lambda *arguments: few)
    assert (
        moonshine([*WORDS, str(tmp_path), "--resume", "--epochs", str(done + 2), "--epoch_step", "[]"]) == 0
    )
    history = [json.loads(line) for line in (tmp_path / "T.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in history] == list(range(1, done + 3))
    assert [entry["processes"] for entry in checkpoints.describe(tmp_path / "T.pt")["starts"]] == [2, 1]


def test_a_mistake_is_said_once(tmp_path):
    job = torchrun(tmp_path, "--epoch_step", "60")
    out, said = job.communicate(timeout=100)
    assert job.returncode != 0 and out == ""
    assert said.count("is not a list of epochs") == 1 and said.count("exitcode  : 2") >= 1
