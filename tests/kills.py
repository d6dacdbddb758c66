"""Kill a training process again and again, resume it, and compare what comes out with the run that was
never killed.

    python tests/kills.py [KILLS [SEED]]      prints a JSON list, one entry a kill

One process imports torch, computes nothing, and forks every run from itself: a start takes
milliseconds then. A kill is SIGKILL, which no process can see coming. It comes at a random moment
(from outside), or in the middle of a write (the process kills itself there).
"""

import importlib.util
import json
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch

from moonshine.cli.program import main as moonshine
from moonshine.data.drawing import shapes
from moonshine.data.registry import DATASETS
from moonshine.errors import InputError
from moonshine.losses.attention import student_loss
from moonshine.models.wide_resnet import wrn
from moonshine.training import checkpoints
from moonshine.training.loop import train
from moonshine.training.progress import RunningAverage  # noqa: F401  a test breaks it
from moonshine.training.recipe import Recipe
from moonshine.training.signals import STOPPING

RECIPE = Recipe(epochs=3, batch_size=16, epoch_step=(1, 2), seed=5)
NAME = "T"
TIMES = ("seconds", "images_per_second")


def train_once(folder, data, save_every=1, **options):
    """Resume the run in `folder` and train it to its end: WRN-10-1 G(N), by KD and AT."""
    torch.manual_seed(1)
    teacher = wrn(10, 0.5).eval()
    torch.manual_seed(RECIPE.seed)
    return train(
        wrn(10, 1, "G(N)"),
        data,
        student_loss(10, 3, 0.5, 1000.0),
        RECIPE,
        NAME,
        folder,
        teacher,
        resume=True,
        quiet=True,
        save_every=save_every,
        **options,
    )


def die():
    """End this process as a kill does."""
    os.kill(os.getpid(), signal.SIGKILL)


# Where a process can kill itself: each replaces a function of the system by one that dies at its `count`th
# call.


def in_write(count, share):
    """Die when a part of a file is written."""
    real = os.fdopen

    def opened(*arguments):
        file = real(*arguments)
        write = file.write

        def partly(content):
            if in_write.left == 0:
                write(bytes(content[: int(len(content) * share)]))
                file.flush()
                die()
            in_write.left -= 1
            return write(content)

        class File:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def __getattr__(self, name):
                return partly if name == "write" else getattr(file, name)

        return File()

    in_write.left = count
    os.fdopen = opened


def around(name, after):
    """Die just before, or just after, a function of `os` is called for the `count`th time."""

    def plant(count, share):
        real, left = getattr(os, name), [count]

        def deadly(*arguments, **options):
            left[0] -= 1
            if left[0] < 0 and not after:
                die()
            done = real(*arguments, **options)
            if left[0] < 0:
                die()
            return done

        setattr(os, name, deadly)

    return plant


PLACES = {
    "in the write of a file": in_write,
    "between the write and its flush to the disk": around("fsync", after=False),
    "before the old file gets its second name": around("link", after=False),
    "between the write and the renaming": around("replace", after=False),
    "just after the renaming": around("replace", after=True),
}


def fork(work) -> int:
    """Run `work()` in a forked process; returns its number."""
    number = os.fork()
    if number:
        return number
    status = 1
    try:
        done = work()
        status = done if isinstance(done, int) else 0
    except InputError as error:
        print(f"refused: {error}", file=sys.stderr, flush=True)
        status = 2
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(status)


