"""Limits of the machine and of numbers: the command works, or says in one line what to change."""

import io
import os
import subprocess
import sys

import pytest
import torch

from moonshine.cli.program import main
from moonshine.data import registry

SMALL = "--wrn_depth 10 --wrn_width 0.5 --batch_size 32 --epoch_step [] --epochs 1".split()
SLOW = pytest.mark.slow
TRAIN = ["train", "shapes", "teacher", "-t", "T", *SMALL]


FEW = """
from moonshine.data import registry
few = registry.shapes(64, 32)
registry.DATASETS["shapes"] = lambda *arguments: few
"""


def program(folder, *words, before="", shell="", **environment):
    """Run the command line as a program, with few images; `shell` redirects its output."""
    images = FEW if words[-1] != "-h" and "shapes" in words else ""
    code = f"{images}{before}\nfrom moonshine.cli.program import main\nmain()"
    script = folder / "moonshine.code"
    script.write_text(code)
    variables = {name: value for name, value in (os.environ | environment).items() if value is not None}
    command = ["bash", "-c", f'"$0" "$@" {shell}', sys.executable, str(script), *words]
    return subprocess.run(
        command,
        cwd=folder,
        env=variables,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
    )


@pytest.fixture
def few(tmp_path, monkeypatch):
    """An empty folder, and few drawn images."""
    monkeypatch.chdir(tmp_path)
    images = registry.shapes(64, 32)
    monkeypatch.setitem(registry.DATASETS, "shapes", lambda *arguments: images)


def one_line(text):
    """Whether a text is one line of an error message."""
    return text.count("\n") == 1 and text.startswith("moonshine: ") and "Traceback" not in text


# Numbers.

NUMBERS = [
    ("--wrn_width nan", "--wrn_width is nan; it must be between 0 and 1000"),
    ("--wrn_width inf", "--wrn_width is inf; it must be between 0 and 1000"),
    ("--wrn_width 1e300", "--wrn_width is 1e+300; it must be between 0 and 1000"),
    ("--wrn_width -1", "--wrn_width is -1.0; it must be between 0 and 1000"),
    ("--wrn_depth 1000000000", "--wrn_depth is 1000000000; it must be between 1 and 10000"),
    ("--wrn_depth -2", "--wrn_depth is -2; it must be between 1 and 10000"),
    ("--temperature 1e300", "--temperature is 1e+300; it must be between 0.001 and 10000.0"),
    ("--temperature 1e-300", "--temperature is 1e-300; it must be between 0.001 and 10000.0"),
    ("--temperature nan", "--temperature is nan; it must be between 0.001 and 10000.0"),
    ("--beta 1e300", "--beta is 1e+300; it must be between 0 and 1000000000000.0"),
    ("--alpha inf", "--alpha is inf; it must be between 0 and 1"),
    (f"--seed {2**63}", f"seed is {2**63}; it must be 18446688733643 or less"),
    (f"--seed {2**64 + 1}", f"seed is {2**64 + 1}; it must be 18446688733643 or less"),
    ("--seed -1", "seed is -1; it must be 0 or more"),
    (f"--epochs {10**21}", f"--epochs is {10**21}; it must be between 1 and 1000000"),
    ("--epochs 0", "--epochs is 0; it must be between 1 and 1000000"),
    ("--lr nan", "learning_rate is nan; it must be 0 or more"),
    ("--lr 1e400", "learning_rate is inf; it must be 0 or more"),
    ("--weightDecay -1", "weight_decay is -1.0; it must be 0 or more"),
    ("--image_size 99999999999", "--image_size is 99999999999; it must be between 8 and 10000"),
    ("--workers 1000000000", "--workers is 1000000000; it must be between 0 and 1000"),
    ("--save_every -1", "--save_every is -1; it must be 0 or more"),
    ("--keep_epochs -1", "--keep_epochs is -1; it must be 0 or more"),
]


