"""A GPU that is not there: PyTorch's fake tensors, which have a shape, a type and a device, but no values.

Within `fake_gpu()` an operation on tensors of two devices raises, as on a GPU, and nothing is computed.
"""

from contextlib import ExitStack, contextmanager, nullcontext
from unittest.mock import patch

import torch
import torch._dynamo  # before its functions are replaced: it makes tables of them
from torch import nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode, unset_fake_temporarily
from torch.utils._pytree import tree_map

from moonshine.data.images import Data

SAVE = torch.save


def moved(module, device):
    """Move a module: `Module.to` exchanges the contents of tensors, and fake ones have none."""
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                value = nn.Parameter(value.detach().to(device), value.requires_grad)
                part._parameters[name] = value
        for name, value in part._buffers.items():
            if value is not None:
                part._buffers[name] = value.to(device)
    return module


def module_to(module, *values, **options):
    """Move a module to the device that `Module.to` was given; a memory format changes nothing here."""
    devices = [value for value in (*values, *options.values()) if isinstance(value, (str, torch.device))]
    return moved(module, devices[0]) if devices else module


def backward(total):
    """Give each parameter of a graph a gradient like itself: the real one asks the driver for a stream."""
    waiting, seen = [total.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is not None and node not in seen:
            seen.add(node)
            if hasattr(node, "variable"):
                node.variable.grad = torch.zeros_like(node.variable)
            waiting += [before for before, _ in node.next_functions]


def fused_step(parameters, gradients, buffers, **options):
    """Check what the fused optimizer needs: one device and one layout; it has no fake version."""
    for trio in zip(parameters, gradients, buffers or gradients):
        assert len({value.device for value in trio}) == len({value.stride() for value in trio}) == 1


def copied(value, memo):
    """Copy a fake tensor: `Tensor.__deepcopy__` would read its memory."""
    new = value.detach().clone()
    return nn.Parameter(new, value.requires_grad) if isinstance(value, nn.Parameter) else new


def saved(content, file):
    """Save zeros that say they are from a GPU, as a file written on one does."""

    def real(value):
        return torch.zeros(value.shape, dtype=value.dtype) if isinstance(value, torch.Tensor) else value

    with unset_fake_temporarily(), patch("torch.serialization.location_tag", lambda storage: "cuda:0"):
        SAVE(tree_map(real, content), file)


class Event:
    """A CUDA event; a millisecond lies between any two."""

    def __init__(self, enable_timing=False):
        pass

    def record(self):
        pass

    synchronize = record

    def elapsed_time(self, other):
        return 1.0


def nothing(*values, **options):
    """Do nothing."""


REPLACED = {  # what asks the driver, or reads values or random numbers that do not exist
    "torch.cuda.amp.common.amp_definitely_not_available": lambda: False,
    "torch.cuda.is_bf16_supported": lambda: True,
    "torch.cuda.get_device_name": lambda device=None: "no GPU",
    "torch.cuda.synchronize": nothing,
    "torch.cuda.Event": Event,
    "torch.cuda.reset_peak_memory_stats": nothing,
    "torch.cuda.memory_allocated": lambda device=None: 0,
    "torch.cuda.max_memory_allocated": lambda device=None: 1,
    "torch.random.fork_rng": lambda *devices, **options: nullcontext(),
    "torch.set_rng_state": nothing,
    "torch._fused_sgd_": fused_step,
    "torch.save": saved,
    "torch.Tensor.item": lambda tensor: 1.0,
    "torch.Tensor.__bool__": lambda tensor: True,
    "torch.Tensor.backward": backward,
    "torch.nn.Module.to": module_to,
    "torch.nn.Module.cpu": lambda module: moved(module, "cpu"),
}


@contextmanager
def fake_gpu():
    """Pretend that there is a GPU, on which tensors have everything but values."""
    with ExitStack() as stack:
        for name, new in REPLACED.items():
            stack.enter_context(patch(name, new))
        stack.enter_context(patch.object(FakeTensor, "__deepcopy__", copied, create=True))
        stack.enter_context(patch.object(Data, "fingerprint", lambda data: "0" * 16))
        stack.enter_context(patch("moonshine.training.loop.weights_digest", lambda network: "0" * 64))
        stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
        yield
