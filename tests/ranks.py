"""Train with several processes, kill or stop them, resume with another number of them, and report what
each of them did.

Like `kills.py` one process imports torch, computes nothing, and forks all others from itself;
`tests/test_workers.py` runs its functions. They find each other as under torchrun, by the
environment. The images carry their number in their pixels, and the network notes which it sees.
"""

import json
import os
import signal
import socket
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from kills import fork, result, wait, warm
from torch import nn

from moonshine.data.images import Data, ImageSet
from moonshine.data.streaming import imagenet
from moonshine.errors import InputError
from moonshine.losses.base import cross_entropy
from moonshine.models.wide_resnet import wrn
from moonshine.training import checkpoints, distributed
from moonshine.training.loop import train
from moonshine.training.recipe import Recipe
from moonshine.training.signals import SignalHandler

NAME = "T"
RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.02, epoch_step=(1,), seed=5, augmentation=())
IMAGES = 50  # three batches of 16, and one of 2
TIMES = ("seconds", "images_per_second")


def numbered(train=IMAGES, test=21):
    """Images whose red pixels are their number, with labels and green and blue that are drawn."""
    draw = torch.Generator().manual_seed(0)

    def images(count):
        images = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=draw)
        images[:, 0] = torch.arange(count, dtype=torch.uint8)[:, None, None]
        return ImageSet(images, torch.randint(0, 10, (count,), generator=draw))

    data = Data("numbered", images(train), images(test), tuple("abcdefghij"), (0.0,) * 3, (1.0,) * 3)
    object.__setattr__(data, "test_batch", 10)
    return data


class Noting(nn.Module):
    """A small network without batch norm, in float64, that notes the numbers of the images of each step."""

    def __init__(self, batch_norm=False):
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4) if batch_norm else nn.ReLU(),
            nn.Flatten(),
            nn.Linear(144, 10),
        ).double()
        self.spec, self.seen = checkpoints.foreign_spec(self), []

    def forward(self, x):
        if self.training:
            self.seen.append((x[:, 0, 0, 0] * 255).round().int().tolist())
        return self.net(x.double())


def rank_work(size, rank, port, out, work):
    """Make the work of one process: join the others, do it, and write what it returns, or its error,
    to a file.
    """

    def done():
        os.environ.update(
            RANK=str(rank),
            WORLD_SIZE=str(size),
            LOCAL_RANK=str(rank),
            MASTER_ADDR="localhost",
            MASTER_PORT=str(port),
        )
        answer, status = None, 0
        try:
            with distributed.joined():
                answer = work()
        except InputError as error:
            answer, status = str(error), 2
        Path(out, str(rank)).write_text(json.dumps(answer))
        return status

    return done


