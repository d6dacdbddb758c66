"""Generated from nbs/core/13_timing.ipynb by tools/export.py. Edit the notebook, not this file."""
import pytest
from moonshine.costs.timing import *


import time

import torch
from fastcore.test import test_eq


def test_a_stopwatch_counts_seconds():
    now = [5.0]
    watch = Stopwatch(clock=lambda: now[0])
    now[0] += 2.5
    test_eq([watch.stop(), watch.stop()], [2.5, 2.5])
    watch = Stopwatch()
    time.sleep(0.02)
    assert 0.02 <= watch.stop() < 2


@pytest.mark.cuda
def test_a_stopwatch_waits_for_the_gpu():
    watch = Stopwatch("cuda")
    x = torch.ones(4096, 4096, device="cuda")
    for _ in range(20):
        x @ x
    assert watch.stop() > 1e-3