def wait(number) -> int:
    """The exit status of a process; -9 after SIGKILL."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def result(folder):
    """What a run came to: its weights and its history, without the times."""
    content = checkpoints.describe(Path(folder, f"{NAME}.pt"))
    lines = map(json.loads, Path(folder, f"{NAME}.jsonl").read_text().splitlines())
    rows = [
        [{key: value for key, value in row.items() if key not in TIMES} for row in history]
        for history in (lines, content["history"])
    ]
    return content["net"], *rows


def equal(a, b) -> bool:
    """Whether two results agree in every bit."""
    same = a[0].keys() == b[0].keys() and all(torch.equal(a[0][key], b[0][key]) for key in a[0])
    return same and a[1] == b[1] == a[2] == b[2]


def readable(folder) -> bool:
    """Whether everything that lies in the folder after a kill is whole: the checkpoint, the one before
    it, and the history.
    """
    path = Path(folder, f"{NAME}.pt")
    for file in (path, checkpoints.before(path)):
        if file.exists():
            checkpoints.describe(file)
    history = Path(folder, f"{NAME}.jsonl")
    return (
        not history.exists() or [json.loads(line)["epoch"] for line in history.read_text().splitlines()] != []
    )


def kill_once(draw, folder, data, seconds) -> str | None:
    """Start the run and kill it; returns where it was, or None if it came to its end before."""
    place = draw.choice(["at a random moment"] * 5 + list(PLACES))
    count, share, moment = draw.randrange(8), draw.random(), draw.uniform(0, seconds)

    def work():
        torch.rand(draw.randrange(9))  # what was drawn before must not matter
        if place in PLACES:
            PLACES[place](count, share)
        train_once(folder, data)

    number = fork(work)
    if place not in PLACES:
        time.sleep(moment)
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            pass
    status = wait(number)
    assert status in (0, -signal.SIGKILL), f"status {status} after a start {place}"
    return place if status else None


def warm():
    """Import what a run imports, and compute nothing: what is forked from here starts at once."""
    torch.set_num_threads(1)
    if importlib.util.find_spec("tensorboard"):
        importlib.import_module("torch.utils.tensorboard")  # once, here
    torch.optim.SGD(
        [torch.zeros(1, requires_grad=True)], lr=0.1
    )  # the first optimizer imports hundreds of modules


def main(kills=30, seed=0) -> list[dict]:
    """Kill runs until there were `kills` of them, and finish each run; one entry for each kill, with
    what became of its run.
    """
    warm()
    draw, data, entries = random.Random(seed), shapes(train=64, test=32), []
    with tempfile.TemporaryDirectory() as top:
        start = time.monotonic()
        assert wait(fork(lambda: train_once(Path(top, "whole"), data))) == 0
        seconds = time.monotonic() - start
        expected, run = result(Path(top, "whole")), 0
        while len(entries) < kills:
            run += 1
            folder, places = Path(top, str(run)), []
            finished = False
            while not finished and len(entries) + len(places) < kills:
                place = kill_once(draw, folder, data, 0.5 * seconds)
                finished = place is None
                if place:
                    places.append(dict(place=place, run=run, readable=readable(folder)))
            if not finished:
                assert wait(fork(lambda: train_once(folder, data))) == 0
            left = sorted(path.name for path in folder.iterdir() if path.name != "tensorboard")
            clean = left == [f"{NAME}.before.pt", f"{NAME}.jsonl", f"{NAME}.pt"]
            entries += [dict(place, equal=equal(result(folder), expected), clean=clean) for place in places]
    return entries


def command(folder, out):
    """The command line that starts or resumes the run in `folder`; what it prints goes to the file `out`."""

    def work():
        few = shapes(train=64, test=32)
        DATASETS["shapes"] = lambda *arguments: few
        for number in STOPPING:  # a script in the background ignores Ctrl-C, and so would this
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        with open(out, "a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        flags = (
            "--wrn_depth 10 --wrn_width 1 --conv G(N) --batch_size 16 --epochs 3 --epoch_step [1,2] --resume"
        )
        return moonshine(
            ["train", "shapes", "teacher", "-t", NAME, "--checkpoint_dir", str(folder), *flags.split()]
        )

    return work


def announced(number, tries=5, seed=0) -> list[dict]:
    """Send runs of the command line a signal that they can notice, at random moments, and finish them;
    one entry a signal.
    """
    warm()
    draw, entries = random.Random(seed), []
    with tempfile.TemporaryDirectory() as top:
        whole, folder, out, start = Path(top, "whole"), Path(top, "0"), Path(top, "out"), time.monotonic()
        assert wait(fork(command(whole, out))) == 0
        seconds, places = time.monotonic() - start, []
        while len(entries) + len(places) < tries:
            out.write_text("")
            process = fork(command(folder, out))
            while not checkpoints.lock_file(folder / NAME).exists():
                time.sleep(0.01)
            time.sleep(draw.uniform(0, 0.5 * seconds))
            try:
                os.kill(process, number)
            except ProcessLookupError:
                pass
            status, said = wait(process), out.read_text()
            stopped = f"by {signal.Signals(number).name}; saved" in said
            if stopped:
                lines = [line for line in said.splitlines() if line.startswith("stopped in epoch")]
                places.append(dict(status=status, said=lines[0], plain="Traceback" not in said))
            if not stopped or len(entries) + len(places) == tries:
                assert wait(fork(command(folder, out))) == 0
                same = equal(result(folder), result(whole))
                entries, places = entries + [dict(place, equal=same) for place in places], []
                folder = Path(top, str(len(entries)) + "next")
    return entries


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:]))))