def start(size, out, work) -> list[int]:
    """Fork `size` processes that do `work()` together; returns their numbers."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    Path(out).mkdir(exist_ok=True, parents=True)
    return [fork(rank_work(size, rank, port, out, work)) for rank in range(size)]


def answers(size, out, work) -> list:
    """Start them, wait for them, and read what each returned."""
    assert [wait(process) for process in start(size, out, work)] == [0] * size
    return [json.loads(Path(out, str(rank)).read_text()) for rank in range(size)]


class Notice:
    """Asks one process to stop after so many steps, as a signal would."""

    def __init__(self, steps, rank):
        self.steps, self.rank, self.noted = steps, rank, None

    @property
    def signal(self):
        self.steps -= 1
        return self.noted or (signal.SIGTERM if self.steps < 0 and distributed.rank() == self.rank else None)

    @signal.setter
    def signal(self, number):
        self.noted = number


def run(folder, stop=None, batch_norm=False, slow=0.0, save_every=0, spoil=None):
    """Start or resume the run in `folder`; return what this process saw, and the history."""
    model = Noting(batch_norm)
    loss = cross_entropy()

    def slowly(student, teacher, labels):
        time.sleep(slow)
        total, terms = loss(student, teacher, labels)
        if spoil is not None and len(model.seen) == 3 and distributed.rank() == spoil:
            total = total * float("nan")
        return total, terms

    slowly.needs, slowly.layers = loss.needs, loss.layers
    history = train(
        model,
        numbered(),
        slowly,
        RECIPE,
        NAME,
        folder,
        resume=True,
        quiet=True,
        stop=stop,
        save_every=save_every,
    )
    rows = [{key: value for key, value in row.items() if key not in TIMES} for row in history]
    return dict(seen=model.seen, history=rows, stopped=bool(stop and stop.signal), net=weights(model))


def weights(model):
    """The numbers of a network."""
    return {name: value.tolist() for name, value in model.state_dict().items()}


def saved(folder):
    """The weights and the history that a run has saved."""
    net, lines, history = result(folder)
    assert lines == history
    return dict(
        net={name: value.tolist() for name, value in net.items()},
        history=history,
        processes=[
            entry["processes"] for entry in checkpoints.describe(Path(folder, f"{NAME}.pt"))["starts"]
        ],
    )


def wrap_ddp(sizes=(1, 2, 3)) -> list:
    """The same run by 1, 2 and 3 processes: what each process saw and came to."""
    warm()
    with tempfile.TemporaryDirectory() as top:
        return [answers(size, Path(top, f"out{size}"), partial(run, Path(top, str(size)))) for size in sizes]


def stopped(before, after, steps, batch_norm=False) -> dict:
    """A run of `before` processes of which the last is asked to stop, and its end with `after` processes."""
    warm()
    with tempfile.TemporaryDirectory() as top:
        whole, folder, out = Path(top, "whole"), Path(top, "parts"), Path(top, "out")
        answers(after if batch_norm else 1, out, partial(run, whole, batch_norm=batch_norm))
        first = answers(before, out, lambda: run(folder, Notice(steps, before - 1), batch_norm))
        second = answers(after, out, partial(run, folder, batch_norm=batch_norm))
        left = sorted(path.name for path in folder.iterdir() if path.name != "tensorboard")
        return dict(first=first, second=second, parts=saved(folder), whole=saved(whole), left=left)


def killed(victim, size=2, after=1) -> dict:
    """Kill one of the processes in the middle of an epoch; what the others said, how long it took, and
    what the resumed run came to.
    """
    warm()
    with tempfile.TemporaryDirectory() as top:
        whole, folder, out = Path(top, "whole"), Path(top, "parts"), Path(top, "out")
        answers(1, out, partial(run, whole))
        processes = start(size, out, partial(run, folder, slow=0.1, save_every=1))
        while not checkpoints.before(folder / f"{NAME}.pt").exists():  # two steps have been saved
            time.sleep(0.01)
        os.kill(processes[victim], signal.SIGKILL)
        begin = time.monotonic()
        statuses = [wait(process) for process in processes]
        seconds = time.monotonic() - begin
        said = [json.loads(Path(out, str(rank)).read_text()) for rank in range(size) if rank != victim]
        answers(after, out, partial(run, folder))
        return dict(statuses=statuses, seconds=seconds, said=said, parts=saved(folder), whole=saved(whole))


def signalled() -> dict:
    """A real SIGTERM for rank 1 alone: both processes stop after the same step."""
    warm()

    def listening(folder):
        with SignalHandler() as stop:
            return dict(run(folder, stop, slow=0.05), signal=stop.signal and stop.signal.name)

    with tempfile.TemporaryDirectory() as top:
        out = Path(top, "out")
        processes = start(2, out, partial(listening, Path(top, "run")))
        while not checkpoints.lock_file(Path(top, "run", NAME)).exists():
            time.sleep(0.01)
        time.sleep(0.3)
        os.kill(processes[1], signal.SIGTERM)
        statuses = [wait(process) for process in processes]
        done = checkpoints.describe(Path(top, "run", f"{NAME}.pt"))
        return dict(
            statuses=statuses,
            answers=[json.loads(Path(out, str(rank)).read_text()) for rank in range(2)],
            images=done["started"]["images"] + IMAGES * done["epoch"],
        )


def refused() -> dict:
    """What each of two processes says when one's loss is not a number, and when the name is taken."""
    warm()
    with tempfile.TemporaryDirectory() as top:
        found = {}
        for what, options in dict(spoiled=dict(spoil=1), taken={}).items():
            out, folder = Path(top, what), Path(top, f"{what} run")
            with checkpoints.Lock(folder / NAME) if what == "taken" else tempfile.TemporaryFile():
                statuses = [wait(process) for process in start(2, out, partial(run, folder, **options))]
            found[what] = statuses, [json.loads(Path(out, str(rank)).read_text()) for rank in range(2)]
        return found


def streamed(root) -> list:
    """Which files each of two processes opens in an epoch, and the history; then those of one process."""
    warm()
    from moonshine.data import streaming

    def work():
        data, opened, real = imagenet(root, 32, 0), [], streaming.open_image

        def note(path):
            opened.append("/".join(Path(path).parts[-3:]))
            return real(path)

        streaming.open_image = note
        torch.manual_seed(0)
        history = train(
            wrn(10, 0.5, num_classes=2),
            data,
            cross_entropy(),
            Recipe(epochs=1, batch_size=4),
            NAME,
            tempfile.mkdtemp(dir=root) if distributed.rank() else Path(root, f"run{distributed.size()}"),
            quiet=True,
        )
        return dict(
            opened=opened, history=[{k: v for k, v in row.items() if k not in TIMES} for row in history]
        )

    with tempfile.TemporaryDirectory() as top:
        return [answers(size, Path(top, str(size)), work) for size in (2, 1)]


def main(root) -> dict:
    """Everything above, for `tests/test_workers.py`; `root` holds images to be streamed."""
    parts = dict(
        wrap_ddp=wrap_ddp,
        stopped_2_1=partial(stopped, 2, 1, 2),
        stopped_1_3=partial(stopped, 1, 3, 5),
        stopped_2_2=partial(stopped, 2, 2, 2, batch_norm=True),
        killed_first=partial(killed, 0, 2, 2),
        killed_second=partial(killed, 1, 3, 1),
        signalled=signalled,
        refused=refused,
        streamed=partial(streamed, root),
    )
    return {name: part() for name, part in parts.items()}


if __name__ == "__main__":
    import sys

    print("found " + json.dumps(main(sys.argv[1])))
