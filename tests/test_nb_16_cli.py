"""Generated from nbs/16_cli.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli import *


import contextlib, io, os, subprocess, sys, tempfile
from pathlib import Path
from unittest.mock import patch
from fastcore.test import test_close, test_eq, test_fail
from moonshine.errors import InputError


def run(*arguments):
    "Exit status, standard output and standard error of a command line"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err): status = main(list(arguments))
    return status, out.getvalue(), err.getvalue()


def test_epoch_step_is_a_list():
    test_eq(number_list("[60,120,160]"), (60, 120, 160))
    test_eq(number_list("[]"), ())
    for wrong in ("60", "[1.5]", "[-3]", "60,120", '["a"]'):
        test_fail(lambda: number_list(wrong), contains="is not a list of epochs")


def test_what_fits_is_copied():
    from torchvision.models import resnet18
    pretrained, network = resnet18(weights=None).state_dict(), resnet18(weights=None, num_classes=5)
    test_eq(copy_fitting(network, pretrained), "120 tensors copied, new: fc.weight, fc.bias")
    test_close(network.conv1.weight.detach(), pretrained["conv1.weight"])


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
    refused("unknown data set 'cifar11'", "train", "cifar11", "teacher")
    refused("use teacher or student", "train", "shapes", "pupil")
    refused("--table 9", "costs", "--table", "9")


def test_costs_prints_the_totals():
    status, out, err = run("costs", "--table", "2")
    test_eq(status, 0)
    assert "cifar10: 25 of 26 totals are the paper's" in out and "cifar100: 26 of 26" in out and "243,706" in out
    for number, total in (("1", "17,408"), ("3", "8,177,832"), ("4", "503,956")):
        status, out, err = run("costs", "--table", number)
        test_eq((status, err), (0, ""))
        assert total in out and f"Table {number}: " in out, out
    print(run("costs", "S", "G8B2")[1])


def test_costs_measures_when_asked():
    status, out, err = run("costs", "S", "G(N)", "--wrn_depth", "10", "--wrn_width", "0.5", "--latency")
    test_eq((status, err), (0, ""))
    assert "peak activation bytes  ms at batch 1  ms at batch 128" in out and "threads: " in out
    status, out, err = run("costs", "S", "--latency", "--table", "2")
    test_eq((status, out), (2, ""))
    assert "leave out the blocks and --latency" in err


def test_help_does_not_import_torch():
    code = "import sys; from moonshine.cli import main; main(['--help']); assert 'torch' not in sys.modules"
    test_eq(subprocess.run([sys.executable, "-c", code], capture_output=True).returncode, 0)
