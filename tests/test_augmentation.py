"""The default augmentation gives, bit for bit, the crops and flips of every committed result."""

import hashlib
import json
from dataclasses import replace
from importlib.resources import files

import numpy as np
import pytest
import torch
from conftest import ROOT
from PIL import Image

from moonshine.data.drawing import segmentation_shapes, shapes
from moonshine.data.streaming import imagenet
from moonshine.paper.runner import deciding
from moonshine.training.checkpoints import load, upgraded
from moonshine.training.recipe import Recipe

AS_PAINTED = dict(mean=(0, 0, 0), std=(1 / 255,) * 3)  # batches hold the pixels themselves, 0 to 255
PINNED = dict(  # computed with version 0.1.0, before augmentations had names
    shapes="eeecb970ce7ef2e1",
    segmentation_shapes="80b5c6087e1f3403",
)


def digest(batches):
    """SHA-256 of pixels and labels, the first 16 digits."""
    total = hashlib.sha256()
    for x, y in batches:
        total.update(x.round().to(torch.uint8).contiguous().numpy().tobytes())
        total.update(y.to(torch.int64).contiguous().numpy().tobytes())
    return total.hexdigest()[:16]


def cropped_and_flipped(image, top, left, flip):
    """One image or label map (C, H, W), padded by 4, cropped and mirrored the slow way."""
    padded = torch.nn.functional.pad(image, (4,) * 4)
    cut = padded[:, top : top + image.shape[1], left : left + image.shape[2]]
    return cut.flip(2) if flip else cut


@pytest.mark.parametrize("read", [shapes, segmentation_shapes])
def test_default_batches_are_pinned(read):
    data = replace(read(train=70, test=10), **AS_PAINTED)
    batches = [*data.train_batches(32, 0, 3), *data.train_batches(16, 5, 0, skip=16, share=slice(1, None, 2))]
    assert digest(batches) == PINNED[data.name]


@pytest.mark.parametrize("read", [shapes, segmentation_shapes])
def test_default_batches_are_the_slow_way(read):
    data = replace(read(train=20, test=10), **AS_PAINTED)
    random = torch.Generator().manual_seed(7 * 1_000_003 + 2)
    order = torch.randperm(20, generator=random)
    shift = torch.randint(0, 9, (2, 20), generator=random)
    flip = torch.rand(20, generator=random) < 0.5
    ((x, y),) = data.train_batches(20, 7, 2)
    for image, label, i in zip(x, y, order):
        moves = shift[0, i], shift[1, i], flip[i]
        assert torch.equal(image.round().to(torch.uint8), cropped_and_flipped(data.train.images[i], *moves))
        true = data.train.labels[i]
        if true.ndim:
            true = cropped_and_flipped(true[None], *moves)[0]
        assert torch.equal(label, true)


def test_streamed_boxes_and_flips_are_those_of_torchvision(tmp_path):
    from torchvision.transforms import v2

    random, files = np.random.default_rng(0), []
    for part in ("train", "val"):
        (tmp_path / part / "cat").mkdir(parents=True)
        for i in range(6):
            pixels = random.integers(0, 256, (40 + 5 * i, 60 - 5 * i, 3), dtype=np.uint8)
            path = tmp_path / part / "cat" / f"{i}.png"
            Image.fromarray(pixels).save(path)
            files += [path] * (part == "train")
    data = replace(imagenet(tmp_path, image_size=32, workers=0), **AS_PAINTED)
    view = v2.Compose([v2.RandomResizedCrop(32, antialias=True), v2.RandomHorizontalFlip(), v2.PILToTensor()])
    random = torch.Generator().manual_seed(4 * 1_000_003 + 1)
    order = torch.randperm(6, generator=random)
    seeds = torch.randint(2**32, (6,), generator=random)
    ((x, _),) = data.train_batches(6, 4, 1)
    for image, i in zip(x, order):
        torch.manual_seed(int(seeds[i]))
        assert torch.equal(image.round().to(torch.uint8), view(Image.open(files[i]).convert("RGB")))


RESULTS = sorted(ROOT.glob("nbs/results/table2_cpu/*.json"))


def test_committed_results_keep_the_recipe_that_their_fingerprint_covers():
    assert len(RESULTS) == 87
    for path in RESULTS:
        written = json.loads(path.read_bytes())["recipe"]
        recipe = Recipe(**upgraded(written) | dict(epoch_step=tuple(written["epoch_step"])))
        assert written["augment"] is True and recipe.augmentation is None
        assert json.loads(json.dumps(deciding(recipe))) == written
    assert deciding(replace(recipe, augmentation=())) == deciding(recipe) | dict(augment=False)
    other = deciding(replace(recipe, augmentation=("flip",)))
    assert other == deciding(recipe) | dict(augmentation=("flip",))


def test_old_recipes_are_read_with_named_augmentations():
    assert upgraded(dict(recipe=dict(epochs=2, augment=True))) == dict(
        recipe=dict(epochs=2, augmentation=None)
    )
    assert upgraded(dict(recipe=dict(augment=False))) == dict(recipe=dict(augmentation=()))
    assert load(files("moonshine") / "facts/trained/at.pt")[1]["recipe"]["augmentation"] is None
