"""Generated from nbs/distillation/31_distributed.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.distributed import *


import json
import os
import socket
import subprocess
import sys
from unittest.mock import patch

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn


def test_each_process_has_a_gpu_of_its_own():
    test_eq(own_device("cuda:3"), torch.device("cuda:3"))  # alone
    environment = patch.dict(os.environ, LOCAL_RANK="1", LOCAL_WORLD_SIZE="2")
    with environment, patch.dict(own_device.__globals__, size=lambda: 2), patch("torch.cuda.set_device"):
        with patch("torch.cuda.device_count", lambda: 2):
            test_eq(own_device("cuda"), torch.device("cuda:1"))
        with patch("torch.cuda.device_count", lambda: 1):
            test_fail(lambda: own_device("cuda"), contains="2 processes for 1 GPUs")
        test_fail(lambda: own_device("cuda:0"), contains="cuda:0 is one GPU, for 2 processes")
        test_eq(own_device("cpu"), torch.device("cpu"))


def test_devices_by_name():
    test_eq(pick_device("cpu").type, "cpu")
    test_fail(lambda: pick_device("cuda:99"), contains="device 'cuda:99' isn't there")
    test_fail(lambda: pick_device("toaster"), contains="use auto or cpu")


def test_shares_add_up():
    for K in (1, 2, 3, 5):
        sums = []
        for r in range(K):
            with patch.dict(counted.__globals__, size=lambda: K, rank=lambda: r):
                sums.append([counted(n) for n in range(9)])
                test_eq([len(list(range(n))[share()]) for n in range(9)], sums[-1])
        test_eq([sum(column) for column in zip(*sums)], list(range(9)))


def test_alone_nothing_changes():
    test_eq((size(), rank(), started_together()), (1, 0, False))
    test_eq((counted(7), list(range(7))[share()]), (7, list(range(7))))
    values, loss, network = dict(ce=torch.tensor(0.1)), torch.tensor(0.3), nn.Linear(2, 2)
    assert means(values, 7) is values and weighted(loss, 7) is loss and total(values) is values
    assert wrap_ddp(network) is network


def test_two_processes_compute_as_one():
    program = """
import json, signal, time, torch
from moonshine.training import distributed
from moonshine.errors import InputError

def fail(): raise InputError("the name is taken")

class Weight(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor(2.0 + distributed.rank()))      # rank 0's counts
    def forward(self, x): return self.w * x

with distributed.joined():
    network, mean_loss = distributed.wrap_ddp(Weight()), torch.tensor([1.0, 6.0][distributed.rank()])
    loss = network(mean_loss)
    found = dict(ce=distributed.means(dict(ce=loss), 5)["ce"].item())
    distributed.weighted(loss, 5).backward()
    found |= dict(gradient=network.module.w.grad.item(), counted=distributed.counted(5))
    own = Weight()  # the parameter of a loss, outside of the network
    distributed.same_start(own)
    distributed.weighted(own(mean_loss), 5).backward()
    distributed.average_gradients(own)
    found |= dict(own=own.w.item(), own_gradient=own.w.grad.item())
    found["signal"] = distributed.agreed(signal.SIGTERM if distributed.rank() else None)
    found["none"] = distributed.agreed(None)
    found["sent"] = distributed.from_first(lambda: f"said by {distributed.rank()}")
    try: distributed.from_first(fail)
    except InputError as error: found["refused"] = str(error)
    start = time.perf_counter()
    for _ in range(200): distributed.agreed(None)
    found["microseconds"] = (time.perf_counter() - start) / 200 * 1e6
    print(json.dumps(found))
"""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    both = [
        dict(os.environ, WORLD_SIZE="2", RANK=str(r), MASTER_ADDR="localhost", MASTER_PORT=port) for r in (0, 1)
    ]
    processes = [
        subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=env) for env in both
    ]
    answers = [json.loads(process.communicate()[0]) for process in processes]
    for answer in answers:
        test_eq((answer["ce"], answer["signal"], answer["none"]), (2 * (3 * 1 + 2 * 6) / 5, 15, None))
        test_close(answer["gradient"], (3 * 1 + 2 * 6) / 5, eps=1e-6)
        test_close([answer["own"], answer["own_gradient"]], [2.0, (3 * 1 + 2 * 6) / 5], eps=1e-6)
        test_eq((answer["sent"], answer["refused"]), ("said by 0", "the name is taken"))
    test_eq([answer["counted"] for answer in answers], [3, 2])
    print(f"asking each other after a step took {answers[0]['microseconds']:.0f} microseconds on this machine")
