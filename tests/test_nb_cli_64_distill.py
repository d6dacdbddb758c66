"""Generated from nbs/cli/64_distill.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.distill_commands import *


import contextlib
import io
import os
import tempfile
from dataclasses import replace
from types import SimpleNamespace

import torch
from fastcore.test import test_close, test_eq, test_fail
from torchvision.models import resnet18

from moonshine.data.drawing import shapes
from moonshine.methods import METHODS, RECOMMENDED
from moonshine.models.wide_resnet import wrn
from moonshine.training import checkpoints
from moonshine.training.recipe import SHORT


def test_options_become_recipes():
    teacher, student = ScheduleOptions(epochs=10, teacher_epochs=20, lr=0.2).recipes()
    test_eq((teacher.epochs, student.epochs, student.epoch_step, student.learning_rate), (20, 10, (3, 6, 8), 0.2))
    for epochs in (1, 2, SHORT.epochs):
        test_eq(ScheduleOptions(epochs=epochs).recipes(), (SHORT.scaled_to(epochs),) * 2)
    steps = ScheduleOptions(epochs=10, teacher_epochs=20, schedule="step", warmup=1)
    test_eq(
        [(recipe.epoch_step, recipe.warmup) for recipe in steps.recipes()], [((6, 12, 16), 2), ((3, 6, 8), 1)]
    )
    test_eq([recipe.epoch_step for recipe in replace(steps, epoch_step="[4]").recipes()], [(8,), (4,)])
    test_eq(TransferOptions().chosen(), METHODS[RECOMMENDED])
    test_eq(
        [TransferOptions(method="kd+at", beta=0).chosen().beta, TransferOptions(alpha=0).chosen().alpha], [0, 0]
    )
    test_fail(lambda: TransferOptions(method="kd-papr").chosen(), contains="did you mean kd-paper?")
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


def test_a_teacher_file_is_used():
    with tempfile.TemporaryDirectory() as folder:
        file, data = f"{folder}/elsewhere.pt", shapes(train=10, test=10)
        how = dict(mean=[0.1, 0.2, 0.3], std=[1.0, 1.0, 1.0])
        checkpoints.save(file, wrn(10, 0.5), classes=list(data.classes), normalization=how)
        job = SimpleNamespace(teacher_run=SimpleNamespace(name=file, directory=folder, resume=False))
        with contextlib.redirect_stdout(io.StringIO()) as out:
            teacher, seen = find_or_train_teacher(job, data)
        assert "elsewhere.pt" in out.getvalue() and not teacher.training
        test_eq(seen.normalization(), how)
        checkpoints.save(file, wrn(10, 0.5), classes=list("abcdefghij"), normalization=how)
        test_fail(lambda: find_or_train_teacher(job, data), contains="other classes than shapes, such as a for")


def test_mistakes_are_refused():
    from moonshine.cli.program import main

    test_eq(main(["distill", "resnet18", "--data_dir", "images", "--block", "G8X"]), 2)
    test_eq(main(["distill", "resnet81", "--data_dir", "images"]), 2)


def test_wrong_options_are_not_saved():
    from moonshine.cli.program import main

    wrong = ("--epochs 0", "--teacher_epochs 0", "--amp fp16", "--alpha 2", "--seed -1", "--lr nan", "--block S")
    wrong += ("--schedule linear", "--epoch_step [3] --schedule cosine", "--warmup 99", "--eval_every -1")
    wrong += (
        "--keep layer9",
        "--layers layer9",
        "--temperature 0",
        "--method kt",
        "-s a/b",
        "-s resnet18",
        "--device cud",
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as err:
        save = ["--data_dir", "images", "--save_config", os.path.join(folder, "a.toml")]
        for words in wrong:
            test_eq((words, main(["distill", "resnet18", *words.split(), *save])), (words, 2))
        test_eq(main(["distill", "resnet81", *save]), 2)
        test_eq(os.listdir(folder), [])
    test_eq(err.getvalue().count("\n"), len(wrong) + 1)


def test_a_file_carries_method_and_schedule():
    from moonshine.cli.program import main

    words = (
        "--schedule step --epoch_step [2,4] --warmup 1 --eval_every 2 --method at --alpha 0.5 --epochs 6".split()
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        one, two = (os.path.join(folder, name) for name in ("one.toml", "two.toml"))
        test_eq(main(["distill", "resnet18", "--data_dir", "images", *words, "--save_config", one]), 0)
        test_eq(main(["distill", "--config", one, "--save_config", two]), 0)
        text = open(one).read()
        test_eq(open(two).read(), text)
    for line in (
        'schedule = "step" ',
        'epoch_step = "[2,4]"',
        "warmup = 1 ",
        "eval_every = 2 ",
        'method = "at" ',
    ):
        assert f"\n{line}" in text, line
    assert "alpha = 0.5 " in text and "\nbeta" not in text, "what was not given comes from the method"
