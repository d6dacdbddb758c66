"""Generated from nbs/distillation/29_recipe.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.recipe import *


from dataclasses import asdict, replace

import torch
from fastcore.test import test_close, test_eq, test_fail

from moonshine.errors import InputError


def test_learning_rates_of_the_paper():
    recipe = Recipe()
    rates = [recipe.rate(epoch) for epoch in range(recipe.epochs)]
    test_eq([rates.count(rate) for rate in sorted(set(rates), reverse=True)], [60, 60, 40, 40])
    test_close([rates[0], rates[59], rates[60], rates[120], rates[199]], [0.1, 0.1, 0.02, 0.004, 0.0008])


def test_a_cosine_with_a_warm_up():
    recipe = Recipe(epochs=10, schedule="cosine", warmup=2, learning_rate=0.3)
    rates = [recipe.rate(epoch) for epoch in range(10)]
    test_close(rates[:3], [0.1, 0.2, 0.3])
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.3)
    reference = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
    for rate in rates[2:]:
        test_close(rate, optimizer.param_groups[0]["lr"])
        optimizer.step()
        reference.step()
    test_eq(Recipe(warmup=60).rate(60), Recipe().rate(60))  # the drops stay where they are
    test_eq([Recipe(epochs=24, warmup=2).scaled_to(epochs).warmup for epochs in (1, 2, 12, 48)], [0, 0, 1, 4])
    test_eq(Recipe(epochs=3, warmup=2).scaled_to(1).warmup, 0)  # one epoch is left to train at the full rate
    test_fail(lambda: Recipe(schedule="linear"), contains="unknown schedule 'linear'; use step or cosine")
    test_fail(lambda: Recipe(epochs=2, warmup=2), contains="warmup is 2 epochs of 2; it must be fewer")


def test_schedules_in_words():
    test_eq(schedule_line(Recipe()), "200 epochs, learning rate 0.1, times 0.2 at epochs 60, 120, 160")
    test_eq(
        schedule_line(Recipe(epochs=10, schedule="cosine", warmup=2)),
        "10 epochs, learning rate 0.1 after a warm-up of 2, then along a cosine to 0",
    )
    test_eq(schedule_line(Recipe(epochs=10)), "10 epochs, learning rate 0.1, constant")


def test_not_every_epoch_is_evaluated():
    def evaluated(**options):
        recipe = Recipe(**options)
        return [epoch for epoch in range(recipe.epochs) if recipe.evaluates(epoch)]


    test_eq(evaluated(epochs=3), [0, 1, 2])
    test_eq(evaluated(epochs=7, eval_every=3), [0, 3, 6])
    test_eq(evaluated(epochs=7, eval_every=0), [6])
    test_eq(evaluated(epochs=2, eval_every=9), [1])


def test_impossible_recipes_are_refused():
    test_fail(lambda: check_recipe(Recipe(epochs=0)), contains="epochs is 0; it must be 1 or more")
    test_fail(lambda: check_recipe(Recipe(learning_rate=float("nan"))), contains="learning_rate is nan")
    test_fail(lambda: check_recipe(Recipe(amp="fp8")), contains="use none, bf16 or auto")
    test_fail(lambda: check_recipe(Recipe(val_fraction=1)), contains="it must be 0 or more, and less than 1")
    test_fail(lambda: check_recipe(Recipe(augmentation=("flop",))), contains="unknown augmentation 'flop'")
    test_fail(lambda: Recipe(epoch_step=(-1,)), contains="epoch_step [-1] holds a negative epoch")
    test_eq(check_recipe(Recipe()), Recipe())
    test_eq(check_recipe(Recipe(augmentation=["flip", "cutout"])).augmentation, ("flip", "cutout"))
    test_eq(check_recipe(Recipe(augmentation=("none",))).augmentation, ())


def test_a_recipe_is_checked_where_it_is_made():
    wrong = dict(epochs=[1.5, "3", 0, True, None], batch_size=[0, 2.5], learning_rate=[float("nan"), "0.1", -1])
    wrong |= dict(seed=[1.5, -1, 2**63, 2**70], epoch_step=[5, "[1]", (1.5,), ("1",), None], amp=["fp16", None])
    wrong |= dict(
        val_fraction=["0.1", float("nan"), -0.5], augmentation=["flip", 3, ("flop",), ([1],)], compile=["yes"]
    )
    wrong |= dict(momentum=[float("inf")], weight_decay=[None], lr_decay_ratio=["a"])
    for field, values in wrong.items():
        for value in values:
            for make in (Recipe, lambda **field: replace(Recipe(), **field)):
                try:
                    make(**{field: value})
                except InputError as error:
                    assert "\n" not in str(error) and field.split("_")[0] in str(error), error
                else:
                    raise AssertionError(f"{field}={value!r} was accepted")
    test_fail(lambda: Recipe().scaled_to("3"), contains="epochs is '3'; it must be a whole number")
    test_eq(Recipe(epoch_step=[1, 2], augmentation=["none"]), Recipe(epoch_step=(1, 2), augmentation=()))


def test_the_largest_seed_can_be_used():
    from moonshine.data.augmentation import epoch_generator

    largest = (2**64 - 1 - 200) // 1_000_003
    epoch_generator(Recipe(seed=largest).seed, 199)
    test_fail(lambda: Recipe(seed=largest + 1), contains=f"it must be {largest} or less")
    test_eq(Recipe(**asdict(Recipe(seed=largest))).seed, largest)


def test_a_shorter_run_keeps_the_fractions():
    test_eq(Recipe().scaled_to(200), Recipe())
    test_eq(Recipe(seed=3).scaled_to(10), Recipe(epochs=10, epoch_step=(3, 6, 8), seed=3))
    test_eq(Recipe().scaled_to(8).epoch_step, (2, 5, 6))  # 2.4, 4.8 and 6.4
    test_eq(Recipe().scaled_to(1).epoch_step, (1, 1, 1))
    test_fail(lambda: Recipe().scaled_to(0), contains="epochs is 0; it must be 1 or more")


def test_short_recipes_scale_too():
    for epochs in (1, 2, SHORT.epochs, 4 * SHORT.epochs):
        recipe = SHORT.scaled_to(epochs)
        test_eq(recipe.epochs, epochs)
        assert recipe.warmup < epochs and recipe.rate(recipe.warmup) == recipe.learning_rate
    test_eq(SHORT.scaled_to(SHORT.epochs), SHORT)
    stepwise = replace(SHORT, schedule="step")  # its drops are the paper's, in proportion
    test_eq(stepwise.epoch_step, Recipe().scaled_to(SHORT.epochs).epoch_step)
