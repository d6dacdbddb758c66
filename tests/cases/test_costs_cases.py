"Costs of ordinary networks: counted as by hand, and the network comes back untouched"

import warnings

import pytest
import torch
from torch import nn
from torchvision.models import VisionTransformer, resnet18
from torchvision.ops import DeformConv2d

from moonshine.costs.counting import mult_adds
from moonshine.costs.latency import compare_latency, cost_table, peak_activation_bytes

N, D = 5, 8  # tokens and their width
COUNTED = "Multiply-adds of fused paths"
UNTOUCHED = "Measuring leaves the network as it was"


class SelfAttention(nn.Module):
    def __init__(self, **settings):
        super().__init__()
        self.attention, self.settings = nn.MultiheadAttention(D, 2, batch_first=True), settings

    def forward(self, x):
        return self.attention(x, x, x, **self.settings)[0]


class Fused(nn.Module):
    def forward(self, x):
        return nn.functional.scaled_dot_product_attention(x, x, x)


class Deformable(nn.Module):
    def __init__(self):
        super().__init__()
        self.offset = nn.Conv2d(4, 18, 3)
        self.conv = DeformConv2d(4, 6, 3)

    def forward(self, x):
        return self.conv(x, self.offset(x))


class Pairs(nn.Module):
    def __init__(self):
        super().__init__()
        self.bilinear = nn.Bilinear(3, 4, 5)

    def forward(self, x):
        return self.bilinear(x[:, :3], x[:, 3:])


BY_HAND = {
    "attention": (SelfAttention(), (N, D), 4 * N * D * D + 2 * N * N * D),
    "attention without weights": (SelfAttention(need_weights=False), (N, D), 4 * N * D * D + 2 * N * N * D),
    "scaled dot products": (Fused(), (2, N, 4), 2 * 2 * N * N * 4),
    "encoder layer": (
        nn.TransformerEncoderLayer(D, 2, 16, batch_first=True),
        (N, D),
        4 * N * D * D + 2 * N * N * D + 2 * N * D * 16,
    ),
    "encoder": (
        nn.TransformerEncoder(nn.TransformerEncoderLayer(D, 2, 16, batch_first=True), 3),
        (N, D),
        3 * (4 * N * D * D + 2 * N * N * D + 2 * N * D * 16),
    ),
    "LSTM": (nn.LSTM(D, 6, batch_first=True), (N, D), N * 4 * 6 * (D + 6)),
    "GRU": (nn.GRU(D, 6, batch_first=True), (N, D), N * 3 * 6 * (D + 6)),
    "RNN in both directions": (
        nn.RNN(D, 6, bidirectional=True, batch_first=True),
        (N, D),
        2 * N * 6 * (D + 6),
    ),
    "two layers of LSTM": (nn.LSTM(D, 6, 2, batch_first=True), (N, D), N * 24 * (D + 6) + N * 24 * 12),
    "transposed": (nn.ConvTranspose2d(4, 6, 3, 2), (4, 5, 5), 25 * 4 * 6 * 9),
    "deformable": (Deformable(), (4, 5, 5), 9 * 9 * 4 * (18 + 6)),
    "bilinear": (Pairs(), (7,), 3 * 4 * 5),
    "half precision": (nn.Linear(8, 4).half(), (8,), 32),
    "wrapped": (nn.DataParallel(nn.Linear(8, 4)), (8,), 32),
    "averaged": (torch.optim.swa_utils.AveragedModel(nn.Linear(8, 4)), (8,), 32),
}


