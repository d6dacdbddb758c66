"""Generated from nbs/cli/60_command_line.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.main import *


import contextlib
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from fastcore.test import test_close, test_eq, test_fail

from moonshine.errors import InputError


def run(*arguments):
    "Exit status, standard output and standard error of a command line"
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(list(arguments))
    return status, out.getvalue(), err.getvalue()


def test_epoch_step_is_a_list():
    test_eq(number_list("[60,120,160]"), (60, 120, 160))
    test_eq(number_list("[]"), ())
    for wrong in ("60", "[1.5]", "[-3]", "60,120", '["a"]'):
        test_fail(lambda: number_list(wrong), contains="is not a list of epochs")


def test_a_copied_course_overwrites_nothing():
    with tempfile.TemporaryDirectory() as name:
        source, target = Path(name, "course"), Path(name, "a", "mine")
        source.mkdir()
        for lesson in ("2_b.ipynb", "1_a.ipynb", "notes.ipynb"):
            (source / lesson).write_text(lesson)
        test_eq([path.name for path in lessons(source)], ["1_a.ipynb", "2_b.ipynb"])
        test_eq(copy_course(source, target), [])
        test_eq(sorted(path.name for path in target.iterdir()), ["1_a.ipynb", "2_b.ipynb"])
        (target / "1_a.ipynb").write_text("my answer")
        (target / "2_b.ipynb").unlink()
        test_eq(copy_course(source, target), ["1_a.ipynb"])
        test_eq(
            [(target / lesson).read_text() for lesson in ("1_a.ipynb", "2_b.ipynb")], ["my answer", "2_b.ipynb"]
        )
        test_fail(lambda: copy_course(source, source / "1_a.ipynb"), contains="is a file; name a folder")


def test_a_checkout_comes_before_the_installed_course():
    with tempfile.TemporaryDirectory() as name:
        package, checkout = Path(name, "moonshine"), Path(name, "nbs", "tutorials")
        test_fail(lambda: course_folder(package), contains="has no lessons")
        for folder in (package / "course", checkout):
            folder.mkdir(parents=True)
        (package / "course" / "1_a.ipynb").touch()
        test_eq(course_folder(package), (package / "course", False))
        (checkout / "1_a.ipynb").touch()
        test_eq(course_folder(package), (checkout, True))


def test_a_process_of_several_has_time_to_say_what_is_wrong():
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with patch.dict(os.environ, RANK="1"), patch("signal.alarm") as alarm, time_to_say():
        os.kill(os.getpid(), signal.SIGTERM)
        alarm.assert_called_once_with(5)
    test_eq(signal.getsignal(signal.SIGTERM), before)
    with time_to_say():
        test_eq(signal.getsignal(signal.SIGTERM), before)  # alone: nothing changes


def test_lab_opens_a_copy_of_the_course():
    import moonshine

    opened = []
    replacement_layers = patch.dict(sys.modules, {"jupyterlab.labapp": SimpleNamespace(main=opened.append)})
    with tempfile.TemporaryDirectory() as name, replacement_layers:
        package, mine = Path(name, "moonshine"), Path(name, "mine")
        (package / "course").mkdir(parents=True)
        (package / "course" / "1_a.ipynb").write_text("as the package has it")
        with patch.object(moonshine, "__file__", str(package / "__init__.py")):
            test_eq(run("lab", str(mine), "--no-browser", "--port", "9000")[::2], (0, ""))
            test_eq(opened, [[str(mine / "1_a.ipynb"), "--port=9000", "--no-browser"]])
            (mine / "1_a.ipynb").write_text("my answer")
            status, out, err = run("lab", str(mine))
            test_eq((status, err, len(opened), (mine / "1_a.ipynb").read_text()), (0, "", 2, "my answer"))
            assert out.startswith("kept as they are") and "1_a.ipynb" in out, out
            Path(name, "file").touch()
            for arguments, message in (
                ((str(Path(name, "file")),), "is a file"),
                (("--port", "0"), "--port is 0"),
                ((str(Path(name, "file", "below")),), "Not a directory"),
            ):
                status, out, err = run("lab", *arguments)
                test_eq((status, err.count("\n"), len(opened)), (2, 1, 2))
                assert message in err, err
    with patch.dict(sys.modules, {"jupyterlab.labapp": None}):
        status, out, err = run("lab")
        test_eq((status, out, err.count("\n")), (2, "", 1))
        assert "pip install jupyterlab" in err


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
    refused("unknown dataset 'cifar11'", "train", "cifar11", "teacher")
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
    assert "peak activation bytes  latency ms at batch 1  latency ms at batch 128" in out and "threads: " in out
    status, out, err = run("costs", "S", "--latency", "--table", "2")
    test_eq((status, out), (2, ""))
    assert "leave out the blocks and --latency" in err


def test_help_does_not_import_torch():
    code = "import sys; from moonshine.cli.main import main; main(['--help']); assert 'torch' not in sys.modules"
    test_eq(subprocess.run([sys.executable, "-c", code], capture_output=True).returncode, 0)


def test_report_needs_results():
    with tempfile.TemporaryDirectory() as folder:
        status, out, err = run("report", folder)
        test_eq((status, out, err.count("\n"), os.listdir(folder)), (2, "", 1, []))
        assert "it holds no result.json; run `moonshine reproduce` first" in err
        status, out, err = run("report", str(Path(folder, "nowhere")))
        test_eq((status, err.count("\n")), (2, 1))
