"""Generated from nbs/core/25_datasets_by_name.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.data.registry import *


import tempfile
from pathlib import Path

import torch
from fastcore.test import test_eq, test_fail
from PIL import Image

from moonshine.errors import InputError


def test_registration_refuses_what_cannot_work():
    before = dict(DATASETS)
    test_fail(lambda: register_dataset("cifar10"), contains="already a dataset 'cifar10'")
    test_fail(lambda: register_dataset("My data"), contains="use lowercase letters")
    test_fail(lambda: register_dataset("nothing")(None), contains="'nothing' needs a loader")


    def read(root, split, image_size=32):
        "A loader with a parameter that nobody passes."


    test_fail(lambda: register_dataset("splits")(read), contains="needs split, which load_data can't pass")
    test_eq(DATASETS, before)


def test_datasets_by_name():
    test_eq(load_data("shapes").name, "shapes")
    test_fail(lambda: load_data("cifar11"), contains="did you mean cifar1")
    for name in ("folder", "imagenet"):
        test_fail(lambda: load_data(name), contains=f"{name} needs --data_dir")
    with tempfile.TemporaryDirectory() as root:
        for part in ("train", "test"):
            Path(root, part, "cat").mkdir(parents=True)
            Image.new("RGB", (50, 40)).save(Path(root, part, "cat", "0.png"))
        sizes = [
            next(load_data(name, root, image_size=size, workers=0).test_batches())[0].shape[-1]
            for name, size in (("folder", None), ("folder", 48), ("imagenet", None), ("imagenet", 64))
        ]
    test_eq(sizes, [32, 48, 224, 64])


def test_every_dataset_loads_or_says_what_is_missing():
    with tempfile.TemporaryDirectory() as root:
        for part in ("train", "test"):
            Path(root, part, "cat").mkdir(parents=True)
            Image.new("RGB", (50, 40)).save(Path(root, part, "cat", "0.png"))
        for name in DATASETS:
            try:
                data = load_data(name, root, workers=0)
            except InputError as error:
                assert name in str(error) and "\n" not in str(error)
                continue
            x, y = next(data.train_batches(8, seed=0, epoch=0))
            test_eq((x.shape[1], x.dtype, y.dtype, len(x)), (3, torch.float32, torch.int64, len(y)))
            assert y.max() < len(data.classes) and len(data.fingerprint()) == 16
