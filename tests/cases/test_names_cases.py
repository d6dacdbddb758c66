"""Names of runs and their files: a name is a name, and nothing outside a run's own files is touched."""

import json
import os
import socket
from pathlib import Path

import pytest

from moonshine.cli.program import main
from moonshine.data import registry
from moonshine.data.drawing import shapes
from moonshine.errors import InputError
from moonshine.losses.base import cross_entropy
from moonshine.models.wide_resnet import wrn
from moonshine.training import checkpoints
from moonshine.training.loop import train
from moonshine.training.recipe import Recipe

SMALL = "--wrn_depth 10 --wrn_width 0.5 --batch_size 16 --epoch_step [] --epochs 1".split()
DATA = shapes(train=16, test=16)


@pytest.fixture(autouse=True)
def few(tmp_path, monkeypatch):
    """An empty folder, and few drawn images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(registry.DATASETS, "shapes", lambda *arguments: DATA)


def teacher(name, *more):
    """Train a teacher of this name; returns the exit status."""
    return main(["train", "shapes", "teacher", "-t", name, *SMALL, *more])


def contents(folder="."):
    """All files below a folder, links as what they point to, without TensorBoard's."""
    found = [path for path in sorted(Path(folder).rglob("*")) if "tensorboard" not in path.parts]
    return {
        str(path): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in found
        if path.is_symlink() or path.is_file()
    }


PATHS = [
    "a/b",
    "../T",
    "/tmp/T",
    "./T",
    "a\\b",
    "T/",
    "..",
    ".",
    "",
    ".hidden",
    "a b",
    "a\nb",
    "a\0b",
    "a:b",
    "*",
    "~",
]
RESERVED = ["T.before", "T.previous", "T.Before", "a.previous.before"]


@pytest.mark.kind("A name is no path")
@pytest.mark.parametrize("name", PATHS, ids=repr)
def test_a_path_is_no_name(capsys, name):
    assert teacher(name) == 2
    assert capsys.readouterr().err == (
        f"moonshine: invalid run name {name!r}: use letters, digits and . _ - +, and don't start with a dot; "
        "folders go into --checkpoint_dir\n"
    )
    assert contents() == {}


@pytest.mark.kind("A name is no path")
@pytest.mark.parametrize("name", ["a/b", "..", "", None, 7, b"T"], ids=repr)
def test_a_path_is_no_name_in_python_either(name):
    with pytest.raises(InputError, match="invalid run name"):
        train(wrn(10, 0.5), DATA, cross_entropy(), Recipe(1, 16), name, "checkpoints", quiet=True)
    assert contents() == {}


@pytest.mark.kind("A name is no path")
@pytest.mark.parametrize("name", ["x" * 201, "é" * 101, "x" * 5000])
def test_a_name_must_fit_into_a_file_name(capsys, name):
    assert teacher(name) == 2
    assert capsys.readouterr().err == (
        f"moonshine: a run name of {len(name.encode())} bytes is too long; use 200 or fewer\n"
    )


@pytest.mark.kind("A name is no path")
@pytest.mark.parametrize("name", ["T", "uv", "wrn_40_2.student", "a+b-2", "élève", "-1", "x" * 200])
def test_a_name_makes_its_files(name):
    assert teacher(name) == 0
    assert set(contents()) == {f"checkpoints/{name}.pt", f"checkpoints/{name}.jsonl"}


@pytest.mark.kind("A run does not take another one's backups")
@pytest.mark.parametrize("name", [*RESERVED, "T.epoch-1", "T.EPOCH-12"])
def test_a_backup_is_no_run(capsys, name):
    assert teacher("T", "--keep_epochs", "1") == 0
    before = contents()
    assert teacher(name) == 2
    assert f"invalid run name {name!r}: names that end in " in capsys.readouterr().err
    assert contents() == before


@pytest.mark.kind("Locks leave other programs' files alone")
@pytest.mark.parametrize("name", ["uv", "poetry", "Cargo", "flake", "composer"])
def test_a_package_manager_keeps_its_lock(name):
    Path(f"{name}.lock").write_text("version = 1\n")
    Path(f".{name}.lock").write_text("")
    before = contents()
    assert teacher(name, "--checkpoint_dir", ".") == 0
    assert {path: content for path, content in contents().items() if path in before} == before


LOCK = Path("checkpoints") / checkpoints.lock_file("T").name


@pytest.mark.kind("Locks leave other programs' files alone")
@pytest.mark.parametrize("target", ["precious", "missing", "/dev/null", "."])
def test_a_lock_that_is_a_link_is_not_followed(capsys, target):
    LOCK.parent.mkdir()
    Path("precious").write_text("hours of work")
    LOCK.symlink_to(target if target.startswith("/") else Path("..", target))
    before = contents()
    assert teacher("T") == 2
    assert capsys.readouterr().err == (
        f"moonshine: {LOCK} is not a lock file of moonshine; move it away, or give this run another name\n"
    )
    assert contents() == before


