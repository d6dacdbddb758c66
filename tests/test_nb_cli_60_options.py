"""Generated from nbs/cli/60_options.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.cli.options import *


import inspect
import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated

from fastcore.test import test_eq, test_fail


def test_a_group_becomes_options():
    @dataclass(frozen=True)
    class Shoe:
        size: Annotated[int, option("size of the shoe", "--size")] = 40


    @grouped
    def buy(shop: str, shoe: Shoe):
        "Buy a shoe."
        return shop, shoe


    test_eq(list(inspect.signature(buy).parameters), ["shop", "size"])
    test_eq(buy(shop="here", size=41), ("here", Shoe(41)))


def test_optimizer_options_become_fields():
    values = fields_of_recipe(OptimizerOptions(lr=0.2, augmentation="flip, cutout"))
    test_eq((values["learning_rate"], values["augmentation"]), (0.2, ("flip", "cutout")))
    assert "augmentation" not in fields_of_recipe(OptimizerOptions())
    values = fields_of_recipe(OptimizerOptions(schedule="cosine", warmup=2, eval_every=5))
    test_eq([values[name] for name in ("schedule", "warmup", "eval_every")], ["cosine", 2, 5])
    test_fail(
        lambda: fields_of_recipe(OptimizerOptions(augmentation="flop")), contains="unknown augmentation 'flop'"
    )


def test_options_start_from_a_recipe():
    from moonshine.training.recipe import Recipe

    recipe = Recipe(batch_size=7, learning_rate=0.3, schedule="cosine")
    test_eq(Recipe(**fields_of_recipe(defaults_from(recipe)())), recipe)


def test_impossible_weights_are_refused():
    DistillationOptions(0.9).check(beta=None)
    test_fail(lambda: DistillationOptions(alpha=2).check(0), contains="--alpha is 2")
    test_fail(lambda: DistillationOptions().check(-1), contains="--beta is -1")
    for temperature in (0, -1.0, 1e300, 1e20, 1e-300, float("inf"), float("nan")):
        test_fail(
            lambda: DistillationOptions(temperature=temperature).check(0),
            contains=f"--temperature is {temperature}; it must be between 0.001 and 10000",
        )


def test_a_negative_number_is_refused():
    test_fail(lambda: RunOptions(save_every=-1).check(), contains="--save_every is -1; it must be 0 or more")
    test_fail(lambda: check_image_size(4), contains="--image_size is 4")
    test_fail(lambda: check_image_size(10**11), contains="it must be between 8 and 10000")
    test_fail(lambda: check_workers(10**9), contains="--workers is 1000000000; it must be between 0 and 1000")


def test_epoch_step_is_a_list():
    test_eq(number_list("[60,120,160]"), (60, 120, 160))
    test_eq(number_list("[]"), ())
    for wrong in ("60", "[1.5]", "[-3]", "60,120", '["a"]', "[true]"):
        test_fail(lambda: number_list(wrong), contains="is not a list of epochs")
    test_eq((name_list("layer1, layer2"), name_list(None)), (["layer1", "layer2"], []))


def test_options_do_not_import_torch():
    code = "import sys, moonshine.cli.options; sys.exit('torch' in sys.modules)"
    test_eq(subprocess.run([sys.executable, "-c", code]).returncode, 0)
