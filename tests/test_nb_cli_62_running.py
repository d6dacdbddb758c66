"""Generated from nbs/cli/62_running.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.running import *


import contextlib
import io
import os
import tempfile
from pathlib import Path

import torch
from fastcore.test import test_eq, test_fail

from moonshine.cli.options import RunOptions


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