@pytest.mark.kind(COUNTED)
@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("training", (True, False))
def test_the_count_is_that_by_hand(name, training):
    model, shape, expected = BY_HAND[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mult_adds(model.train(training), shape) == expected


@pytest.mark.kind(COUNTED)
def test_a_vision_transformer_counts_the_same_on_the_meta_device():
    model = VisionTransformer(16, 4, 2, 2, 32, 64, num_classes=10)
    tokens = 17
    layer = 4 * tokens * 32 * 32 + 2 * tokens * tokens * 32 + 2 * tokens * 32 * 64
    by_hand = 16 * 32 * 3 * 16 + 2 * layer + 32 * 10
    assert mult_adds(model, (3, 16, 16)) == by_hand
    assert mult_adds(model.to("meta"), (3, 16, 16)) == by_hand


class Elementwise(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4, 4))

    def forward(self, x):
        return (x[..., None] * self.weight).sum(-2)


@pytest.mark.kind(COUNTED)
def test_what_cannot_be_counted_is_named_once():
    layer = Elementwise()
    with pytest.warns(UserWarning) as caught:
        assert mult_adds(nn.Sequential(nn.Linear(4, 4), layer, layer), (4,)) == 16
    assert [str(w.message) for w in caught] == ["the multiply-adds of 1 (Elementwise) could not be counted"]


@pytest.mark.kind(COUNTED)
@pytest.mark.parametrize("module", (nn.BatchNorm1d(4), nn.LayerNorm((4,)), nn.PReLU(4), nn.ReLU()))
def test_no_warning_without_a_matrix_of_weights(module):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert mult_adds(nn.Sequential(nn.Linear(4, 4), module), (4,)) == 16


@pytest.mark.kind(COUNTED)
@pytest.mark.slow
def test_a_network_compiled_in_place_is_counted_and_stays_compiled():
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU())
    model.compile(backend="eager")
    assert mult_adds(model, (8,)) == 32
    assert model._compiled_call_impl is not None


def state(model):
    "Everything that a measurement could disturb, apart from the speed."
    return (
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
        [len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules()],
        [sorted(vars(module)) for module in model.modules()],
        {name: value.clone() for name, value in model.state_dict().items()},
        torch.get_rng_state(),
    )


def assert_same_state(before, after):
    assert before[:4] == after[:4]
    assert all(torch.equal(before[4][name], after[4][name]) for name in before[4])
    assert torch.equal(before[5], after[5])


class Noisy(nn.Module):
    def forward(self, x):
        return x + torch.rand_like(x)


def frozen_resnet():
    model = resnet18(weights=None, num_classes=4).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval().requires_grad_(False)
    return model


def frozen_part():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Noisy(), nn.Dropout(0.5)).train()
    model[1].eval()
    return model


def awake_part():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).eval()
    model[2].train()  # Monte Carlo dropout
    return model


@pytest.mark.kind(UNTOUCHED)
@pytest.mark.parametrize("build", (frozen_resnet, frozen_part, awake_part))
@pytest.mark.parametrize(
    "measure",
    (
        lambda model: mult_adds(model, (3, 32, 32)),
        lambda model: compare_latency({"": model}, (3, 32, 32), 2, 1, 0),
        lambda model: peak_activation_bytes(model, (3, 32, 32), 2),
        lambda model: cost_table({"": model}, (3, 32, 32), (1,), 2, 1, 0),
    ),
    ids=("mult_adds", "compare_latency", "peak_activation_bytes", "cost_table"),
)
def test_modes_statistics_and_random_state_stay(build, measure):
    model = build()
    before = state(model)
    measure(model)
    assert_same_state(before, state(model))


@pytest.mark.kind(UNTOUCHED)
def test_a_network_that_fails_is_left_as_it_was():
    model = nn.Sequential(frozen_part(), nn.Linear(7, 7))
    before = state(model)
    with pytest.raises(RuntimeError):
        mult_adds(model, (3, 32, 32))
    assert_same_state(before, state(model))


class Tuple(nn.Linear):
    def forward(self, x):
        return super().forward(x), dict(aux=[super().forward(x)])


@pytest.mark.kind("Networks with several outputs")
def test_memory_of_a_network_with_several_outputs():
    assert peak_activation_bytes(Tuple(8, 4), (8,), 10) == peak_activation_bytes(nn.Linear(8, 4), (8,), 10)
