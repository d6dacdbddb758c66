"""What can go wrong around a run, done on purpose: each fault, what the user reads, and what becomes
of the run.

    python tests/faults.py [TRIES]      prints a JSON list, one entry a fault

Each try starts from a run that has finished two of three epochs. It makes the fault happen while
the run is resumed, checks what is printed and which files there are, repairs the fault, resumes the
run to its end, and compares it with a run without a fault.
"""

import contextlib
import errno
import io
import json
import os
import random
import re
import resource
import shutil
import sys
import tempfile
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from kills import equal, result

from moonshine.cli.program import main as moonshine
from moonshine.data.drawing import shapes
from moonshine.data.registry import DATASETS
from moonshine.training import checkpoints, loop

LOCK = checkpoints.lock_file("T").name
FLAGS = "--wrn_depth 10 --wrn_width 0.5 --conv G(N) --batch_size 16 --epoch_step [1] --resume"


def train(folder, epochs):
    """Resume the run in `folder`: (exit status, what is printed on standard error)."""
    words = [
        "train",
        "shapes",
        "teacher",
        "-t",
        "T",
        "--checkpoint_dir",
        str(folder),
        "--epochs",
        str(epochs),
        *FLAGS.split(),
    ]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as err:
        status = moonshine(words)
    return status, err.getvalue()


def files(folder):
    """The files of the run with their contents; a file instead of the folder counts as one."""
    folder = Path(folder)
    return {
        path.name: path.read_bytes()
        for path in (folder.iterdir() if folder.is_dir() else [folder])
        if path.is_file()
    }


# Faults: context managers. If a fault lasts, they yield a function that repairs it. In messages,
# `checkpoints` is the folder.


@contextlib.contextmanager
def disk_full(folder, draw):
    """A disk with room for less than a checkpoint."""
    real, room = os.fdopen, draw.randrange(Path(folder, "T.pt").stat().st_size)

    def opened(*arguments):
        file = real(*arguments)
        write = file.write

        def full(content):
            if len(content) <= room:
                return write(content)
            write(bytes(content[:room]))
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        class File:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def __getattr__(self, name):
                return full if name == "write" else getattr(file, name)

        return File()

    with patch("os.fdopen", opened):
        yield


@contextlib.contextmanager
def size_limit(folder, draw):
    """The system refuses to make a file larger than so much (`ulimit -f`)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (draw.randrange(2000, Path(folder, "T.pt").stat().st_size), before[1])
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def read_only(after):
    """No file can be made in the folder any more, from the start or once the run is under way. (For
    root permissions mean nothing.)
    """

    @contextlib.contextmanager
    def fault(folder, draw):
        real, left = os.open, [after]

        def refuse(path, flags, *more, **options):
            if flags & os.O_CREAT and Path(os.fsdecode(path)).parent == Path(folder):
                left[0] -= 1
                if left[0] < 0:
                    raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
            return real(path, flags, *more, **options)

        with patch("os.open", refuse):
            yield

    return fault


@contextlib.contextmanager
def a_file_is_there(folder, draw):
    """The folder's name is taken by a file."""
    aside = Path(f"{folder}.aside")
    os.rename(folder, aside)
    Path(folder).write_text("a file")

    def repair():
        os.unlink(folder)
        os.rename(aside, folder)

    yield repair


@contextlib.contextmanager
def locked(folder, draw):
    """Another run has the name."""
    with checkpoints.Lock(Path(folder, "T")):
        yield


def damaged(change):
    """The checkpoint is not what was written: `change(bytes, draw) -> bytes`. It is repaired as the
    message says, by the file before it.
    """

    @contextlib.contextmanager
    def fault(folder, draw):
        path = Path(folder, "T.pt")
        content = change(path.read_bytes(), draw)
        path.write_bytes(content) if content is not None else path.unlink()

        def repair():
            if path.exists():
                assert path.read_bytes() == content, "a file that could not be read was touched"
            os.replace(checkpoints.before(path), path)

        yield repair

    return fault


def flip(content, draw):
    at = draw.randrange(len(content) - 71)  # the last 71 bytes are the seal
    return content[:at] + bytes([content[at] ^ (1 << draw.randrange(8))]) + content[at + 1 :]


def newer(content, draw):
    memory = io.BytesIO()
    torch.save(dict(torch.load(io.BytesIO(content), weights_only=True), version=99), memory)
    return checkpoints.sealed(memory.getvalue())


class Malicious:
    def __reduce__(self):
        return os.putenv, ("MOONSHINE_CODE_RAN", "1")


