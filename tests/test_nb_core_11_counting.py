"""Generated from nbs/core/11_counting.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.costs.counting import *


from itertools import product

import torch
from fastcore.test import test_eq, test_warns
from torch import nn

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


def test_noise_fits_the_network():
    batch = noise_images(nn.Conv2d(4, 8, 3).double(), 2, (4, 5, 6))
    test_eq((batch.shape, batch.dtype), ((2, 4, 5, 6), torch.double))
    assert torch.equal(noise_images(wrn(10, 0.5)), noise_images(wrn(10, 1)))


def test_a_wrapped_network_is_unwrapped():
    network = wrn(10, 0.5)
    for wrapped in (network, nn.DataParallel(network), torch.compile(nn.DataParallel(network))):
        assert bare_network(wrapped) is network
    network.block1.eval()  # frozen
    before = [module.training for module in network.modules()]
    with evaluating(network):
        assert not any(module.training for module in network.modules())
    test_eq([module.training for module in network.modules()], before)


def test_mult_adds_of_one_convolution_by_hand():
    def side(n, k, stride, padding, dilation):
        return (n + 2 * padding - dilation * (k - 1) - 1) // stride + 1


    checked = 0
    for (kh, kw), stride, padding, dilation, groups in product(
        ((1, 1), (2, 2), (3, 3), (3, 1)), (1, 2), (0, 1), (1, 2), (1, 2, 8)
    ):
        layer = nn.Conv2d(8, 16, (kh, kw), stride, padding, dilation, groups)
        H = side(9, kh, stride, padding, dilation)
        W = side(12, kw, stride, padding, dilation)
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


def test_mult_adds_of_attention_and_recurrence_by_hand():
    N, D = 5, 8
    layer = nn.TransformerEncoderLayer(D, 2, 16, batch_first=True)
    test_eq(mult_adds(layer, (N, D)), 4 * N * D * D + 2 * N * N * D + 2 * N * D * 16)
    test_eq(mult_adds(nn.LSTM(D, 6, batch_first=True), (N, D)), N * 4 * 6 * (D + 6))


def test_what_cannot_be_counted_is_named():
    class Elementwise(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4, 4))

        def forward(self, x):
            return (x[..., None] * self.weight).sum(-2)


    test_warns(lambda: mult_adds(nn.Sequential(nn.Linear(4, 4), Elementwise()), (4,)))


def test_counting_changes_nothing():
    network = wrn(10, 0.5).train()
    network.block1.eval()  # frozen
    random = torch.get_rng_state()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    mult_adds(network)
    saved_bytes(network)
    assert network.training
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not any(module.training for module in network.block1.modules())
    assert torch.equal(torch.get_rng_state(), random)


def test_numbers_are_aligned_to_the_right():
    test_eq(
        text_table([dict(block="S", parameters=1234), dict(block="G(N)", parameters=5)]),
        "block  parameters\nS           1,234\nG(N)            5",
    )
    test_eq(text_table([dict(mult_adds=1)]), "multiply-adds\n            1")
