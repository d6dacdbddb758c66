"""Generated from nbs/core/11_costs.ipynb by tools/export.py. Edit the notebook, not this file."""
import pytest
from moonshine.costs.counting import *


import time
from itertools import product

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn

from moonshine.blocks.families import parse_block
from moonshine.models.wide_resnet import wrn


def test_two_ways_to_count_the_teacher():
    teacher = wrn(40, 2)
    print(f"{parameters(teacher):,} trainable, {paper_parameters(teacher):,} as the paper counts")
    test_eq(parameters(teacher), 2_243_546)
    test_eq(paper_parameters(teacher), 2_248_954)


def test_saved_bytes_are_the_numbers_and_little_more():
    network = wrn(16, 1)
    numbers = sum(value.nbytes for value in network.state_dict().values())
    print(f"{numbers:,} bytes of numbers, {saved_bytes(network):,} in the file")
    assert numbers < saved_bytes(network) < numbers + 600 * len(network.state_dict())
    more = saved_bytes(nn.Linear(200, 100)) - saved_bytes(nn.Linear(100, 100))
    assert abs(more - 4 * 100 * 100) <= 128  # tensors begin at multiples of 64 bytes


def test_mult_adds_of_one_convolution_by_hand():
    def side(n, k, stride, padding, dilation):
        return (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1


    checked = 0
    for (kh, kw), stride, padding, dilation, groups in product(
        ((1, 1), (2, 2), (3, 3), (3, 1)), (1, 2), (0, 1), (1, 2), (1, 2, 8)
    ):
        layer = nn.Conv2d(8, 16, (kh, kw), stride, padding, dilation, groups)
        H, W = side(9, kh, stride, padding, dilation), side(12, kw, stride, padding, dilation)
        test_eq(mult_adds(layer, (8, 9, 12)), H * W * kh * kw * (8 // groups) * 16)
        checked += 1
    print(f"{checked} convolutions agree")


def test_mult_adds_of_whole_networks_by_hand():
    def by_hand(model, x):
        total = 0

        def count(layer, args, out):
            nonlocal total
            if isinstance(layer, nn.Conv2d):
                k = layer.kernel_size[0] * layer.kernel_size[1]
                total += k * layer.in_channels // layer.groups * out.shape[1] * out.shape[2] * out.shape[3]
            elif isinstance(layer, nn.Linear):
                total += layer.in_features * layer.out_features

        handles = [m.register_forward_hook(count) for m in model.modules()]
        model.eval()(x)
        for handle in handles:
            handle.remove()
        return total


    for block in ("S", "S-2x2", "G(4)", "G(N)", "B(2)", "BG(2,M/8)", "Conv/Old"):
        test_eq(mult_adds(wrn(16, 1, block)), by_hand(wrn(16, 1, block), torch.zeros(1, 3, 32, 32)))
    test_eq(mult_adds(wrn(40, 2)), by_hand(wrn(40, 2), torch.zeros(1, 3, 32, 32)))


def test_counting_changes_nothing():
    network = wrn(10, 0.5).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    mult_adds(network), saved_bytes(network)
    assert network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_52_totals_of_table_2():
    rows = [row for dataset in ("cifar10", "cifar100") for row in table2(dataset)]
    differ = [row for row in rows if row["parameters"] != row["printed"]]
    print(f"{len(rows) - len(differ)} of {len(rows)} totals agree")
    test_eq(len(rows), 52)
    test_eq(
        [(row["block"], row["parameters"], row["printed"]) for row in differ], [("BG(2,M/16)", 243_706, 234_704)]
    )
    print(differ[0]["note"])


def test_released_names_build_table_2():
    for row in paper_table(2):
        test_eq(parse_block(row["conv"], row["blocktype"]), parse_block(row["block"]))


def test_the_trap_in_g8b2():
    test_eq(paper_parameters(wrn(40, 2, parse_block("G8B2"))), 383_482)
    test_eq(paper_parameters(wrn(40, 2, parse_block("G8B2", "Bottle"))), 195_322)


def test_saved_activations_of_two_layers_by_hand():
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 5))
    by_hand = 4 * 10 * (3 * 8 * 8 + 4 * 8 * 8)  # bytes, images, numbers
    test_eq(peak_activation_bytes(network, (3, 8, 8), batch_size=10), by_hand)
    test_eq(peak_activation_bytes(network.double(), (3, 8, 8), batch_size=10), 2 * by_hand)
    assert network[0].weight.grad is None  # the network itself took no step


def test_batch_norm_keeps_its_input_and_two_numbers_a_channel():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    by_hand = 4 * 10 * (3 + 4 + 4) * 8 * 8 + 2 * 4 * 4  # images, BN's input, ReLU's output; mean and 1/sd
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
            self.seconds, self.calls = seconds, calls

        def forward(self, x):
            time.sleep(self.seconds)
            self.calls.append((self.seconds, self.training))
            return x


    calls = []
    short, long = Sleeper(0.002), Sleeper(0.020)
    rows = side_by_side(dict(short=short, long=long), repeats=5, warmup=1)
    test_eq(calls, [(0.002, False), (0.020, False)] * 6)
    assert rows[0]["ms"] >= 2 and rows[1]["ms"] >= 20 and rows[0]["ratio"] == 1 < rows[1]["ratio"]
    assert short.training and long.training
    assert latency(long, batch_size=3, repeats=2, warmup=0) >= 20
    test_fail(lambda: latency(short, repeats=0), contains="repeats 0")


def test_cheap_blocks_are_cheaper():
    rows = block_costs(["S", "G(N/8)", "BG(2,M/8)"], depth=16, width=1)
    for column in ("parameters", "mult_adds", "saved_bytes"):
        assert rows[0][column] > rows[1][column] > rows[2][column], column
    test_eq(
        text_table([dict(block="S", parameters=1234), dict(block="G(N)", parameters=5)]),
        "block  parameters\nS           1,234\nG(N)            5",
    )


def test_one_table_for_any_networks():
    from torchvision.models import squeezenet1_1

    rows = cost_table(
        {"small": wrn(10, 0.5), "squeezenet": squeezenet1_1(weights=None)}, (3, 64, 64), (1, 2), 4, 2, 0
    )
    test_eq(
        list(rows[0]),
        [
            "network",
            "parameters",
            "as_the_paper_counts",
            "mult_adds",
            "saved_bytes",
            "peak_activation_bytes",
            "ms_at_batch_1",
            "ms_at_batch_2",
        ],
    )
    test_eq([row["network"] for row in rows], ["small", "squeezenet"])
    test_eq(rows[1]["parameters"], 1_235_496)  # torchvision's own figure for its weights
    test_eq(rows[0]["mult_adds"], 4 * (mult_adds(wrn(10, 0.5)) - 320) + 320)  # four times the pixels; fc is 32×10
