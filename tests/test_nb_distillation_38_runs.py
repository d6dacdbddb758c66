"""Generated from nbs/distillation/38_runs.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.runs import *


import json
import os
import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import torch
from fastcore.test import test_eq, test_fail

from moonshine.models.wide_resnet import wrn
from moonshine.training import checkpoints
from moonshine.training.progress import RunningAverage
from moonshine.training.recipe import Recipe


def test_a_name_is_no_path():
    for name in ("T", "wrn_40_2.student", "a+b-2", "élève", "T.before.2", "before", "-1"):
        test_eq(check_run_name(name), name)
    for name in ("", ".", "..", ".T", "a/b", "/T", "../T", "a\\b", "a b", "a\n", "a\0", "a:b", "a*", 7, None):
        test_fail(
            lambda: check_run_name(name), contains="and don't start with a dot; folders go into --checkpoint_dir"
        )
    for name in ("T.before", "T.previous", "T.previous.before", "T.BEFORE"):
        test_fail(lambda: check_run_name(name), contains="names that end in .before or .previous are reserved")
    test_fail(
        lambda: check_run_name("T.epoch-3"), contains="names that end in .epoch-N are reserved for --keep_epochs"
    )
    test_fail(lambda: check_run_name("é" * 101), contains="a run name of 202 bytes is too long; use 200 or fewer")


def test_an_older_run_of_a_name_is_kept_whole():
    with tempfile.TemporaryDirectory() as folder:
        run, model = Run("T", folder), wrn(10, 0.5)

        def write(number, *files):
            for suffix in files:
                path = Path(folder, f"T{suffix}")
                if path.suffix == ".pt":
                    checkpoints.save(path, model, number=number)
                else:
                    path.write_text(json.dumps(dict(epoch=number)) + "\n")

        def found(path):
            return (
                checkpoints.read(path)["number"]
                if path.suffix == ".pt"
                else json.loads(path.read_text())["epoch"]
            )

        def runs():
            return {path.name.removeprefix("T."): found(path) for path in sorted(Path(folder).iterdir())}

        write(1, ".pt", ".before.pt", ".jsonl")
        move_previous(run)
        test_eq(runs(), {"previous.before.pt": 1, "previous.jsonl": 1, "previous.pt": 1})
        move_previous(run)  # the second run had saved nothing: the first stays
        test_eq(runs(), {"previous.before.pt": 1, "previous.jsonl": 1, "previous.pt": 1})
        write(3, ".pt")  # the third was stopped early in its first epoch
        move_previous(run)
        test_eq(runs(), {"previous.pt": 3})  # and nothing is left of another run next to it
        write(4, ".before.pt", ".jsonl")  # of the fourth somebody removed the checkpoint
        move_previous(run)
        test_eq(runs(), {"previous.jsonl": 4, "previous.pt": 4})
        write(5, ".jsonl")  # of the fifth everything but the history
        move_previous(run)
        test_eq(runs(), {"previous.jsonl": 5, "previous.pt": 4})


def test_files_that_no_run_wrote_stay_where_they_are():
    with tempfile.TemporaryDirectory() as folder:
        run = Run("data", folder)
        for name in ("data.jsonl", "data.pt", "data.before.pt", "data.previous.jsonl", "data.previous.pt"):
            path = Path(folder, name)
            torch.save(dict(rows=1), path) if path.suffix == ".pt" else path.write_text('{"question": "?"}\n')
            content = path.read_bytes()
            test_fail(
                lambda: move_previous(run), contains=f"{path} was not written by a run of moonshine; move it away"
            )
            test_eq((os.listdir(folder), path.read_bytes()), ([name], content))
            path.unlink()
        run.history.touch()  # nothing is lost with an empty file
        move_previous(run)


def test_the_last_epochs_are_kept_if_asked():
    with tempfile.TemporaryDirectory() as folder:
        run, model = Run("T", folder), wrn(10, 0.5)

        def epochs():
            return {path.name: checkpoints.read(path)["epoch"] for path in sorted(Path(folder).glob("*epoch-*"))}

        for epoch in range(8, 13):
            checkpoints.save(run.checkpoint, model, epoch=epoch)
            run.keep_epoch(epoch, 3)
        test_eq(epochs(), {"T.epoch-10.pt": 10, "T.epoch-11.pt": 11, "T.epoch-12.pt": 12})
        for epoch in (1, 2):
            move_previous(run)
            checkpoints.save(run.checkpoint, model, epoch=epoch)
            run.keep_epoch(epoch, 1)
        test_eq(epochs(), {"T.epoch-2.pt": 2, "T.previous.epoch-1.pt": 1})  # of two runs, not mixed
        Path(folder, "T.epoch-3.pt").write_bytes(b"mine")
        test_fail(lambda: run.keep_epoch(3, 1), contains="T.epoch-3.pt was not written by a run of moonshine")


def test_every_number_of_a_row_is_logged():
    import importlib.util
    from unittest.mock import patch

    if importlib.util.find_spec("tensorboard"):
        with tempfile.TemporaryDirectory() as folder, patch("torch.utils.tensorboard.SummaryWriter") as writer:
            tensorboard_logger(Run("T", folder), 0)(dict(epoch=1, train_error=50.0, my_term=0.5))
        logged = [call.args for call in writer.return_value.add_scalar.call_args_list]
        test_eq(logged, [("epoch", 1, 1), ("train_top1", 50.0, 1), ("my_term", 0.5, 1)])
    test_eq(log_nothing({}), None)


def test_saved_by_steps_or_by_time_and_once_where_nothing_is_new():
    class Standing:
        def __init__(self, count):
            self.history, self.means = [], RunningAverage(count=count)


    saved = []
    checkpointer = Checkpointer(lambda state: saved.append(state.means.count), every=3)
    for count in (1, 2, 3, 4, 5, 6, 7, 7, 7, 7, 7):
        checkpointer.after_step(Standing(count))
    test_eq(saved, [3, 6, 7])
    saved.clear()
    now = iter([0, 59, 60, 60, 61, 121, 121])
    checkpointer = Checkpointer(lambda state: saved.append(state.means.count), clock=lambda: next(now))
    for count in (1, 2, 3, 4):
        checkpointer.after_step(Standing(count))
    test_eq(saved, [2, 4])


def test_a_recipe_may_change_if_the_epochs_so_far_do_not():
    was, now = asdict(Recipe(2, epoch_step=(1,))), Recipe(3, epoch_step=(1, 2), eval_every=0, compile=True)
    test_eq(changed_recipe(was, now, 2), [])  # longer, with one more drop that is yet to come
    test_eq(
        changed_recipe(was, replace(now, epoch_step=(2,)), 2),
        ["epoch_step is (2,) (was (1,))"],  # the drop came already
    )
    test_eq(changed_recipe(was, replace(now, epoch_step=(2,)), 1), [])
    cosine = asdict(Recipe(10, schedule="cosine"))
    test_eq(changed_recipe(cosine, Recipe(20, schedule="cosine"), 3), ["epochs is 20 (was 10)"])
    test_eq(changed_recipe(was, replace(now, weight_decay=0.1), 1), ["weight_decay is 0.1 (was 0.0005)"])
    test_eq(changed_recipe(dict(epochs=3, seed=1), Recipe(3, seed=1, amp="bf16"), 1), [])  # of an older version


def test_what_differs_is_said_in_words():
    test_eq(
        differences("method", dict(alpha=0.5, beta=0), dict(alpha=0.9, beta=0)), ["method alpha is 0.9 (was 0.5)"]
    )
    test_eq(differences("teacher", "a" * 64, "b" * 64), ["the teacher is another one"])
    test_eq(differences("classes", ("a", "b"), ["a", "b"]), [])
    one, other = wrn(10, 0.5), wrn(10, 0.5)
    other.load_state_dict(one.state_dict())
    test_eq(weights_digest(one), weights_digest(other.to(memory_format=torch.channels_last)))
    other.fc.bias.data[0] += 1e-6
    assert weights_digest(one) != weights_digest(other)
