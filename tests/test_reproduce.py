"""`moonshine reproduce`: the smoke preset end to end, stopped, damaged, shared out, and on real images."""

import json
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import ROOT
from PIL import Image

from moonshine.cli.program import main
from moonshine.paper.planning import plan_runs
from moonshine.paper.results import read_result
from moonshine.paper.runner import fingerprint

PROGRAM = [sys.executable, "-m", "moonshine", "reproduce"]
FEW = [
    "table2",
    "--preset",
    "smoke",
    "--rows",
    "10-0.5",
    "--methods",
    "scratch,at",
    "--seeds",
    "1",
    "--quiet",
]


def program(*arguments):
    """Run the command; what it printed must hold no traceback."""
    done = subprocess.run([*PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=900)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def inside(capsys):
    """Run the command in this process, which has torch already: (status, standard output, standard error)."""

    def run(*arguments):
        capsys.readouterr()
        status = main(["reproduce", *map(str, arguments)])
        return status, *capsys.readouterr()

    return run


def result(folder: Path) -> dict:
    return read_result(folder / "result.json")


def history(folder: Path) -> list[dict]:
    """The history but for its times."""
    return [
        {key: value for key, value in row.items() if key not in ("seconds", "images_per_second")}
        for row in result(folder)["history"]
    ]


def contents(out: Path) -> dict:
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The smoke preset, run once by the program: (folder, what it printed, seconds)."""
    out = tmp_path_factory.mktemp("smoke")
    start = time.monotonic()
    done = program("table2", "--preset", "smoke", "--out", out, "--quiet")
    assert done.returncode == 0, done.stderr
    return out, done.stdout, time.monotonic() - start


def test_smoke_end_to_end(whole, record_property):
    out, text, seconds = whole
    record_property("seconds_of_the_smoke_preset", round(seconds, 1))
    runs = plan_runs("table2", "smoke")
    assert (
        sorted(path.parent.name for path in out.glob("*/result.json")) == sorted(run.name for run in runs)
        and len(runs) == 19
    )
    assert "drawn shapes, 512 training and 200 test images" in text and "19 are to be run, about" in text
    assert text.index("teacher-seed0: test error") < text.index("kd-seed0")
    for run in runs:
        found = result(out / run.name)
        assert (found["network"], found["block"], found["method"], found["seed"]) == (
            run.network,
            run.block,
            run.method,
            run.seed,
        )
        assert (
            found["teacher"] == run.teacher
            and found["real"] is False
            and len(found["history"]) == found["epochs"] == 3
        )
        assert found["command"].startswith("moonshine reproduce table2 --preset smoke")
        assert (
            set(found["history"][0]) & {"kd", "at"}
            == {"scratch": set(), "kd": {"kd"}, "at": {"at"}}[run.method]
        )
    assert len({json.dumps(history(out / run.name)) for run in runs}) == 19


def test_what_is_finished_is_not_touched(whole, inside):
    out, _, _ = whole
    before = contents(out)
    status, text, _ = inside("table2", "--preset", "smoke", "--out", out)
    assert status == 0 and "0 are to be run" in text
    assert contents(out) == before


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"test_error": ', '"test_error": 0', 1),
        lambda text: "",
    ],
    ids=["truncated", "edited", "empty"],
)
def test_a_damaged_result_is_told_and_made_again(whole, tmp_path, damage, inside):
    out = tmp_path / "out"
    runs = [run.name for run in plan_runs("table2", "smoke", rows="10-0.5", methods="scratch,at", seeds=1)]
    for name in runs:
        shutil.copytree(whole[0] / name, out / name)
    path = out / runs[1] / "result.json"
    path.write_text(damage(path.read_text()))
    bad, others = path.read_bytes(), {name: contents(out / name) for name in (runs[0], runs[2])}
    status, text, err = inside(*FEW, "--out", out)
    assert status == 0, err
    lines = [line for line in text.splitlines() if "and made again" in line]
    assert len(lines) == 1 and str(path) in lines[0]
    assert history(out / runs[1]) == history(whole[0] / runs[1])
    assert (out / "previous" / f"{runs[1]}.1" / "result.json").read_bytes() == bad
    assert {name: contents(out / name) for name in others} == others


@pytest.mark.parametrize("number, status", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_stopped_and_started_again_it_is_the_uninterrupted_run(whole, tmp_path, number, status, inside):
    def listen():  # a program started in the background of a script ignores Ctrl-C, and so would ours
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    names = [run.name for run in plan_runs("table2", "smoke", rows="10-0.5", methods="scratch,at", seeds=1)]
    running = subprocess.Popen(
        [*PROGRAM, *FEW, "--out", str(tmp_path), "--save_every", "1"],
        preexec_fn=listen,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (tmp_path / names[2] / "network.pt").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    running.send_signal(number)
    out, err = running.communicate(timeout=60)
    assert running.returncode == status and err == "", err
    assert (
        "stopped; run the same command to resume" in out
        and not (tmp_path / names[2] / "result.json").exists()
    )
    finished = {name: contents(tmp_path / name) for name in names[:2]}
    status, text, _ = inside(*FEW, "--out", tmp_path)
    assert status == 0 and "1 are to be run" in text and "moved to" not in text
    assert {name: contents(tmp_path / name) for name in names[:2]} == finished
    for name in names:
        assert history(tmp_path / name) == history(whole[0] / name), name


def test_shards_and_parallel_processes_come_to_the_same(whole, tmp_path, inside):
    first = tmp_path / "shards"
    status, _, err = inside(*FEW, "--out", first, "--shard", "2/2")
    assert status == 2 and err.count("\n") == 1 and "is not finished in" in err
    assert not first.exists()
    for shard in ("1/2", "2/2"):
        assert inside(*FEW, "--out", first, "--shard", shard)[0] == 0
    second = tmp_path / "parallel"
    assert inside(*FEW, "--out", second, "--parallel", "2")[0] == 0
    names = [run.name for run in plan_runs("table2", "smoke", rows="10-0.5", methods="scratch,at", seeds=1)]
    for out in (first, second):
        assert sorted(path.parent.name for path in out.glob("*/result.json")) == sorted(names)
        for name in names:
            assert history(out / name) == history(whole[0] / name), name


def test_a_teacher_from_elsewhere_and_fewer_images(whole, tmp_path, inside):
    """Students of a given checkpoint; in two processes, and again, when nothing may be left to do."""
    path = whole[0] / plan_runs("table2", "smoke")[0].name / "network.pt"
    command = *FEW, "--teacher", path, "--images_per_class", "10", "--parallel", "2", "--out", tmp_path
    status, text, err = inside(*command)
    assert (status, err) == (0, "")
    assert (
        "drawn shapes, 100 training and 200 test images" in text
        and "teacher, trained elsewhere: WRN-10-1 S, test error" in text
    )
    scratch, at = (
        result(tmp_path / f"smoke-cifar10-WRN-10-0.5-S-{method}-seed0") for method in ("scratch", "at")
    )
    assert at["given"]["test_error"] == result(path.parent)["last"]["test_error"]
    assert (
        at["teacher"] == "network.pt"
        and "given" not in scratch
        and "teacher" not in " ".join(p.name for p in tmp_path.iterdir())
    )
    before = contents(tmp_path)
    status, text, err = inside(*command)
    assert (status, err) == (0, "") and "2 runs in" in text and "; 0 are to be run" in text
    assert contents(tmp_path) == before


def test_parallel_processes_are_told_to_stop(tmp_path):
    """Two students that would train for long; both have begun."""
    running = subprocess.Popen(
        [
            *PROGRAM,
            *FEW,
            "--epochs",
            "5000",
            "--methods",
            "scratch",
            "--seeds",
            "2",
            "--out",
            str(tmp_path),
            "--parallel",
            "2",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while len(list(tmp_path.glob("*/network.pt"))) < 2:
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=120)
    assert running.returncode == 128 + signal.SIGTERM, (out, err)
    assert err == "" and "stopped; run the same command to resume" in out


@pytest.mark.parametrize(
    "message, arguments",
    [
        ("unknown table 'tabel2'; did you mean table2", ["tabel2"]),
        ("unknown preset 'cup'; did you mean cpu", ["table2", "--preset", "cup"]),
        ("unknown row 'G(N/7)'; did you mean G(N/", ["table2", "--rows", "G(N/7)"]),
        ("unknown method 'kd-papers'; did you mean kd-paper", ["table2", "--methods", "kd-papers"]),
        ("unknown dataset of this preset 'cifar1'", ["table2", "--dataset", "cifar1"]),
        ("--shard '3/2' is not a valid shard", ["table2", "--shard", "3/2"]),
        ("seeds is 0", ["table2", "--seeds", "0"]),
        ("epochs is -1", ["table2", "--epochs", "-1"]),
        ("--parallel is 0", ["table2", "--parallel", "0"]),
        ("unknown amp 'fp8'", ["table2", "--amp", "fp8"]),
        ("--download", ["table2", "--preset", "cpu", "--rows", "16-1", "--data_dir", "nowhere"]),
        ("--teacher nowhere.pt: No such file", ["table2", "--preset", "smoke", "--teacher", "nowhere.pt"]),
        (
            "is the teacher of all students",
            ["table2", "--preset", "smoke", "--teacher", "nowhere.pt", "--own_teachers"],
        ),
        (
            "--images_per_class is 55; it must be between 1 and 51",
            ["table2", "--preset", "smoke", "--images_per_class", "55"],
        ),
    ],
)
def test_mistakes_are_one_line(tmp_path, monkeypatch, capsys, message, arguments):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and message in err and not any(tmp_path.iterdir()), err


@pytest.mark.parametrize(
    "rows, students", [("ResNet-18-0.5", 1), pytest.param(None, 4, marks=pytest.mark.slow)]
)
def test_table3_at_smoke_size_in_imagenets_layout(tmp_path, capsys, rows, students):
    """The runs of Table 3, of one student or all, on twelve colored squares."""
    for part, count in (("train", 4), ("val", 2)):
        for number, name in enumerate(("n01440764", "n01443537")):
            folder = tmp_path / "images" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.new("RGB", (80, 70), (100 * number, 40 * i, 9)).save(folder / f"{i}.JPEG")
    out, command = (
        tmp_path / "out",
        [
            "reproduce",
            "table3",
            "--preset",
            "smoke",
            "--data_dir",
            str(tmp_path / "images"),
            "--workers",
            "0",
        ],
    )
    assert main([*command, "--out", str(out), "--quiet", *(["--rows", rows] if rows else [])]) == 0
    text = capsys.readouterr().out
    found = [result(path.parent) for path in out.glob("*/result.json")]
    assert Counter((row["role"], row["method"]) for row in found) == {
        ("teacher", "scratch"): 1,
        ("student", "scratch"): students,
        ("student", "at"): students,
    }
    assert {row["data"] for row in found} == {"images (64 pixels), 8 training and 4 test images"}
    assert "ResNet-18-0.5" in text


def test_plans_of_tables_3_and_4_need_no_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["reproduce", "table4"]) == 0
    assert "503,956" in capsys.readouterr().out
    assert main(["reproduce", "table3", "--rows", "ResNet-18"]) == 0
    text = capsys.readouterr().out
    assert (
        "100 epochs, batches of 256" in text
        and "140 GB" in text
        and "not run: table3 needs --data_dir" in text
    )
    assert text.count("  moonshine train imagenet") == 3 and not any(tmp_path.iterdir())


@pytest.fixture(scope="module")
def real_images(tmp_path_factory):
    """The first images of each class of CIFAR-10 as image files."""
    from conftest import find_shared

    root, taken = tmp_path_factory.mktemp("images"), Counter()
    with tarfile.open(find_shared("data/cifar10-jpg.tar.xz")) as tar:
        for member in tar:
            kind = tuple(member.name.split("/")[:2])
            if member.isfile() and taken[kind] < (6 if kind[0] == "train" else 3):
                taken[kind] += 1
                (root / member.name).parent.mkdir(parents=True, exist_ok=True)
                (root / member.name).write_bytes(tar.extractfile(member).read())
    return root


def test_the_cpu_preset_on_a_few_real_images(real_images, tmp_path, capsys):
    command = [
        "reproduce",
        "table2",
        "--preset",
        "cpu",
        "--rows",
        "16-1",
        "--methods",
        "scratch,kd-paper,kd+at",
        "--epochs",
        "1",
        "--data_dir",
        str(real_images),
        "--out",
        str(tmp_path),
    ]
    assert main(command) == 0
    assert "CIFAR-10 (JPEG), 60 training and 30 test images" in capsys.readouterr().out
    found = {
        row["method"]: row
        for row in (result(path.parent) for path in tmp_path.glob("*/result.json"))
        if row["role"] == "student"
    }
    assert {
        name: (row["alpha"], row["beta"], row["convention"], row["real"]) for name, row in found.items()
    } == {
        "scratch": (0, 0, "code", True),
        "kd-paper": (0.9, 0, "paper", True),
        "kd+at": (0.9, 1000, "code", True),
    }
    assert {"kd", "at"} <= set(found["kd+at"]["history"][0])


def test_table3_on_photographs(tmp_path, capsys):
    from conftest import find_shared

    with tarfile.open(find_shared("data/photos.tar.xz")) as tar:
        tar.extractall(tmp_path / "photos", filter="data")
    command = [
        "reproduce",
        "table3",
        "--preset",
        "smoke",
        "--rows",
        "G(4)",
        "--methods",
        "at",
        "--data_dir",
        str(tmp_path / "photos"),
    ]
    assert main([*command, "--out", str(tmp_path / "out"), "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "photos (64 pixels), 155 training and 38 test images" in text
    (student,) = (
        row
        for row in (result(path.parent) for path in (tmp_path / "out").glob("*/result.json"))
        if row["role"] == "student"
    )
    assert student["parameters"] < 8_177_832 and student["history"][0]["at"] > 0 and student["real"]


def test_fingerprints_of_the_first_version_stay_valid():
    """Finished runs in nbs/results must not be repeated by a later version."""
    folder = ROOT / "nbs" / "results" / "table2_cpu"
    found = [read_result(path) for path in sorted(folder.glob("*WRN-16-1*-scratch-*.json"))]
    (run,) = plan_runs("table2", "cpu", rows="16-1", methods="scratch", seeds=1, epochs=2)
    assert len(found) == 3
    for old in found:
        same = replace(run, seed=old["seed"], recipe=replace(run.recipe, seed=old["seed"]))
        assert fingerprint(same, old["images"], {}) == old["fingerprint"]
