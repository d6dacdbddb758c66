"""Generated from nbs/cli/62_running.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.running import *


import contextlib
import io
import os
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import torch
from fastcore.test import test_eq, test_fail

from moonshine.cli.options import RunOptions
from moonshine.data.drawing import shapes


def test_settings_come_from_options():
    settings = run_settings(RunOptions(device="cpu", save_every=5), "run")
    test_eq(settings, RunSettings("run", "checkpoints", torch.device("cpu"), save_every=5))
    test_fail(lambda: run_settings(RunOptions(), "a/b"), contains="invalid run name")


def test_a_teacher_is_found_by_name():
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "old.t7").touch()
        test_eq(teacher_file(["new", "old"], folder), Path(folder, "old.t7"))
        Path(folder, "old.pt").touch()
        test_eq(teacher_file(["old"], folder), Path(folder, "old.pt"))
        test_fail(lambda: teacher_file(["new"], folder), contains="moonshine train DATASET teacher -t new")


def test_a_teacher_and_its_data_belong_together():
    pets = SimpleNamespace(name="pets", classes=("cat", "dog"))
    saved = dict(num_classes=2, classes=["cat", "dog"])
    check_classes(saved, pets)
    check_classes(dict(num_classes=2), pets)  # an older checkpoint
    test_fail(
        lambda: check_classes(dict(num_classes=3), pets), contains="3 classes, but pets has 2; use a teacher"
    )
    turned = dict(saved, classes=["dog", "cat"])
    test_fail(lambda: check_classes(turned, pets), contains="classes of pets in another order")
    vehicles = dict(saved, classes=["bus", "car"])
    test_fail(lambda: check_classes(vehicles, pets), contains="other classes than pets, such as bus for cat")

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_if_unfinished(dict(recipe=dict(epochs=2), history=[{}, {}]), "t.pt")
        warn_if_unfinished({}, "t.pt")  # of another program
        warn_if_unfinished(dict(recipe=dict(epochs=200), history=[{}]), "t.pt")
    test_eq([str(one.message) for one in said], ["the teacher t.pt is not finished: epoch 1 of 200"])

    data = shapes(train=10, test=10)
    how = dict(mean=[0.1, 0.2, 0.3], std=[1.0, 1.0, 1.0])
    test_eq(normalized_by(data, how).normalization(), how)
    assert normalized_by(data, None) is data


def test_a_run_is_announced_and_saved():
    from moonshine.data.drawing import shapes
    from moonshine.losses.base import cross_entropy
    from moonshine.models.wide_resnet import wrn
    from moonshine.training.recipe import Recipe

    with tempfile.TemporaryDirectory() as folder:
        settings = RunSettings("tiny", os.path.join(folder, "checkpoints"), torch.device("cpu"))
        network, data = wrn(10, 0.5), shapes(64, 32)
        with contextlib.redirect_stdout(io.StringIO()) as out:
            history = run_training(network, data, cross_entropy(), Recipe(1, 32, epoch_step=()), settings)
        print(out.getvalue().replace(folder, "FOLDER"))
        test_eq((len(history), os.path.exists(f"{settings.directory}/tiny.pt")), (1, True))
