"""Generated from nbs/core/21_drawn_shapes.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.data.drawing import *


import hashlib

import numpy as np
import torch
from fastcore.test import test_eq, test_fail


def test_known_numbers():
    count = np.arange(1, 4, dtype=np.uint64)
    test_eq(
        [hex(x) for x in scramble(count * GOLDEN)],
        ["0xe220a8397b1dcdaf", "0x6e789e6aa1b965f4", "0x6c45d188009454f"],
    )
    test_eq(
        scramble(np.uint64(1234567) + count * GOLDEN).tolist(),
        [6457827717110365317, 3203168211198807973, 9817491932198370423],
    )


def test_dice():
    numbers = Dice(0, np.arange(10)).uniform(0, 1, 50_000)
    assert np.allclose(numbers.mean(1), 1 / 2, atol=0.006) and np.allclose(numbers.var(1), 1 / 12, atol=0.002)
    assert abs(np.corrcoef(numbers) - np.eye(10)).max() < 0.02
    test_eq(Dice(0, np.array([7])).uniform(0, 1, 5)[0], numbers[7, :5])
    assert not np.isin(Dice(1, np.arange(10)).bits(100), Dice(0, np.arange(10)).bits(100)).any()
    assert not np.isin(Dice(0, np.arange(10), purpose=1).bits(100), Dice(0, np.arange(10)).bits(100)).any()


def test_turns():
    for c, s in (tilt(Dice(0, np.arange(5000)), 0.2), direction(Dice(0, np.arange(5000)))):
        assert np.allclose(c * c + s * s, 1)
    angle = np.degrees(np.arctan2(*tilt(Dice(0, np.arange(5000)), 0.2)[::-1]))
    assert 22 < angle.max() < 22.7 and -22.7 < angle.min() < -22
    c, s = direction(Dice(0, np.arange(5000)))
    for half in (c < 0, s < 0, abs(c) < abs(s)):
        assert 0.45 < half.mean() < 0.55


def test_formulas():
    v, u = np.mgrid[-1.5:1.5:301j, -1.5:1.5:301j]
    for name, distance in SHAPES.items():
        d = distance(u, v)
        assert (d[np.hypot(u, v) > 1] > 0).all(), name  # fits into the circle
        slope = np.hypot(*np.gradient(d, 0.01))[abs(d) < 0.02]  # near the edge: 1 for a distance
        assert 0.98 < np.median(slope) < 1.02, name
        across = d[:, ::-1] if name != "crescent" else d[::-1]  # the crescent's axis lies across
        assert np.allclose(d, across), name
    test_fail(lambda: shape(disc), contains="a shape disc already")


def test_area():
    x, y, radius = np.array([16.0, 15.7, 12.2]), np.array([16.0, 16.5, 18.9]), np.full(3, 10.0)
    u, v = local(x, y, tilt(Dice(0, np.arange(3)), 0.2), radius)
    area = cover(shape_distance(np.full(3, CLASSES.index("disc")), u, v, radius)).sum((1, 2))
    assert abs(area - np.pi * 8.6**2).max() < 1


def test_paint_half():
    canvas = np.zeros((1, 32, 32, 3))
    share = np.zeros((1, 32, 32))
    share[0, 3, 4], share[0, 5, 6] = 1, 0.5
    paint(canvas, share, np.array([[0.2, 0.4, 0.6]]))
    test_eq(canvas[0, 3, 4], [0.2, 0.4, 0.6])
    test_eq(canvas[0, 5, 6], [0.1, 0.2, 0.3])
    test_eq(np.count_nonzero(canvas), 6)


def test_sets():
    images, labels, masks = draw_shapes(237, seed=5)
    test_eq((images.shape, images.dtype), ((237, 3, 32, 32), torch.uint8))
    test_eq((labels.shape, labels.dtype), ((237,), torch.int64))
    test_eq((masks.shape, masks.dtype), ((237, 32, 32), torch.bool))
    counts = labels.bincount(minlength=10)
    assert set(counts.tolist()) <= {23, 24}
    for large, small in zip((images, labels, masks), draw_shapes(83, seed=5)):
        assert torch.equal(large[:83], small)
    assert not torch.equal(draw_shapes(50, seed=6)[1], labels[:50])
    test_eq([len(part) for part in draw_shapes(0)], [0, 0, 0])


def test_checksum():
    def checksum(n, seed):
        return hashlib.sha256(b"".join(part.numpy().tobytes() for part in draw_shapes(n, seed))).hexdigest()[:16]


    test_eq((checksum(200, 0), checksum(200, 1)), ("a29d9ae3e0a61b09", "299f65652469a3e4"))


def test_masks_hold_the_object():
    images, labels, masks = draw_shapes(1000)
    area = masks.flatten(1).sum(1)
    print(f"object: {area.min()} to {area.max()} pixels of 1024, {area.float().mean():.0f} on average")
    assert area.min() >= 30 and area.max() <= 350
    row, column = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    center = torch.stack(
        [(masks * position).sum((1, 2)) / area for position in (row, column)], 1
    )  # (n, 2) pixels
    assert (center.std(0) > 3).all() and ((center.mean(0) - 15.5).abs() < 1).all()
    inside = (images.double().mean(1) * masks).sum((1, 2)) / area
    around = (images.double().mean(1) * ~masks).sum((1, 2)) / (1024 - area)
    assert ((inside - around).abs() > 20).double().mean() > 0.98  # of 255: the object stands out


def test_color_tells_nothing():
    def nearest_class_error(seen):
        (features, labels), (test_features, test_labels) = seen
        means = torch.stack([features[labels == label].mean(0) for label in range(10)])
        return 100 * (torch.cdist(test_features, means).argmin(1) != test_labels).double().mean().item()


    sets = [draw_shapes(n, seed) for n, seed in ((3000, 0), (1000, 1))]
    whole = nearest_class_error([(images.double().mean((2, 3)), labels) for images, labels, _ in sets])
    alone = nearest_class_error(
        [
            ((images * masks[:, None]).double().sum((2, 3)) / masks.sum((1, 2))[:, None], labels)
            for images, labels, masks in sets
        ]
    )
    print(f"errors by mean color: of the image {whole:.1f} %, of the object {alone:.1f} %")
    assert whole > 85 and alone > 85


def test_shapes_come_with_masks():
    data = shapes(train=50, test=20)
    test_eq(data.train.images.shape, (50, 3, 32, 32))
    test_eq(data.test.masks.shape, (20, 32, 32))
    test_eq(len(data.classes), 10)
    assert not torch.equal(data.train.images[:20], data.test.images)  # the test images are different


def test_every_pixel_has_the_class_of_its_object_or_none():
    plain, data = shapes(train=50, test=20), segmentation_shapes(train=50, test=20)
    test_eq(data.train.images, plain.train.images)
    test_eq(
        (data.train.labels.shape, data.train.labels.dtype, len(data.classes)), ((50, 32, 32), torch.int64, 11)
    )
    for labels, label, mask in zip(data.test.labels, plain.test.labels, plain.test.masks):
        assert mask.any() and (labels[mask] == label + 1).all() and (labels[~mask] == 0).all()
        test_eq(data.classes[labels.max()], plain.classes[label])
