"""Runs that are stopped and resumed: by signals in any order, by errors, and with something changed."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch

from moonshine.cli.program import main
from moonshine.data import registry
from moonshine.data.drawing import shapes
from moonshine.errors import InputError
from moonshine.losses.attention import student_loss
from moonshine.losses.base import cross_entropy
from moonshine.models.wide_resnet import wrn
from moonshine.training import checkpoints
from moonshine.training.loop import fit, train
from moonshine.training.recipe import Recipe
from moonshine.training.runs import Run

TERM, HUP, USR1, INT = signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT
FEW = ((HUP,), (TERM, TERM), (USR1, INT, HUP, TERM))  # the signals that a run receives, in this order
MANY = (
    (INT,),
    (USR1,),
    (INT, TERM),
    (INT, INT, INT),
    (TERM, HUP, USR1, INT),
    (USR1, INT, HUP, TERM, TERM, HUP, INT),
    (HUP, HUP, HUP, HUP, HUP, HUP),
)


def storms(orders, seed=0) -> list[dict]:
    """Start a run for each order of signals, send them within a second or so, and resume the run.

    It forks the runs, so it needs a process of its own: `python tests/cases/test_stop_and_go_cases.py`.
    """
    import kills

    kills.warm()
    draw, entries = random.Random(seed), []
    with tempfile.TemporaryDirectory() as top:
        whole, out = Path(top, "whole"), Path(top, "out")
        start = time.monotonic()
        assert kills.wait(kills.fork(kills.command(whole, out))) == 0
        seconds = time.monotonic() - start
        while len(entries) < len(orders):
            folder, order = Path(tempfile.mkdtemp(dir=top)), orders[len(entries)]
            out.write_text("")
            process = kills.fork(kills.command(folder, out))
            while not checkpoints.lock_file(folder / kills.NAME).exists():
                time.sleep(0.005)
            time.sleep(draw.uniform(0.1, 0.4) * seconds)
            os.kill(process, order[0])
            time.sleep(0.05)  # two that are pending at once reach a process in the order of their numbers
            for number in order[1:]:
                os.kill(process, number)  # a process that has ended takes it too: nobody has waited for it
                time.sleep(draw.choice([0, 0.001, 0.02, 0.1]))
            status, said = kills.wait(process), out.read_text()
            if "stopped in epoch" not in said and status == 0:
                continue  # it was faster: again
            assert kills.wait(kills.fork(kills.command(folder, out))) == 0
            same = kills.equal(kills.result(folder), kills.result(whole))
            entries.append(dict(status=status, stops=said.count("; saved, --resume"), said=said, equal=same))
    return entries


@cache
def stormy(orders: tuple) -> list[dict]:
    """What became of the runs that received these signals; it is found out once, in another process."""
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    done = subprocess.run(
        [sys.executable, __file__, json.dumps([list(map(int, order)) for order in orders])],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def names(order):
    """A readable name for a test."""
    return "-".join(number.name for number in order)


def check_storms(orders, order):
    """A run that received these signals was saved once, ended as it should, and could be resumed."""
    entry, first = stormy(orders)[orders.index(order)], order[0]
    assert entry["status"] == 128 + first, entry
    assert entry["stops"] == 1 and f"by {first.name}; saved" in entry["said"], entry
    assert "Traceback" not in entry["said"] and entry["equal"], entry


@pytest.mark.kind("Signals in any order and number")
@pytest.mark.parametrize("order", FEW, ids=names)
def test_signals_stop_a_run_once(order):
    check_storms(FEW, order)


@pytest.mark.slow
@pytest.mark.kind("Signals in any order and number")
@pytest.mark.parametrize("order", MANY, ids=names)
def test_more_signals_stop_a_run_once(order):
    check_storms(MANY, order)


# What resuming compares.

RECIPE = Recipe(epochs=2, batch_size=16, epoch_step=(1,), seed=3, augmentation=())
DATA = shapes(train=48, test=16)


def teacher(seed=1):
    """A small teacher."""
    torch.manual_seed(seed)
    return wrn(10, 0.5).eval()


def go(folder, recipe=RECIPE, data=DATA, guide=None, method=None, **options):
    """Train or resume a student of a teacher; returns its weights."""
    torch.manual_seed(recipe.seed)
    student = wrn(10, 0.5, "G(N)")
    method = dict(dict(alpha=0.5, beta=0.0, temperature=4.0), **(method or {}))
    loss = student_loss(10, 3, **method)
    guide = guide or teacher()
    train(student, data, loss, recipe, "S", folder, guide, resume=True, quiet=True, method=method, **options)
    return student.state_dict()


class After:
    """A `stop` that asks to stop after some steps."""

    def __init__(self, steps):
        self.steps = steps

    @property
    def signal(self):
        self.steps -= 1
        return TERM if self.steps < 0 else None

    @signal.setter
    def signal(self, number):
        pass


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A run that was stopped after its first epoch and a step."""
    folder = tmp_path_factory.mktemp("begun")
    go(folder, stop=After(5))
    assert 0 < checkpoints.describe(folder / "S.pt")["started"]["images"] < 48
    return folder


