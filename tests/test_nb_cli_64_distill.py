"""Generated from nbs/cli/64_distill.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.distill_commands import *


import contextlib
import io
import os
import tempfile
from types import SimpleNamespace

import torch
from fastcore.test import test_close, test_eq, test_fail
from torchvision.models import resnet18


def test_options_become_recipes():
    teacher, student = ScheduleOptions(epochs=10, teacher_epochs=20, lr=0.2).recipes()
    test_eq((teacher.epochs, student.epochs, student.epoch_step, student.learning_rate), (20, 10, (3, 6, 8), 0.2))
    test_fail(lambda: ScheduleOptions(teacher_epochs=0).recipes(), contains="epochs is 0")
    test_eq(
        StudentOptions(keep="layer1, conv1").replacement(), dict(keep=["layer1", "conv1"], round_groups=False)
    )


def test_a_plan_is_printed():
    network, x = resnet18(num_classes=2), torch.randn(2, 3, 64, 64)
    job = SimpleNamespace(architecture="resnet18", student=StudentOptions("G(4)"), transfer=TransferOptions())
    check_job(job, network, x)
    print_plan(job, network, x)
    kept = SimpleNamespace(architecture="resnet18", student=StudentOptions("S"))
    test_fail(lambda: check_gain(kept, network), contains="S makes no convolution of resnet18 cheaper")


def test_what_fits_is_copied():
    pretrained, network = resnet18(weights=None).state_dict(), resnet18(weights=None, num_classes=5)
    test_eq(copy_fitting(network, pretrained), "120 tensors copied, new: fc.weight, fc.bias")
    test_close(network.conv1.weight.detach(), pretrained["conv1.weight"])


def test_mistakes_are_refused():
    from moonshine.cli.program import main

    test_eq(main(["distill", "resnet18", "--data_dir", "images", "--block", "G8X"]), 2)
    test_eq(main(["distill", "resnet81", "--data_dir", "images"]), 2)


def test_wrong_options_are_not_saved():
    from moonshine.cli.program import main

    wrong = ("--epochs 0", "--teacher_epochs 0", "--amp fp16", "--alpha 2", "--seed -1", "--lr nan", "--block S")
    wrong += ("--keep layer9", "--layers layer9", "--temperature 0", "-s a/b", "-s resnet18", "--device cud")
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as err:
        save = ["--data_dir", "images", "--save_config", os.path.join(folder, "a.toml")]
        for words in wrong:
            test_eq((words, main(["distill", "resnet18", *words.split(), *save])), (words, 2))
        test_eq(main(["distill", "resnet81", *save]), 2)
        test_eq(os.listdir(folder), [])
    test_eq(err.getvalue().count("\n"), len(wrong) + 1)
