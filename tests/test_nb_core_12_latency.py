"""Generated from nbs/core/12_latency.ipynb by tools/export.py. Edit the notebook, not this file."""
import pytest
from moonshine.costs.latency import *


import time

import torch
from fastcore.test import test_eq, test_fail
from torch import nn

from moonshine.costs.counting import mult_adds, parameters, text_table
from moonshine.models.wide_resnet import wrn


def test_saved_activations_of_two_layers_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 5))
    by_hand = 4 * 10 * (3 * 8 * 8 + 4 * 8 * 8)  # bytes, images, numbers
    test_eq(peak_activation_bytes(network, (3, 8, 8), batch_size=10), by_hand)
    test_eq(peak_activation_bytes(network.double(), (3, 8, 8), batch_size=10), 2 * by_hand)
    assert network[0].weight.grad is None  # the network itself took no step


def test_batch_norm_keeps_its_input_and_two_numbers_a_channel():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    by_hand = 4 * 10 * (3 + 4 + 4) * 8 * 8 + 2 * 4 * 4  # images, BN's input, ReLU's output; mean and 1/std
    test_eq(peak_activation_bytes(network, (3, 8, 8), batch_size=10), by_hand)
    test_eq(network[1].running_mean, torch.zeros(4))


@pytest.mark.cuda
def test_a_gpu_allocates_no_less_than_is_saved():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = wrn(16, 1)
    saved = peak_activation_bytes(network, batch_size=32)
    assert peak_activation_bytes(network.to(device), batch_size=32) >= saved


def test_fewer_parameters_but_more_activations():
    full = wrn(16, 1)
    ratio = {}
    for block in ("G(N)", "B(2)", "BG(2,M/8)"):
        cheap = wrn(16, 1, block)
        ratio[block] = peak_activation_bytes(cheap, batch_size=16) / peak_activation_bytes(full, batch_size=16)
        print(
            f"{block}: {parameters(cheap) / parameters(full):.2f} times the parameters of S, "
            f"{ratio[block]:.2f} times its saved activations"
        )
    assert ratio["G(N)"] > 1 and ratio["B(2)"] == ratio["BG(2,M/8)"] < ratio["G(N)"]


def test_the_clock_and_the_turns():
    class Sleeper(nn.Module):
        def __init__(self, seconds):
            super().__init__()
            self.seconds = seconds
            self.calls = calls

        def forward(self, x):
            time.sleep(self.seconds)
            self.calls.append((self.seconds, self.training))
            return x


    calls = []
    short, long = Sleeper(0.002), Sleeper(0.020)
    rows = compare_latency(dict(short=short, long=long), repeats=5, warmup=1)
    test_eq(calls, [(0.002, False), (0.020, False)] * 6)
    assert rows[0]["ms"] >= 2 and rows[1]["ms"] >= 20 and rows[0]["ratio"] == 1 < rows[1]["ratio"]
    assert short.training and long.training
    assert median_latency(long, batch_size=3, repeats=2, warmup=0) >= 20
    test_fail(lambda: median_latency(short, repeats=0), contains="repeats 0")


def test_one_table_for_any_networks():
    from torchvision.models import squeezenet1_1

    rows = cost_table(
        {"small": wrn(10, 0.5), "squeezenet": squeezenet1_1(weights=None)}, (3, 64, 64), (1, 2), 4, 2, 0
    )
    columns = "network parameters paper_parameters mult_adds saved_bytes peak_activation_bytes".split()
    test_eq(list(rows[0]), [*columns, "latency_ms_at_batch_1", "latency_ms_at_batch_2"])
    test_eq([row["network"] for row in rows], ["small", "squeezenet"])
    test_eq(rows[1]["parameters"], 1_235_496)  # torchvision's own figure for its weights
    test_eq(rows[0]["mult_adds"], 4 * (mult_adds(wrn(10, 0.5)) - 320) + 320)  # four times the pixels; fc is 32×10