@pytest.fixture
def copy(begun, tmp_path):
    """A copy of it."""
    for file in begun.glob("S.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    return tmp_path


OTHER = [
    ("weight_decay is 0.1 (was 0.0005)", dict(recipe=replace(RECIPE, weight_decay=0.1))),
    ("learning_rate is 0.2 (was 0.1)", dict(recipe=replace(RECIPE, learning_rate=0.2))),
    ("batch_size is 24 (was 16)", dict(recipe=replace(RECIPE, batch_size=24))),
    ("momentum is 0.5 (was 0.9)", dict(recipe=replace(RECIPE, momentum=0.5))),
    ("amp is bf16 (was none)", dict(recipe=replace(RECIPE, amp="bf16"))),
    ("augmentation is ('flip',) (was ())", dict(recipe=replace(RECIPE, augmentation=("flip",)))),
    ("lr_decay_ratio is 0.5 (was 0.2)", dict(recipe=replace(RECIPE, lr_decay_ratio=0.5))),
    ("epoch_step is (5,) (was (1,))", dict(recipe=replace(RECIPE, epoch_step=(5,)))),
    ("method alpha is 0.9 (was 0.5)", dict(method=dict(alpha=0.9))),
    ("method temperature is 2.0 (was 4.0)", dict(method=dict(temperature=2.0))),
    ("the teacher is another one", dict(guide=teacher(2))),
]


@pytest.mark.kind("Resuming with something changed is refused")
@pytest.mark.parametrize("message, changed", OTHER, ids=[message for message, _ in OTHER])
def test_a_change_is_refused_or_meant(copy, message, changed):
    before = (copy / "S.pt").read_bytes()
    with pytest.raises(InputError) as refused:
        go(copy, **changed)
    assert str(refused.value) == (
        f"{copy / 'S.pt'} was trained otherwise: {message}; resume with what it began with, "
        "begin a new run, or say --resume_with_changes"
    )
    assert (copy / "S.pt").read_bytes() == before
    with pytest.warns(UserWarning) as said:
        go(copy, **changed, with_changes=True)
    assert [str(one.message) for one in said] == [f"S is resumed with changes: {message}"]
    info = checkpoints.describe(copy / "S.pt")
    assert info["epoch"] == 2 and info["method"] == dict(
        dict(alpha=0.5, beta=0.0, temperature=4.0), **changed.get("method", {})
    )


@pytest.mark.kind("Resuming with something changed is refused")
def test_one_pixel_and_one_label_are_noticed(tmp_path):
    go(tmp_path, replace(RECIPE, epochs=1))
    images, labels = DATA.train.images.clone(), DATA.train.labels.clone()
    images[7, 0, 3, 3] ^= 1
    labels[7] = (labels[7] + 1) % 10
    for part in (dict(images=images), dict(labels=labels)):
        with pytest.raises(InputError, match="the images of shapes are not those that it was trained on"):
            go(tmp_path, data=replace(DATA, train=replace(DATA.train, **part)))
    renamed = replace(DATA, classes=(*DATA.classes[:-1], "other"))
    with pytest.raises(InputError, match="was trained otherwise: the classes is another one|classes"):
        go(tmp_path, data=renamed)
    with pytest.raises(InputError, match="normalization mean"):
        go(tmp_path, data=replace(DATA, mean=(0.5, 0.5, 0.5)))


@pytest.mark.kind("Resuming with something changed is refused")
def test_in_the_middle_of_an_epoch_images_can_not_change(copy):
    with pytest.raises(InputError, match="in the middle of an epoch over other images than these of shapes"):
        go(copy, data=shapes(train=64, test=16), with_changes=True)


MAY = [
    dict(epochs=3),
    dict(epochs=3, epoch_step=(1, 2)),
    dict(epochs=4, epoch_step=(1, 3), eval_every=2),
    dict(eval_every=0),
]


@pytest.mark.kind("What may change when resuming, changes nothing")
@pytest.mark.parametrize("changes", MAY, ids=str)
def test_what_may_change_ends_as_if_it_had_been_so_from_the_start(copy, tmp_path_factory, changes):
    recipe = replace(RECIPE, **changes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        resumed = go(copy, recipe)
    whole = go(tmp_path_factory.mktemp("whole"), recipe)
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


@pytest.mark.kind("What may change when resuming, changes nothing")
def test_a_cosine_over_more_epochs_is_another_one(tmp_path):
    recipe = replace(RECIPE, schedule="cosine", epochs=2)
    go(tmp_path, recipe, stop=After(5))
    with pytest.raises(InputError, match=r"epochs is 3 \(was 2\)"):
        go(tmp_path, replace(recipe, epochs=3))


# Errors that nobody foresaw.


class Unreadable:
    """Data that fail at the batch with this number, counted over the run."""

    def __init__(self, data, number):
        self.data, self.left = data, number

    def __getattr__(self, name):
        return getattr(self.data, name)

    def __len__(self):
        return len(self.data)

    def train_batches(self, *arguments):
        for batch in self.data.train_batches(*arguments):
            if self.left == 0:
                raise OSError("the disk of the images is gone")
            self.left -= 1
            yield batch


@pytest.mark.kind("A checkpoint at an unforeseen error")
@pytest.mark.parametrize("number", [1, 2, 3, 5])
def test_an_error_between_two_steps_saves_the_run(tmp_path, number):
    with pytest.warns(UserWarning, match="saved before the error"), pytest.raises(OSError, match="is gone"):
        go(tmp_path / "broken", data=Unreadable(DATA, number))
    info = checkpoints.describe(tmp_path / "broken" / "S.pt")
    assert 48 * info["epoch"] + info["started"]["images"] == 16 * number
    resumed, whole = go(tmp_path / "broken"), go(tmp_path / "whole")
    assert all(torch.equal(resumed[name], value) for name, value in whole.items())


@pytest.mark.kind("A checkpoint at an unforeseen error")
def test_an_error_within_a_step_saves_nothing_by_halves(tmp_path):
    left = [4]

    def fail(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("a device is lost")

    torch.manual_seed(3)
    student = wrn(10, 0.5)
    student.fc.register_forward_hook(fail)  # batch norm has moved by then
    with pytest.raises(RuntimeError, match="is lost"):
        train(student, DATA, cross_entropy(), RECIPE, "S", tmp_path, quiet=True)
    info = checkpoints.describe(tmp_path / "S.pt") if (tmp_path / "S.pt").exists() else None
    assert info is None or not info["started"]["images"]


@pytest.mark.kind("History files are valid JSON")
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_history_holds_null_instead_of_nan(tmp_path, value):
    Run("S", tmp_path).write_history([dict(epoch=1, train_loss=value, test_error=12.5)])

    def refuse(word):
        raise AssertionError(word)

    (line,) = (tmp_path / "S.jsonl").read_text().splitlines()
    row = json.loads(line, parse_constant=refuse)
    assert row == dict(epoch=1, train_loss=None, test_error=12.5)


# Batch norms that are frozen.


@pytest.mark.kind("Frozen batch norm stays frozen")
@pytest.mark.parametrize("named", ["bn", "block2.0.layer.0.bn1", "all"])
@pytest.mark.parametrize("how", ["eval", "no gradient"])
def test_frozen_statistics_do_not_move(named, how):
    torch.manual_seed(0)
    model = wrn(10, 0.5).train()
    norms = {name: part for name, part in model.named_modules() if isinstance(part, torch.nn.BatchNorm2d)}
    frozen = (
        norms
        if named == "all"
        else {named: norms[named]}
        if named in norms
        else dict([next(iter(norms.items()))])
    )
    for norm in frozen.values():
        norm.eval() if how == "eval" else norm.requires_grad_(False)
    if how == "no gradient":
        model.eval()
    before = {name: norm.running_mean.clone() for name, norm in norms.items()}
    fit(model, DATA, cross_entropy(), RECIPE, quiet=True)
    for name, norm in norms.items():
        assert torch.equal(norm.running_mean, before[name]) == (name in frozen), name


@pytest.mark.kind("Frozen batch norm stays frozen")
def test_the_teacher_is_in_the_mode_it_was_in():
    guide = teacher().train()
    guide.fc.eval()
    fit(wrn(10, 0.5), DATA, student_loss(10, 3, 0.5, 0.0), replace(RECIPE, epochs=1), guide, quiet=True)
    assert guide.training and guide.conv1.training and not guide.fc.training


@pytest.mark.kind("Several checkpoints are kept")
@pytest.mark.parametrize("keep, kept", [(0, []), (1, [3]), (2, [2, 3]), (9, [1, 2, 3])])
def test_checkpoints_of_the_last_epochs_are_kept(tmp_path, monkeypatch, capsys, keep, kept):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(registry.DATASETS, "shapes", lambda *arguments: DATA)
    words = (
        "train shapes teacher -t T --wrn_depth 10 --wrn_width 0.5 --batch_size 24 --epochs 3 --epoch_step []"
    )
    assert main([*words.split(), "--keep_epochs", str(keep)]) == 0
    files = {path.name: checkpoints.describe(path)["epoch"] for path in tmp_path.glob("checkpoints/*epoch*")}
    assert files == {f"T.epoch-{epoch}.pt": epoch for epoch in kept}


if __name__ == "__main__":
    print(json.dumps(storms(json.loads(sys.argv[1]))))
