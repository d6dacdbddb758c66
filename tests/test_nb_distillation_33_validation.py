"""Generated from nbs/distillation/33_validation.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.validation import *


from dataclasses import replace

import torch
from fastcore.test import test_eq, test_fail

from moonshine.training.recipe import Recipe


def test_each_class_gives_its_share():
    labels = torch.arange(100) % 3
    training, held_out = validation_split(labels, 0.2, seed=0)
    test_eq(sorted([*training.tolist(), *held_out.tolist()]), list(range(100)))
    test_eq(labels[held_out].bincount().tolist(), [7, 7, 7])  # of 34, 33 and 33
    test_eq(validation_split(labels, 0.2, seed=0)[1], held_out)
    assert validation_split(labels, 0.2, seed=1)[1].tolist() != held_out.tolist()
    test_eq(len(validation_split(torch.zeros(10, 4, 4), 0.2, seed=0)[1]), 2)


def test_held_out_images_are_not_trained_on():
    from moonshine.data.drawing import shapes
    from moonshine.data.streaming import Files, Stream

    data = shapes(train=100, test=20)
    test_eq(hold_out(data, Recipe()), (data, None))
    training, validation = hold_out(data, Recipe(val_fraction=0.1))
    test_eq((len(training.train), len(validation.test), len(training.test)), (90, 10, 20))
    seen = {bytes(image.numpy()) for image in training.train.images}
    assert not seen & {bytes(image.numpy()) for image in validation.test.images}

    files = Files(tuple(f"{i}.png" for i in range(10)), torch.arange(10) % 2)
    stream = Stream("files", files, files, ("a", "b"), (0.5,) * 3, (0.2,) * 3)
    training, validation = hold_out(stream, Recipe(val_fraction=0.2))
    test_eq((len(training.train), len(validation.test)), (8, 2))
    assert not set(training.train.paths) & set(validation.test.paths)
    test_fail(
        lambda: hold_out(shapes(train=20, test=8), Recipe(val_fraction=0.1)),
        contains="val_fraction 0.1 divides 20 training images into 20 and 0",
    )
