"""Generated from nbs/cli/63_train.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.train_commands import *


import contextlib
import io
import os
import subprocess
import sys
import tempfile

from fastcore.test import test_eq, test_fail


def test_the_network_has_a_name():
    test_eq(NetworkOptions().short_name, "wrn_40_2")
    small = NetworkOptions(depth=10, width=0.5, conv="Conv2x2")
    test_eq((small.short_name, NetworkOptions("resnet34").short_name), ("wrn_10_0.5", "resnet34"))
    test_eq(new_network(small, find_block(small), 5, seed=0).title, "WRN-10-0.5 S-2x2")
    test_fail(lambda: NetworkOptions("resnet18", splits=2).check(), contains="--AT_split")
    for width in (float("nan"), float("inf"), 1e300, -1.0):
        test_fail(lambda: NetworkOptions(width=width).check(), contains=f"--wrn_width is {width}; it must be")
    test_fail(lambda: NetworkOptions(depth=10**9 + 4).check(), contains="it must be between 1 and 10000")


def test_the_name_comes_from_the_network():
    names, released, small = NameOptions(), NetworkOptions(), NetworkOptions(depth=10, width=1)
    test_eq(names.run_name("teacher", released), "wrn_40_2_T")
    test_eq(names.run_name("student", released), "wrn_40_2_student_KT")
    test_eq(names.run_name("teacher", small), "wrn_10_1_T")
    test_eq(names.teachers(small, "cifar10"), ["wrn_10_1_T", "wrn_40_2_T"])
    test_eq(NameOptions("T").teachers(small, "cifar10"), ["T"])
    test_eq(NameOptions(student_name="S").run_name("student", small), "S")


def test_options_become_a_recipe():
    recipe = RecipeOptions(lr=0.2, epochs=3, epoch_step="[1,2]", weight_decay=0).recipe()
    test_eq((recipe.learning_rate, recipe.epochs, recipe.epoch_step, recipe.momentum), (0.2, 3, (1, 2), 0.9))
    teacher_needed = [MethodOptions(beta=beta).method().needs_teacher for beta in (1000, 0)]
    test_eq(teacher_needed, [True, False])
    test_fail(lambda: MethodOptions(aux_loss="SEE").check(), contains="did you mean se?")
    test_fail(
        lambda: RecipeOptions(epochs=10**21).recipe(), contains="--epochs is 1000000000000000000000; it must"
    )


def test_a_wrong_block_is_refused_without_torch():
    code = (
        "import sys; from moonshine.cli.program import main\n"
        "status = main(['train', 'shapes', 'teacher', '--conv', 'G8X'])\n"
        "print(status, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    test_eq(done.stdout.split(), ["2", "False"])
    assert "unknown block 'G8X'" in done.stderr


def test_imagenet_has_a_recipe_of_its_own():
    from moonshine.cli.program import main

    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "a.toml")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            test_eq(main(["train", "imagenet", "teacher", "--epochs", "2", "--save_config", file]), 0)
        assert out.getvalue().startswith(f"wrote {file}; use it with: moonshine train --config"), out.getvalue()
        text = open(file).read()
        for line in ('network = "resnet34"', "epochs = 2 ", "weightDecay = 0.0001 ", "image_size = 224 "):
            assert f"\n{line}" in text, line
        test_eq(main(["train", "--config", file, "--mode", "x"]), 2)  # mode is no flag


def test_wrong_options_are_not_saved():
    from moonshine.cli.program import main

    wrong = (
        "--epochs 0",
        "--epoch_step [-1]",
        "--amp fp16",
        "--alpha 2",
        "--seed -1",
        "--lr nan",
        "--wrn_depth 11",
    )
    wrong += (
        "--network wrm",
        "--temperature 0",
        "--augmentation flop",
        "--device cud",
        "-s a/b",
        "--val_fraction 1",
        "--schedule linear",
        "--schedule cosine --epoch_step [1]",
        "--schedule cosine --lr_decay_ratio 0.1",
        "--warmup 200",
        "--warmup -1",
        "--eval_every -1",
    )
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as err:
        save = ["--save_config", os.path.join(folder, "a.toml")]
        for words in wrong:
            test_eq((words, main(["train", "shapes", "student", *words.split(), *save])), (words, 2))
        test_eq(main(["train", "shape", "student", *save]), 2)
        test_eq(os.listdir(folder), [])
    test_eq(err.getvalue().count("\n"), len(wrong) + 1)


def test_a_file_carries_the_schedule():
    from moonshine.cli.program import main

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        one, two = (os.path.join(folder, name) for name in ("one.toml", "two.toml"))
        words = "--schedule cosine --warmup 3 --eval_every 5 --aux_loss KD".split()
        test_eq(main(["train", "shapes", "student", *words, "--save_config", one]), 0)
        test_eq(main(["train", "--config", one, "--save_config", two]), 0)
        text = open(one).read()
        test_eq(open(two).read(), text)
    for line in ('schedule = "cosine" ', "warmup = 3 ", "eval_every = 5 ", 'aux_loss = "KD" '):
        assert f"\n{line}" in text, line
    assert "epoch_step" not in text


def test_a_registered_loss_in_place_of_attention():
    from moonshine.data.drawing import shapes
    from moonshine.models.wide_resnet import wrn

    loss = make_loss(MethodOptions(aux_loss="KD").method(), wrn(10, 0.5), wrn(10, 1), shapes(16, 8))
    test_eq([term.name for term in loss.terms], ["ce", "kd"])
