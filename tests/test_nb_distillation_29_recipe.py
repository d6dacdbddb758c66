"""Generated from nbs/distillation/29_recipe.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.recipe import *


from fastcore.test import test_close, test_eq, test_fail


def test_learning_rates_of_the_paper():
    recipe = Recipe()
    rates = [recipe.rate(epoch) for epoch in range(recipe.epochs)]
    test_eq([rates.count(rate) for rate in sorted(set(rates), reverse=True)], [60, 60, 40, 40])
    test_close([rates[0], rates[59], rates[60], rates[120], rates[199]], [0.1, 0.1, 0.02, 0.004, 0.0008])


def test_impossible_recipes_are_refused():
    test_fail(lambda: check_recipe(Recipe(epochs=0)), contains="epochs is 0; it must be 1 or more")
    test_fail(lambda: check_recipe(Recipe(learning_rate=float("nan"))), contains="learning_rate is nan")
    test_fail(lambda: check_recipe(Recipe(amp="fp8")), contains="use none, bf16 or auto")
    test_fail(lambda: check_recipe(Recipe(val_fraction=1)), contains="it must be 0 or more, and less than 1")
    test_fail(lambda: check_recipe(Recipe(augmentation=("flop",))), contains="unknown augmentation 'flop'")
    test_eq(check_recipe(Recipe()), Recipe())
    test_eq(check_recipe(Recipe(augmentation=["flip", "cutout"])).augmentation, ("flip", "cutout"))
    test_eq(check_recipe(Recipe(augmentation=("none",))).augmentation, ())


def test_a_shorter_run_keeps_the_fractions():
    test_eq(Recipe().scaled_to(200), Recipe())
    test_eq(Recipe(seed=3).scaled_to(10), Recipe(epochs=10, epoch_step=(3, 6, 8), seed=3))
    test_eq(Recipe().scaled_to(8).epoch_step, (2, 5, 6))  # 2.4, 4.8 and 6.4
    test_eq(Recipe().scaled_to(1).epoch_step, (1, 1, 1))
    test_fail(lambda: Recipe().scaled_to(0), contains="epochs is 0; it must be 1 or more")