@pytest.mark.kind("Numbers beyond their limits")
@pytest.mark.parametrize("words, message", NUMBERS, ids=[words for words, _ in NUMBERS])
def test_a_number_beyond_its_limits_is_one_line(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main([*TRAIN, *words.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"moonshine: {message}\n")
    assert not list(tmp_path.iterdir())


@pytest.mark.kind("Numbers beyond their limits")
@pytest.mark.parametrize(
    "words", ["--lr 1e39", "--weightDecay 1e300", f"--batch_size {10**23}", "--seed 18446688733643"]
)
def test_a_large_number_within_its_limits_works_or_is_one_line(few, capsys, words):
    status, err = main([*TRAIN, *words.split()]), capsys.readouterr().err
    assert (status, err) == (0, "") or status == 2 and one_line(err)


# Memory.

ERRORS = [
    (
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you "
            "tried to allocate 530841600 bytes. Error code 12 (Cannot allocate memory)"
        ),
        " (530841600 bytes more were asked for)",
    ),
    (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total of ..."),
        " (2.50 GiB more were asked for)",
    ),
    (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), ""),
    (MemoryError(), ""),
]


def fail_later(monkeypatch, error, calls):
    """Let a convolution raise an error after so many calls."""
    real, left = torch.nn.Conv2d._conv_forward, [calls]

    def conv(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise error
        return real(*arguments)

    monkeypatch.setattr(torch.nn.Conv2d, "_conv_forward", conv)


@pytest.mark.kind("Out of memory")
@pytest.mark.parametrize("error, asked", ERRORS, ids=["CPU", "GPU", "cuBLAS", "Python"])
@pytest.mark.parametrize("calls", [0, 5])
def test_out_of_memory_is_advice(few, monkeypatch, capsys, error, asked, calls):
    fail_later(monkeypatch, error, calls)
    assert main(TRAIN) == 2
    assert capsys.readouterr().err == (
        f"moonshine: out of memory{asked}; use a smaller --batch_size, smaller images (--image_size) or a "
        "smaller network; what was saved is kept\n"
    )


@pytest.mark.kind("Out of memory")
def test_another_runtime_error_keeps_its_traceback(few, monkeypatch):
    fail_later(monkeypatch, RuntimeError("shapes differ"), 5)
    with pytest.raises(RuntimeError, match="shapes differ"):
        main(TRAIN)


@pytest.mark.slow
@pytest.mark.kind("Out of memory")
@pytest.mark.skipif(sys.platform != "linux", reason="limits the memory as Linux does")
@pytest.mark.parametrize("words", ["--wrn_width 60", "--wrn_width 4 --batch_size 10000 --image_size 32"])
def test_too_little_memory_is_advice(tmp_path, words):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (5 * 2**30, -1))"
    done = program(tmp_path, *TRAIN, *words.split(), before=f"few = registry.shapes(10000, 32); {limit}")
    assert done.returncode == 2 and one_line(done.stderr), done.stderr[-500:]
    assert "out of memory" in done.stderr


# Output.


