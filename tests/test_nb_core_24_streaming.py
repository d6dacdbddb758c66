"""Generated from nbs/core/24_streaming.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.data.streaming import *


import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from fastcore.test import test_close, test_eq, test_fail, test_ne
from PIL import Image

from moonshine.data.augmentation import epoch_generator


def write_photos(root):
    "Two classes of noise, PNG and JPEG, of odd sizes: 10 training and 4 test images."
    sizes = [(40, 61), (300, 75), (64, 64), (9, 33), (57, 128)]
    for part, count in (("train", 5), ("val", 2)):
        for number, name in enumerate(("cat", "dog")):
            Path(root, part, name).mkdir(parents=True)
            for i, (width, height) in enumerate(sizes[:count]):
                random = np.random.default_rng(10 * number + i)
                pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(Path(root, part, name, f"{i}.{('png', 'JPEG')[i % 2]}"))


def test_labels_are_positions_of_classes():
    files = labeled_files(dict(cat=[Path("cat/1.png"), Path("cat/2.png")], dog=[Path("dog/1.png")]))
    test_eq((files.paths, files.labels.tolist()), (("cat/1.png", "cat/2.png", "dog/1.png"), [0, 0, 1]))
    some = files.select(torch.tensor([2, 0]))
    test_eq((some.paths, some.labels.tolist()), (("dog/1.png", "cat/1.png"), [1, 0]))


def test_the_front_of_the_list_is_done_by_workers():
    test_eq(split_augmentation(("resized_crop", "flip")), (("resized_crop", "flip"), ()))
    test_eq(split_augmentation(("resized_crop", "cutout", "flip")), (("resized_crop",), ("cutout", "flip")))
    test_eq(split_augmentation(("pad_crop", "flip")), ((), ("pad_crop", "flip")))
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 70, 3), dtype=np.uint8))
    for names in ((), ("flip",), ("resized_crop",), ("resized_crop", "flip")):
        seen = image_view(48, names)(image)
        test_eq((seen.shape, seen.dtype), ((3, 48, 48), torch.uint8))


def test_images_of_odd_sizes_are_streamed():
    with tempfile.TemporaryDirectory() as root:
        write_photos(root)
        data = imagenet(root, image_size=32, workers=0)
        first, again, other, seed = (
            list(data.train_batches(4, *pair)) for pair in ((0, 3), (0, 3), (0, 4), (1, 3))
        )
        test = list(data.test_batches())
    test_eq((len(data.train), len(data.test), data.classes), (10, 4, ("cat", "dog")))
    test_eq([x.shape for x, y in first], [(4, 3, 32, 32), (4, 3, 32, 32), (2, 3, 32, 32)])
    test_eq(torch.cat([y for x, y in first]).bincount(), [5, 5])  # each image once
    for (x, y), (x2, y2) in zip(first, again):
        test_eq(x, x2)
        test_eq(y, y2)
    assert not torch.equal(first[0][0], other[0][0]) and not torch.equal(first[0][0], seed[0][0])
    test_eq((test[0][0].shape, test[0][1].tolist()), ((4, 3, 32, 32), [0, 0, 1, 1]))
    test_eq((data.mean, data.std), ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    assert x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last)


def test_a_stream_resumes_and_is_shared():
    with tempfile.TemporaryDirectory() as root:
        write_photos(root)
        data = imagenet(root, image_size=32, workers=0)
        torch.manual_seed(5)
        before = torch.rand(1)
        torch.manual_seed(5)
        first = list(data.train_batches(4, 0, 3))
        test_eq(torch.rand(1), before)  # the global generator was not touched
        (x, y), (x2, y2) = data.train_batches(4, 0, 3, skip=4)  # the epoch resumes after its first batch
        for mine, theirs in zip((x, y, x2, y2), (*first[1], *first[2])):
            test_eq(mine, theirs)
        for (x, y), (odd, _) in zip(first, data.train_batches(4, 0, 3, share=slice(1, None, 2))):
            test_eq(odd, x[1::2])
        was = data.fingerprint()
        Path(root, "train", "cat", "0.png").write_bytes(b"shorter")
        test_ne(data.fingerprint(), was)


def test_streamed_test_images_are_those_of_torchvision():
    from torchvision.models import ResNet34_Weights

    pixels = np.random.default_rng(0).integers(0, 256, (2, 300, 400, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as root:
        for part, image in (("train", 0), ("train", 1), ("val", 0), ("val", 1)):
            Path(root, part, "cat").mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels[image]).save(Path(root, part, "cat", f"{image}.png"))
        data = imagenet(root, workers=0)
        ((x, _),) = data.test_batches()
        ((plain, _),) = data.train_batches(2, 0, 0, augmentation=())  # both images, in the epoch's order
    preset = ResNet34_Weights.IMAGENET1K_V1.transforms()
    expected = torch.stack([preset(Image.fromarray(image)) for image in pixels])
    test_close(x, expected, eps=1e-5)
    test_close(plain, expected[torch.randperm(2, generator=epoch_generator(0, 0))], eps=1e-5)


def test_boxes_are_those_of_the_recipe():
    ramp = np.arange(256, dtype=np.uint8)
    red = np.tile(ramp, (256, 1))
    image = np.stack([red, red.T, np.zeros_like(red)], -1)
    with tempfile.TemporaryDirectory() as root:
        for part in ("train", "val"):
            Path(root, part, "cat").mkdir(parents=True)
            Image.fromarray(image).save(Path(root, part, "cat", "0.png"))
        data = replace(imagenet(root, image_size=64, workers=0), mean=(0, 0, 0), std=(1 / 255,) * 3)
        x = torch.cat([x for epoch in range(60) for x, _ in data.train_batches(1, 0, epoch)])  # (60, 3, 64, 64)
    scale = 64 / 63  # from the center of the first pixel to that of the last
    width, height = (x[:, 0, 32, -1] - x[:, 0, 32, 0]) * scale, (x[:, 1, -1, 32] - x[:, 1, 0, 32]) * scale
    area, ratio = width.abs() * height / 256**2, width.abs() / height
    assert 0.07 < area.min() < 0.2 and 0.8 < area.max() <= 1.02  # 0.08 to 1, up to a rounded edge
    assert 0.72 < ratio.min() < 0.85 and 1.18 < ratio.max() < 1.38  # 3/4 to 4/3
    assert 15 < (width < 0).sum() < 45  # half of them mirrored
    assert len(set(x[:, 0, 32, 0].tolist())) > 40  # boxes lie anywhere


def test_a_stream_takes_other_augmentations():
    with tempfile.TemporaryDirectory() as root:
        write_photos(root)
        data = replace(imagenet(root, image_size=32, workers=0), mean=(0, 0, 0), std=(1 / 255,) * 3)

        def epoch(augmentation, size=10):
            return torch.cat([x for x, _ in data.train_batches(size, 0, 0, augmentation=augmentation)])

        boxes, hidden = epoch(None), epoch(("resized_crop", "flip", "cutout"))
        test_eq(epoch(("resized_crop", "flip", "cutout"), size=3), hidden)
        black = (hidden == 0).all(1)
        assert ((hidden == boxes).all(1) | black).all() and 0.05 < black.float().mean() < 0.3
        plain, mirrored = epoch(()), epoch(("pad_crop", "flip"))
        assert not torch.equal(plain, mirrored)
        test_fail(lambda: epoch(("cutuot",)), contains="unknown augmentation 'cutuot'")


def test_a_file_that_is_no_image_is_named():
    with tempfile.TemporaryDirectory() as root:
        for part in ("train", "val"):
            Path(root, part, "cat").mkdir(parents=True)
            Image.new("RGB", (50, 40)).save(Path(root, part, "cat", "0.png"))
        broken, whole = Path(root, "train", "cat", "1.png"), Path(root, "train", "cat", "0.png").read_bytes()
        for content in (b"no image", whole[:60], whole.replace(b"IDAT", b"ID@T")):
            broken.write_bytes(content)
            data = imagenet(root, image_size=32, workers=0)
            test_fail(lambda: list(data.train_batches(2, 0, 0)), contains="1.png can't be read as an image")
        test_fail(lambda: imagenet(Path(root, "nowhere")), contains="val/CLASS/ (or test)")
        test_fail(lambda: imagenet(root, workers=-1), contains="workers is -1")
