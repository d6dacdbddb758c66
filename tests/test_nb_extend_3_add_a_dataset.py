"""Generated from nbs/extend/3_add_a_dataset.ipynb by tools/export.py. Edit the notebook, not this file."""


import tempfile
from pathlib import Path

import numpy as np
import torch
from fastcore.test import test_eq, test_fail
from PIL import Image, ImageDraw, ImageFont
from scipy.io import loadmat, savemat

from moonshine.data.augmentation import crop, draw_shifts
from moonshine.data.images import Data, ImageSet, color_statistics
from moonshine.data.registry import DATASETS, check_dataset, load_data, register_dataset
from moonshine.errors import InputError


def draw_digit(
    digit: int,  # 0 to 9
    random: np.random.Generator,
) -> np.ndarray:  # (32, 32, 3) uint8
    "Draw a digit in a random color, near the center of a random background."
    background = random.integers(0, 110, 3)
    color = background + random.integers(90, 140, 3)
    image = Image.new("RGB", (32, 32), tuple(background.tolist()))
    position = tuple((16 + random.integers(-3, 4, 2)).tolist())
    font = ImageFont.load_default(26)
    ImageDraw.Draw(image).text(position, str(digit), tuple(color.tolist()), font, anchor="mm")
    return np.asarray(image)


def write_svhn(
    root,  # folder for the two files
    counts: dict,  # part -> number of images
):
    "Write small files in SVHN's format."
    for seed, (part, count) in enumerate(counts.items()):
        random = np.random.default_rng(seed)
        digits = random.permutation(np.arange(count) % 10)
        images = np.stack([draw_digit(digit, random) for digit in digits], axis=3)
        labels = np.where(digits == 0, 10, digits).astype(np.uint8)[:, None]
        savemat(Path(root, f"{part}_32x32.mat"), dict(X=images, y=labels))


def read_digits(
    path: Path,  # a MATLAB file with X (32, 32, 3, N) and y (N, 1)
) -> ImageSet:
    "The images and labels of one of SVHN's files."
    if not path.is_file():
        raise InputError(f"svhn needs {path}; download it from http://ufldl.stanford.edu/housenumbers/")
    try:
        content = loadmat(path)
        images, labels = content["X"], content["y"]
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} is not a file of SVHN ({error})") from None
    images = torch.from_numpy(images).permute(3, 2, 0, 1).contiguous()  # (N, 3, 32, 32)
    return ImageSet(images, torch.from_numpy(labels[:, 0].astype(np.int64)) % 10)  # 10 is the digit 0


@register_dataset("svhn", root="the folder that holds train_32x32.mat and test_32x32.mat")
def svhn(
    root: str,  # holds train_32x32.mat and test_32x32.mat
) -> Data:
    "Digits from house numbers, 32×32, shifted but never mirrored."
    train, test = (read_digits(Path(root, f"{part}_32x32.mat")) for part in ("train", "test"))
    colors = color_statistics(train.images)
    return Data("svhn", train, test, tuple("0123456789"), *colors, augmentation=("pad_crop",))


def test_what_the_loader_returns_is_checked():
    good = ImageSet(torch.zeros(4, 3, 32, 32, dtype=torch.uint8), torch.arange(4))
    colors = (0.5,) * 3, (0.2,) * 3
    for images, labels, message in [
        (good.images / 255, good.labels, "images that are (4, 3, 32, 32) float32; they must be"),
        (good.images.permute(0, 2, 3, 1), good.labels, "with the colors last"),
        (good.images, good.labels + 7, "labels that go from 7 to 10; they must be from 0 to 9"),
    ]:
        wrong = Data("wrong", ImageSet(images, labels), good, tuple("0123456789"), *colors)
        test_fail(lambda: check_dataset("svhn", wrong), contains=message)


def test_svhn_is_loaded_by_name():
    with tempfile.TemporaryDirectory() as root:
        write_svhn(root, dict(train=60, test=20))
        data = load_data("svhn", root)
        test_eq((data.name, len(data.train), len(data.test)), ("svhn", 60, 20))
        test_eq((data.train.images.shape, data.train.images.dtype), ((60, 3, 32, 32), torch.uint8))
        test_eq(data.train.labels.bincount(), [6] * 10)
        stored = loadmat(Path(root, "train_32x32.mat"))
    test_eq(data.train.images[7].permute(1, 2, 0).numpy(), stored["X"][..., 7])
    test_eq(data.train.labels.numpy(), stored["y"][:, 0] % 10)
    test_fail(lambda: load_data("svhn"), contains="svhn needs --data_dir, the folder that holds train_32x32.mat")
    test_fail(lambda: load_data("svhm"), contains="did you mean svhn?")


def test_files_that_are_wrong_are_named():
    with tempfile.TemporaryDirectory() as root:
        test_fail(lambda: load_data("svhn", root), contains="train_32x32.mat; download it from")
        savemat(Path(root, "train_32x32.mat"), dict(images=np.zeros(3)))
        test_fail(lambda: load_data("svhn", root), contains="train_32x32.mat is not a file of SVHN ('X')")
        Path(root, "train_32x32.mat").write_bytes(b"not a MATLAB file, but long enough for a header" * 10)
        test_fail(lambda: load_data("svhn", root), contains="train_32x32.mat is not a file of SVHN")


    def other(root):
        "Another loader."


    test_fail(lambda: register_dataset("svhn")(other), contains="already a dataset 'svhn'")


def test_digits_are_shifted_and_never_mirrored():
    with tempfile.TemporaryDirectory() as root:
        write_svhn(root, dict(train=60, test=20))
        data = load_data("svhn", root)
    mean, std = (torch.tensor(part).view(1, 3, 1, 1) * 255 for part in (data.mean, data.std))
    seen = torch.cat([x for x, _ in data.train_batches(25, seed=3, epoch=1)])
    order = torch.randperm(60, generator=torch.Generator().manual_seed(3 * 1_000_003 + 1))
    shifted = crop(data.train.images, *draw_shifts(60, seed=3, epoch=1).T)
    test_eq((seen * std + mean).round().to(torch.uint8), shifted[order])
