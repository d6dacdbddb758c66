"""Generated from nbs/distillation/29_schema.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.schema import *


import torch
from fastcore.test import test_eq

from moonshine.models.wide_resnet import wrn

nan, inf = float("nan"), float("inf")


def test_endless_contents():
    endless, laughs = [], ["ha"]
    endless.append(endless)
    for _ in range(11):
        laughs = [laughs] * 10  # 10 billion values in a few hundred bytes
    test_eq(size_problem(endless), "it is nested more than 12 levels deep")
    test_eq(size_problem(dict(history=laughs)), "it holds more than 5,000,000 values")
    test_eq(size_problem(dict(history=[dict(epoch=1)] * 1000)), "")


def test_types_that_can_be_read_again():
    from pathlib import Path

    import numpy as np

    test_eq(type_problem(dict(a=[1, 2.5, "x", None, (True,)], b=torch.ones(1), c=torch.float16)), "")
    must = "it must be made of numbers, text, lists, dicts and tensors"
    test_eq(type_problem(dict(history=[dict(ce=np.float64(1))])), f"history.0.ce is a numpy.float64; {must}")
    assert type_problem(dict(where=Path("a"))).startswith("where is a pathlib.")


def test_rules_by_hand():
    rule = dict(depth=whole(1, 10), width=Optional(number(0)), history=Optional([{REST: number()}]))
    test_eq(problem(dict(depth=4, width=0.5, history=[dict(ce=1.5)], other="free"), rule, ""), "")
    for content, message in (
        (dict(), "depth is missing"),
        (dict(depth="4"), "depth is '4'; it must be a whole number from 1 to 10"),
        (dict(depth=True), "depth is True; it must be a whole number from 1 to 10"),
        (dict(depth=11), "depth is 11; it must be a whole number from 1 to 10"),
        (dict(depth=4, width=nan), "width is nan; it must be a finite number, 0 or more"),
        (dict(depth=4, width=inf), "width is inf; it must be a finite number, 0 or more"),
        (dict(depth=4, width=-1.5), "width is -1.5; it must be a finite number, 0 or more"),
        (dict(depth=4, history=[{}, dict(ce="x")]), "history[1].ce is 'x'; it must be a finite number"),
        (dict(depth=4, history="x"), "history is 'x'; it must be a list"),
        ({"depth": 4, 1: 2}, "it has the key 1; keys must be text"),
        ([4], "it is [4]; it must be a dict"),
    ):
        test_eq(problem(content, rule, "" if isinstance(content, dict) else "it"), message)
    long = problem(dict(depth="a\n" * 10**6), rule, "")
    assert len(long) < 150 and "\n" not in long
    assert "thousands of digits" in problem(10**9999, whole(), "seed")


def test_plain_tensors():
    good = torch.ones(2, 3)
    assert all(
        map(is_plain, (good, good.T, good[1:], torch.tensor(1), torch.ones(0, 3), torch.nn.Parameter(good)))
    )
    odd = (good.to_sparse(), torch.ones(1).expand(10**12), torch.ones(2, device="meta"), [1.0], None)
    test_eq([is_plain(value) for value in odd], [False] * 5)
    test_eq(weights_problem(dict(a=good), "net"), "")
    test_eq(
        weights_problem(dict(a=torch.ones(1).expand(9)), "net"),
        "net.a is a tensor of torch.float32 and shape (9,); it must be a dense tensor",
    )


def test_values_that_a_checkpoint_cannot_have():
    good = dict(network="wrn", net=dict(a=torch.ones(2)), epoch=2, history=[dict(epoch=1, ce=nan)])
    good |= dict(recipe=dict(seed=0, augmentation=None), normalization=dict(mean=[0.5], std=[0.25]))
    good |= dict(random=[torch.get_rng_state()], mine="free")
    test_eq(checkpoint_problem(good), "")
    for change, message in (
        (dict(epoch=-1), "epoch is -1; it must be a whole number, 0 or more"),
        (
            dict(recipe=dict(seed=0, momentum=nan)),
            "recipe.momentum is nan; it must be a finite number, 0 or more",
        ),
        (dict(classes=["cat", 3]), "classes[1] is 3; it must be text of at most 1,000 characters"),
        (dict(normalization=dict(mean=[0.5], std=[0.0])), "positive std of each color"),
        (dict(best=dict(epoch=1)), "best.net is missing"),
        (
            dict(best=dict(epoch=1, net=dict(a=1))),
            "best.net.a is 1; it must be a dense tensor",
        ),
        (dict(started=dict(images=0, sums={}, seconds="1")), "started.seconds is '1'"),
        (dict(random=[torch.ones(3)]), "random[0] is a tensor of torch.float32 and shape (3,)"),
        (dict(starts=[{}]), "starts[0].images is missing"),
        (dict(optimizer={}), "recipe.epochs is missing"),
        (dict(classes=["cat", "dog"], num_classes=10), "it names 2 classes, and its network has 10"),
    ):
        assert message in checkpoint_problem(good | change), checkpoint_problem(good | change)


def test_parts_of_a_run_that_do_not_agree():
    rows = [dict(epoch=1, ce=2.0), dict(epoch=2, ce=1.0)]
    run = dict(network="wrn", net=dict(a=torch.ones(2)), epoch=2)
    run |= dict(recipe=dict(seed=0, epochs=3), optimizer={}, history=rows)
    test_eq(checkpoint_problem(run), "")
    for change, message in (
        (dict(history=rows[:1]), "epoch is 2, but the history has 1 rows"),
        (dict(history=rows[::-1]), "the epochs of its history are not 1, 2, 3, ..."),
        (dict(history=[dict(ce=1.0)]), "history[0].epoch is missing"),
        (dict(history=[dict(epoch=1, ce="low")]), "history[0].ce is 'low'; it must be a number"),
        (dict(started=dict(images=32, sums={}, seconds=1.0)), "started.sums holds 0 sums over 32 images"),
    ):
        test_eq(checkpoint_problem(run | change), message)


def test_arguments_that_no_network_has():
    good = dict(depth=10, width=0.5, block="S", num_classes=7)
    test_eq(arguments_problem(good, wrn, 40), "")
    for change, message in (
        (dict(depth=10**9), "depth is 1000000000; it must be a whole number from 1 to 10,000"),
        (dict(depth=9_994), "depth is 9,994, but the file holds only 40 weights"),
        (dict(width=nan), "width is nan; it must be a number from 0 to 1,000"),
        (dict(width="0.5"), "width is '0.5'; it must be a number from 0 to 1,000"),
        (dict(num_classes=2.0), "num_classes is 2.0; it must be a whole number from 1 to 1,000,000"),
        (dict(block=7), "block is 7; it must be the name of a block"),
    ):
        test_eq(arguments_problem(good | change, wrn, 40), message)
    test_eq(arguments_problem(dict(width=1, block="S"), wrn, 40), "depth is missing")


    def mine(hidden: int, rate: "float" = 0.5, bias: bool = True):
        "A builder of somebody's own: its annotations are rules"


    for spec, message in (
        (dict(hidden=64, rate=1), ""),
        (dict(hidden=1.5), "hidden is 1.5; it must be a whole number from -1,000,000 to 1,000,000"),
        (dict(hidden=64, rate="x"), "rate is 'x'; it must be a finite number"),
        (dict(hidden=64, bias=None), "bias is None; it must be True or False"),
    ):
        test_eq(arguments_problem(spec, mine, 40), message)
    test_eq(arguments_problem(dict(depth=10, width=1), wrn, 40), "block is missing")