@pytest.mark.kind("Output that can't be written")
@pytest.mark.parametrize(
    "shell", ["| head -1", *(pytest.param(how, marks=SLOW) for how in (">&-", "| true", ">&- 2>&-"))]
)
def test_a_training_goes_on_when_nobody_reads(tmp_path, shell):
    done = program(tmp_path, *TRAIN, shell=f"{shell}; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert (tmp_path / "checkpoints" / "T.pt").exists() and (tmp_path / "checkpoints" / "T.jsonl").exists()


@pytest.mark.kind("Output that can't be written")
@pytest.mark.parametrize(
    "words",
    [["--version"], ["train", "-h"], pytest.param(TRAIN, marks=SLOW), pytest.param(["costs"], marks=SLOW)],
    ids=" ".join,
)
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_one_line(tmp_path, words):
    done = program(tmp_path, *words, shell="> /dev/full")
    assert (done.returncode, done.stderr) == (
        2,
        "moonshine: standard output can't be written: No space left on device\n",
    )
    assert words != TRAIN or (tmp_path / "checkpoints" / "T.pt").exists()


@pytest.mark.kind("Output that can't be written")
@pytest.mark.parametrize("shell", ["2> /dev/full", "2>&-"])
def test_a_mistake_has_its_status_even_where_it_can_not_be_said(tmp_path, shell):
    assert program(tmp_path, "trian", shell=shell).returncode == 2


@pytest.mark.kind("Output that can't be written")
@pytest.mark.parametrize(
    "words", [["--help"], ["reproduce", "-h"], pytest.param(["costs"], marks=SLOW)], ids=" ".join
)
def test_a_closed_pipe_is_no_error(tmp_path, words):
    done = program(tmp_path, *words, shell="| head -1; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.count("\n") == 1


# Encodings.

ENCODINGS = [
    dict(PYTHONIOENCODING="ascii"),
    dict(LC_ALL="C"),
    dict(LC_ALL="C", PYTHONCOERCECLOCALE="0", PYTHONUTF8="0"),
    dict(PYTHONIOENCODING="latin-1"),
]


@pytest.mark.kind("ASCII locale")
@pytest.mark.parametrize("environment", ENCODINGS, ids=str)
def test_a_message_can_be_written_in_every_encoding(tmp_path, environment):
    done = program(tmp_path, "train", "folder", "×→", **environment)
    assert done.returncode == 2 and one_line(done.stderr) and "unknown mode" in done.stderr


@pytest.mark.kind("ASCII locale")
def test_ascii_has_plain_signs_for_ours(few, monkeypatch):
    ascii = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", ascii)
    assert main(TRAIN) == 0
    assert main(["train", "shapes", "student", "-t", "T", "-s", "S", "--alpha", "0.5", *SMALL]) == 0
    text = ascii.buffer.getvalue().decode("ascii")
    assert "ce: 0.5 x cross-entropy" in text.replace("0.05", "0.5") and "32x32" in text


@SLOW
@pytest.mark.kind("ASCII locale")
@pytest.mark.parametrize("environment", ENCODINGS, ids=str)
def test_every_encoding_will_do(tmp_path, environment):
    student = ["train", "shapes", "student", "-t", "T", "-s", "S", "--alpha", "0.5", *SMALL]
    for words in (TRAIN, student, ["costs"]):
        done = program(tmp_path, *words, **environment)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr[-300:]


# No home.

NOBODY = """
import os, pwd
def refuse(*arguments):
    raise KeyError("getpwuid(): uid not found: 12345")
pwd.getpwuid = refuse
"""


@pytest.mark.kind("No home folder")
@pytest.mark.parametrize(
    "before, home", [(NOBODY, None), (NOBODY, ""), ("", "/nonexistent"), ("", "/proc")], ids=repr
)
@SLOW
@pytest.mark.parametrize(
    "words",
    [TRAIN, "reproduce table2 --preset smoke --dry_run --data_dir nowhere".split(), ["costs"]],
    ids=lambda words: words[0],
)
def test_a_command_needs_no_home(tmp_path, before, home, words):
    done = program(tmp_path, *words, before=before, HOME=home)
    assert done.returncode == 0 and done.stderr == "" or done.returncode == 2 and one_line(done.stderr), (
        done.stderr
    )
    assert "home" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.kind("No home folder")
def test_a_tilde_without_a_home_is_one_line(tmp_path):
    words = "reproduce table2 --preset smoke --dry_run --out ~/results --data_dir".split()
    done = program(tmp_path, *words, "~/data", before=NOBODY, HOME=None)
    assert (done.returncode, done.stderr) == (
        2,
        "moonshine: there is no home folder here, so a path can't begin with ~; write it out\n",
    )