def code(content, draw):
    memory = io.BytesIO()
    torch.save(dict(net=Malicious()), memory)
    return checkpoints.sealed(memory.getvalue())


OFFER = "the previous checkpoint is intact; to continue from it: mv checkpoints/T.before.pt checkpoints/T.pt"
FAULTS = {  # fault -> (context manager, what the user reads)
    "disk full, after a random number of bytes": (
        disk_full,
        " can't be written (No space left on device); what was saved before is unchanged",
    ),
    "limit on the size of files": (size_limit, " can't be written (File too large)"),
    "folder read-only": (read_only(0), "nothing can be written in checkpoints (Read-only file system)"),
    "folder read-only during the run": (read_only(1), " can't be written (Read-only file system)"),
    "a file in the folder's place": (a_file_is_there, "nothing can be written in checkpoints (File exists)"),
    "a second run of the same name": (locked, f"checkpoints/T is being trained by process {os.getpid()} on"),
    "a changed bit in the checkpoint": (damaged(flip), OFFER),
    "a truncated checkpoint": (damaged(lambda content, draw: content[: draw.randrange(len(content))]), OFFER),
    "a removed checkpoint": (damaged(lambda content, draw: None), OFFER),
    "a checkpoint of a newer version": (damaged(newer), "was written by a newer moonshine"),
    "a checkpoint that would run code": (damaged(code), "loading it would run code: "),
}


def prepare(folder):
    """A run that has finished two of three epochs."""
    for epochs in (1, 2):
        assert train(folder, epochs) == (0, "")


def try_once(name, start, expected, draw) -> tuple[bool, str]:
    """One try of a fault: whether nothing was lost, and what the user reads."""
    fault, message = FAULTS[name]
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top, "checkpoints")
        shutil.copytree(start, folder)
        with fault(folder, draw) as repair:
            before = files(folder)
            status, said = train(folder, 3)
            said = said.replace(str(folder), "checkpoints")
            assert (status, said.count("\n")) == (2, 1) and said.startswith("moonshine: "), (
                name,
                status,
                said,
            )
            assert message in said, (name, said)
            after = files(folder)
        if repair:
            repair()
        assert before.keys() - {LOCK} == after.keys() - {LOCK}, (name, "something was left behind")
        assert all(before[key] == after[key] for key in before), (name, "something good was overwritten")
        assert train(folder, 3)[0] == 0
        return equal(result(folder), expected), said.strip().removeprefix("moonshine: ")


def removed_folder(start, expected, draw) -> tuple[bool, str]:
    """The folder is removed while the run computes: it is made again, and all that the run knows is in it."""
    with tempfile.TemporaryDirectory() as top:
        folder, real, left = Path(top, "checkpoints"), loop.check_finite, [draw.randrange(4)]
        shutil.copytree(start, folder)

        def remove(*arguments):
            left[0] -= 1
            if left[0] == -1:
                shutil.rmtree(folder)
            return real(*arguments)

        with patch("moonshine.training.loop.check_finite", remove):
            status, said = train(folder, 3)
        said = said.replace(str(folder), "checkpoints")
        assert (
            status == 0
            and said.count("\n") == 1
            and "note: checkpoints was removed or cleared during the run; all is written anew" in said
        ), said
        return equal(result(folder), expected), said.strip().removeprefix("moonshine: ")


def main(tries=3, names=None, seed=0) -> list[dict]:
    """Try every fault; one entry a fault: how often, how often the run came to its proper end, and
    what the user reads.
    """
    few, draw, entries = shapes(train=64, test=32), random.Random(seed), []
    with patch.dict(DATASETS, shapes=lambda *arguments: few), tempfile.TemporaryDirectory() as top:
        start, whole = Path(top, "start"), Path(top, "whole")
        prepare(start)
        shutil.copytree(start, whole)
        train(whole, 3)
        expected = result(whole)
        for name in names or [*FAULTS, "folder removed during the run"]:
            ends = [
                try_once(name, start, expected, draw)
                if name in FAULTS
                else removed_folder(start, expected, draw)
                for _ in range(tries)
            ]
            reads = re.sub(
                r"process \d+ on \S+, since [\d: -]+", "process PID on HOST, since TIME", ends[0][1]
            )
            entries.append(
                dict(
                    fault=name,
                    tries=tries,
                    survived=sum(same for same, _ in ends),
                    lost=sum(not same for same, _ in ends),
                    reads=reads,
                )
            )
    assert "MOONSHINE_CODE_RAN" not in os.environ
    return entries


if __name__ == "__main__":
    print(json.dumps(main(*map(int, sys.argv[1:])), indent=1))
