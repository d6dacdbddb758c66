"""Generated from nbs/cli/69_main.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.program import *


import contextlib
import errno
import io
import os
import re
import signal
import subprocess
import sys
from unittest.mock import patch

from fastcore.test import test_eq

from moonshine.cli.program import SafeOutput, app, limit_reached, time_to_say


def run(*arguments):
    "Exit status, standard output and standard error of a command line."
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(arguments))
    return status, out.getvalue(), err.getvalue()


def test_what_cannot_be_written_is_dropped():
    class Broken(io.StringIO):
        encoding = "ascii"

        def __init__(self, number):
            super().__init__()
            self.number = number

        def write(self, text):
            if self.number:
                raise OSError(self.number, os.strerror(self.number))
            return super().write(text.encode("ascii").decode())


    for number, problem in (
        (errno.EPIPE, None),
        (errno.ENOSPC, "No space left on device"),
        (errno.EIO, "Input/output error"),
    ):
        out = SafeOutput(Broken(number))
        test_eq((out.write("epoch 1"), out.flush(), out.problem), (7, None, problem))
    test_eq((SafeOutput(None).write("epoch 1"), SafeOutput(None).isatty()), (7, False))
    out = SafeOutput(Broken(0))
    out.write("8×8 ± 1 → β")
    test_eq(out.stream.getvalue(), "8x8 +- 1 -> ?")


def test_a_machine_that_is_too_small_is_no_bug():
    import torch

    for error in (
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 530841600 bytes. Error"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 506.25 MiB. GPU 0 has a total"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        MemoryError(),
    ):
        print(limit_reached(error))
        assert limit_reached(error).startswith("out of memory")
    assert "(530841600 bytes more" in limit_reached(
        RuntimeError("can't allocate memory: you tried to allocate 530841600 bytes")
    )
    test_eq(limit_reached(RuntimeError("mat1 and mat2 shapes cannot be multiplied")), None)
    test_eq(limit_reached(ValueError("can't allocate memory")), None)


def test_a_process_of_several_has_time_to_say_what_is_wrong():
    before = signal.getsignal(signal.SIGTERM)
    with patch.dict(os.environ, RANK="1"), patch("signal.alarm") as alarm, time_to_say():
        os.kill(os.getpid(), signal.SIGTERM)
        alarm.assert_called_once_with(5)
    test_eq(signal.getsignal(signal.SIGTERM), before)
    with time_to_say():
        test_eq(signal.getsignal(signal.SIGTERM), before)  # alone: nothing changes


def test_mistakes_are_one_line_and_status_2():
    def refused(message, *arguments):
        status, out, err = run(*arguments)
        test_eq((status, err.count("\n")), (2, 1))
        assert message in err, err


    refused("unknown block 'G8X'", "train", "shapes", "teacher", "--conv", "G8X")
    refused("depth 17 is not 6n + 4", "train", "shapes", "teacher", "--wrn_depth", "17")
    refused("no teacher", "train", "shapes", "student", "-t", "nobody")
    refused("is not a list of epochs", "train", "shapes", "teacher", "--epoch_step", "60")
    refused("--lr", "train", "shapes", "teacher", "--lr", "fast")
    refused("unknown dataset 'cifar11'", "train", "cifar11", "teacher")
    refused("use teacher or student", "train", "shapes", "pupil")
    refused("--table 9", "costs", "--table", "9")
    refused("No such command 'trian'", "trian")


def test_every_command_has_help_with_examples():
    names = [command.name for command in app.registered_commands]
    for name in names:
        status, out, err = run(name, "-h")
        test_eq((status, err), (0, ""))
        assert re.search(rf"Examples:\n +moonshine {name}", out), name
        test_eq(out, run(name, "--help")[1])
    print(run("-h")[1])


def test_the_version_is_printed():
    from moonshine import __version__

    test_eq(run("--version"), (0, f"moonshine {__version__}\n", ""))


def test_help_does_not_import_torch():
    for arguments in (["--help"], ["train", "-h"], ["--version"]):
        code = f"from moonshine.cli.program import main; main({arguments})"
        code += "\nimport sys; sys.exit('torch' in sys.modules)"
        test_eq(subprocess.run([sys.executable, "-c", code], capture_output=True).returncode, 0)


def test_the_shell_completes_commands():
    environment = dict(os.environ, _MOONSHINE_COMPLETE="complete_bash", COMP_WORDS="moonshine tr", COMP_CWORD="1")
    code = "import sys; sys.argv = ['moonshine']; from moonshine.cli.program import main; main()"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    test_eq(done.stdout.split(), ["train"])
