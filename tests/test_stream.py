"""Images streamed from files by worker processes: the same batches as without, and errors in one line."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from moonshine.data.streaming import Decoder, image_view, imagenet
from moonshine.errors import InputError
from moonshine.losses.base import cross_entropy
from moonshine.models.wide_resnet import wrn
from moonshine.training.loop import fit
from moonshine.training.recipe import Recipe


@pytest.fixture
def photos(tmp_path):
    """Two classes of noise, PNG and JPEG, of odd sizes: 8 training and 4 test images."""
    random = np.random.default_rng(0)
    for part, count in (("train", 4), ("val", 2)):
        for name in ("cat", "dog"):
            folder = tmp_path / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                height, width = random.integers(10, 90, 2)
                pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.{('png', 'jpg')[i % 2]}")
    return tmp_path


def epoch(data, number):
    """The training batches of an epoch, then the test batches."""
    return [*data.train_batches(3, 0, number), *data.test_batches(3)]


def equal(a, b):
    """Whether two lists of batches agree in every bit."""
    return len(a) == len(b) and all(torch.equal(x, u) and torch.equal(y, v) for (x, y), (u, v) in zip(a, b))


def test_the_number_of_workers_changes_nothing(photos):
    torch.manual_seed(5)
    alone, shared = (epoch(imagenet(photos, 32, workers), 1) for workers in (0, 2))
    after = torch.rand(1)
    assert equal(alone, shared)
    assert not equal(alone, epoch(imagenet(photos, 32, 0), 2))
    assert after == torch.rand(
        1, generator=torch.Generator().manual_seed(5)
    )  # the global generator was not touched


def test_an_unreadable_image_in_a_worker_is_one_line(photos):
    (photos / "train" / "dog" / "2.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"dog/2\.png can't be read as an image") as raised:
        list(imagenet(photos, 32, workers=2).train_batches(3, 0, 0))
    assert "\n" not in str(raised.value)


def test_what_goes_to_a_worker_can_be_pickled(photos):
    data = imagenet(photos, 32)
    decoder = Decoder(data.train, image_view(32, ("resized_crop", "flip")))
    batch = [(0, 7), (5, 8)]
    for ours, theirs in zip(decoder[batch], pickle.loads(pickle.dumps(decoder))[batch]):
        assert torch.equal(ours, theirs)


def test_the_trainer_takes_a_stream(photos):
    def run(workers):
        torch.manual_seed(0)
        return fit(
            wrn(10, 0.5, num_classes=2),
            imagenet(photos, 32, workers),
            cross_entropy(),
            Recipe(epochs=2, batch_size=4),
            quiet=True,
        )

    times = ("seconds", "images_per_second")
    alone, shared = (
        [{key: value for key, value in row.items() if key not in times} for row in run(workers)]
        for workers in (0, 2)
    )
    assert alone == shared and len(alone) == 2


def test_a_started_epoch_goes_on_with_another_number_of_workers(photos):
    whole = list(imagenet(photos, 32, 0).train_batches(3, 0, 1))
    assert equal(whole[1:], list(imagenet(photos, 32, 2).train_batches(3, 0, 1, skip=3)))


def test_workers_resume_when_the_run_is_asked_to_stop(photos):
    """A notice goes to all processes of a run: the workers must not die before the main process has saved."""
    batches = imagenet(photos, 32, 2).train_batches(1, 0, 0)
    first = [next(batches), next(batches)]  # one from each worker: both are under way
    for worker in multiprocessing.active_children():
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(worker.pid, number)
    assert equal([*first, *batches], list(imagenet(photos, 32, 0).train_batches(1, 0, 0)))


def test_a_bug_ends_the_command_and_its_workers(photos):
    """Workers that don't listen to SIGTERM must not keep Python from ending after an unforeseen exception."""
    code = (
        "from moonshine.training import loop; from moonshine.cli.program import main; "
        "loop.classification_errors = lambda *arguments: 1 / 0; main()"
    )
    words = (
        "train imagenet teacher --network wrn --wrn_depth 10 --image_size 32 --batch_size 2 --device cpu "
        "--data_dir"
    ).split()
    done = subprocess.run(
        [sys.executable, "-c", code, *words, photos, "--checkpoint_dir", photos / "run"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1 and done.stderr.rstrip().endswith("ZeroDivisionError: division by zero"), (
        done.stderr
    )


def test_classes_of_both_parts_must_agree(photos):
    (photos / "train" / "cow").mkdir()
    (photos / "train" / "cow" / "0.png").write_bytes((photos / "train" / "cat" / "0.png").read_bytes())
    with pytest.raises(InputError, match="differ in classes: cow"):
        imagenet(photos)
    (photos / "val" / "cow").mkdir()
    with pytest.raises(InputError, match="cow holds no images"):
        imagenet(photos)