@pytest.mark.kind("Locks leave other programs' files alone")
@pytest.mark.parametrize("kind", ["text", "a folder", "a pipe", "a socket", "a second name"])
def test_a_lock_of_another_program_stays(capsys, kind):
    LOCK.parent.mkdir()
    if kind == "text":
        LOCK.write_text('{"process": 1}')
    elif kind == "a folder":
        LOCK.mkdir()
    elif kind == "a pipe":
        os.mkfifo(LOCK)
    elif kind == "a socket":
        place = socket.socket(socket.AF_UNIX)
        place.bind(str(LOCK))
    else:
        Path("precious").write_text("hours of work")
        os.link("precious", LOCK)
    before = contents()
    assert teacher("T") == 2
    assert "is not a lock file of moonshine" in capsys.readouterr().err and contents() == before
    assert os.path.lexists(LOCK)


FOREIGN = ["T.pt", "T.jsonl", "T.before.pt", "T.previous.pt", "T.previous.jsonl", "T.epoch-1.pt"]


@pytest.mark.kind("Files that no run wrote stay")
@pytest.mark.parametrize("file", FOREIGN)
@pytest.mark.parametrize("more", [[], ["--resume"]], ids=["new", "resumed"])
def test_a_new_run_moves_no_file_of_others(capsys, file, more):
    Path("checkpoints").mkdir()
    Path("checkpoints", file).write_text('{"question": "mine"}\n')
    before = contents()
    assert teacher("T", "--keep_epochs", "1", *more) == 2
    assert f"checkpoints/{file} " in capsys.readouterr().err
    assert contents() == before


@pytest.mark.kind("Files that no run wrote stay")
@pytest.mark.parametrize("file", ["T.jsonl", "T.before.pt", "T.epoch-2.pt"])
def test_a_resumed_run_overwrites_no_file_of_others(capsys, file):
    assert teacher("T") == 0
    Path("checkpoints", file).write_text('{"question": "mine"}\n')
    before = contents()
    assert teacher("T", "--epochs", "2", "--resume", "--keep_epochs", "2") == 2
    assert capsys.readouterr().err == (
        f"moonshine: checkpoints/{file} was not written by a run of moonshine; move it away, or give this "
        "run another name\n"
    )
    assert contents() == before


@pytest.mark.kind("Files that no run wrote stay")
@pytest.mark.parametrize("name", ["README.md", "c.toml", "data.csv"])
def test_settings_overwrite_only_settings(capsys, name):
    words = ["train", "shapes", "teacher", "--save_config", name]
    Path(name).write_text("mine")
    assert main(words) == 2
    assert capsys.readouterr().err == (
        f"moonshine: --save_config {name}: this file was not written by --save_config; name another one\n"
    )
    Path(name).unlink()
    assert main(words) == 0 and main([*words, "--epochs", "7"]) == 0
    assert "\nepochs = 7 " in Path(name).read_text()


LAYOUTS = [[], ["--save_every", "1"], ["--keep_epochs", "2"], ["--checkpoint_dir", "deep/er"]]


@pytest.mark.kind("The older run of a name is kept")
@pytest.mark.parametrize("more", LAYOUTS, ids=" ".join)
def test_the_last_run_of_a_name_is_kept_whole(more):
    folder = Path(more[1] if "--checkpoint_dir" in more else "checkpoints")
    for seed in (1, 2, 3):
        before = contents(folder)
        assert teacher("T", "--epochs", "2", "--seed", str(seed), *more) == 0
        after = contents(folder)
        moved = {
            path.replace("/T.", "/T.previous."): old for path, old in before.items() if "previous" not in path
        }
        assert {path: content for path, content in after.items() if "previous" in path} == moved
    assert checkpoints.describe(folder / "T.previous.pt")["recipe"]["seed"] == 2
    assert len([json.loads(line) for line in (folder / "T.previous.jsonl").read_text().splitlines()]) == 2


@pytest.mark.kind("The older run of a name is kept")
def test_a_run_that_never_saved_takes_nothing_away(capsys):
    assert teacher("T") == 0 and teacher("T", "--seed", "1") == 0
    kept = checkpoints.describe("checkpoints/T.previous.pt")["recipe"]["seed"]
    assert teacher("T", "--lr", "1e30", "--batch_size", "8", "--epochs", "2") == 2  # diverges at once
    assert teacher("T", "--lr", "1e30", "--batch_size", "8", "--epochs", "2") == 2
    assert (kept, checkpoints.describe("checkpoints/T.previous.pt")["recipe"]["seed"]) == (0, 1)
