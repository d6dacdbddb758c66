"""Generated from nbs/distillation/30_checkpoints.ipynb by tools/export.py. Edit the notebook, not this file."""
from moonshine.training.checkpoints import *


import errno
import io
import json
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from unittest.mock import patch

import torch
from fastcore.test import test_close, test_eq, test_fail
from torch import nn

from moonshine.errors import InputError
from moonshine.models.registry import networks
from moonshine.models.wide_resnet import wrn


def test_a_failed_write_leaves_the_old_file():
    def fail_half_way(file):
        file.write(b"half")
        raise RuntimeError("the disk is full")


    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.pt")
        write_whole(path, lambda file: file.write(b"good"))
        test_fail(lambda: write_whole(path, fail_half_way), contains="disk is full")
        test_eq(path.read_bytes(), b"good")
        ordinary = Path(folder, "ordinary")
        ordinary.touch()
        test_eq(path.stat().st_mode, ordinary.stat().st_mode)
        ordinary.unlink()
        test_eq([p.name for p in Path(folder).iterdir()], ["a.pt"])  # nothing is left behind


def test_a_full_disk_is_one_line_and_the_old_file_stays():
    class Full(io.BytesIO):
        "A file on a disk with little room"

        def __init__(self, room):
            super().__init__()
            self.room = room

        def write(self, content):
            if len(content) > self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self.room -= len(content)


    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.pt")
        write_whole(path, lambda file: file.write(b"good"))
        for room in range(4):

            def write(file):
                with Full(room) as full:
                    for byte in b"good":
                        full.write(bytes([byte]))

            test_fail(
                lambda: write_whole(path, write, keep=True),
                contains="a.pt can't be written (No space left on device)",
            )
        test_eq([(p.name, p.read_bytes()) for p in Path(folder).iterdir()], [("a.pt", b"good")])
        test_fail(lambda: write_whole(path / "b.pt", lambda file: None), contains="b.pt can't be written")


def test_the_file_before_is_kept_and_leavings_are_tidied():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.pt")
        for content in (b"1", b"2", b"3"):
            write_whole(path, lambda file: file.write(content), keep=True)
        test_eq((path.read_bytes(), before(path).read_bytes(), before(path).name), (b"3", b"2", "a.before.pt"))
        with patch("os.link", side_effect=OSError):
            write_whole(path, lambda file: file.write(b"4"), keep=True)
        test_eq((path.read_bytes(), before(path).read_bytes()), (b"4", b"3"))
        left, others = ".a.pt.x1_y2z3w.moonshine-tmp", [".a.pt.download", ".b.pt.x1_y2z3w.moonshine-tmp"]
        for name in (left, *others):
            Path(folder, name).touch()
        tidy(path)
        test_eq(sorted(p.name for p in Path(folder).iterdir()), [*others, "a.before.pt", "a.pt"])


def test_a_name_is_held_by_one_process_and_freed_by_a_kill():
    other_process = (
        "import sys, time; from moonshine.training.checkpoints import Lock\n"
        "with Lock(sys.argv[1]): print('held', flush=True); time.sleep(60)"
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "T")
        path = lock_file(run)
        with Lock(run):
            test_fail(Lock(run).take, contains=f"T is being trained by process {os.getpid()} on")
            path.unlink()  # the folder was cleared: the lock is lost ...
            with Lock(run) as second:
                assert second.held()  # ... and another run may have it
        assert not path.exists()
        with Lock(run):
            pass
        other = subprocess.Popen([sys.executable, "-c", other_process, str(run)], stdout=subprocess.PIPE)
        test_eq(other.stdout.readline(), b"held\n")
        test_fail(Lock(run).take, contains=f"process {other.pid} on")
        other.kill()
        other.wait()
        other.stdout.close()
        with Lock(run) as mine:
            assert mine.held() and path.exists()  # the file is still there, its owner is not
        assert not path.exists()
        Path(folder, "file").touch()
        test_fail(Lock(Path(folder, "file", "T")).take, contains="name a folder that can be written")


def test_a_file_that_is_not_ours_is_never_a_lock():
    with tempfile.TemporaryDirectory() as folder:
        run, theirs = Path(folder, "uv"), Path(folder, "uv.lock")
        path = lock_file(run)
        theirs.write_text("version = 1")
        with Lock(run):
            assert path.exists()
        for make in (
            lambda: path.symlink_to(theirs),
            lambda: path.symlink_to("nowhere"),
            lambda: os.link(theirs, path),
            lambda: path.write_text('{"process": 1}'),
            lambda: path.write_text("x"),
            path.mkdir,
        ):
            make()
            test_fail(Lock(run).take, contains=f"{path} is not a lock file of moonshine; move it away")
            assert path.is_symlink() or path.exists()
            path.rmdir() if path.is_dir() else path.unlink()
        path.touch()  # an empty file says nothing, so it may serve ...
        with Lock(run):
            test_fail(Lock(run).take, contains=f"process {os.getpid()} on")
        test_eq((path.read_bytes(), theirs.read_text()), (b"", "version = 1"))  # ... and is as it was afterwards


def test_a_lock_on_a_full_disk_is_a_lock_without_a_name():
    with (
        tempfile.TemporaryDirectory() as folder,
        patch("os.write", side_effect=OSError(errno.ENOSPC, "No space left on device")),
    ):
        with Lock(Path(folder, "T")):
            test_fail(Lock(Path(folder, "T")).take, contains="T is being trained by another process")
        test_eq(os.listdir(folder), [])


def test_a_compiled_network_is_saved_as_the_network_that_it_is():
    plain = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 2)))
    names = list(plain.state_dict())
    wrapped = torch.compile(nn.DataParallel(torch.compile(plain)))
    plain[1] = torch.compile(plain[1])
    assert bare(wrapped) is plain and list(plain.state_dict()) != names
    test_eq(list(weights_of(wrapped)), names)


def test_where_the_first_nan_stands():
    nan, inf = float("nan"), float("inf")
    test_eq(non_finite(dict(a=torch.ones(2), b=[1, 2.0, "nan", None, torch.tensor([1, 2])])), "")
    test_eq(non_finite(dict(a=torch.ones(2), b=[1, dict(c=torch.tensor([0, inf]))])), "b.1.c")
    test_eq((non_finite([dict(epoch=1, ce=nan)]), non_finite(-inf)), ("0.ce", "number"))
    model = nn.BatchNorm1d(2)
    model.register_buffer("mask", torch.tensor([0, -inf]))
    test_eq(non_finite_state(dict(net=model.state_dict()), model), "")  # a mask is no harm
    for name, bad in (("weight", -inf), ("running_var", inf), ("mask", nan)):
        with torch.no_grad():
            getattr(model, name)[0] = bad
        test_eq(non_finite_state(dict(net=model.state_dict()), model), f"{name} of the weights")
        with torch.no_grad():
            getattr(model, name)[0] = 1.0


def test_all_weights_are_loaded_or_none():
    ones = {name: torch.ones_like(value) for name, value in nn.BatchNorm1d(3).state_dict().items()}
    for change, message in (
        (dict(bias=torch.ones(3).to_sparse()), "bias is no plain tensor"),
        (dict(bias=torch.ones(1).expand(3)), "bias is no plain tensor"),
        (dict(bias=torch.ones(4)), "bias is (4,) in the file, (3,) in the network"),
        (dict(bias=torch.ones(3, dtype=torch.int64)), "bias is torch.int64 in the file, torch.float32 in the"),
        (dict(num_batches_tracked=torch.tensor(1.5)), "tracked is torch.float32 in the file, torch.int64 in"),
        (dict(bias=torch.full((3,), float("nan"))), "bias of the weights is not finite"),
        (dict(bias=torch.full((3,), 1e300, dtype=torch.float64)), "bias of the weights is not finite"),
        (dict(more=torch.ones(1)), "1 names differ, e.g. more"),
    ):
        model = nn.BatchNorm1d(3)
        test_fail(lambda: fill(model, ones | change, "a.pt"), contains=message)
        test_eq((model.weight.tolist(), model.running_mean.tolist()), ([1.0] * 3, [0.0] * 3))
    test_eq(fill(model, ones).running_mean.tolist(), [1.0] * 3)
    test_eq(fill(model, dict(ones, weight=torch.ones(3).half())).weight.dtype, torch.float32)
    with torch.device("meta"):
        test_fail(lambda: fill(nn.BatchNorm1d(3), ones, "a.pt"), contains="a network on the meta device")


def test_a_huge_network_is_refused_before_it_is_built():
    huge = dict(network="torchvision", architecture="regnet_y_128gf", num_classes=10, block=None)
    outline = outline_of(huge)
    print(f"{sum(value.numel() for value in outline.values()):,} numbers, none of them in memory")
    assert all(value.is_meta for value in outline.values() if value.numel() > 1)
    test_fail(
        lambda: build(dict(huge, net=dict(a=torch.ones(2))), "a.pt"), contains="a.pt does not fit the network it"
    )
    wanted = dict(network="wrn", depth=10**9, width=1, block="S", net={})
    test_fail(lambda: build(wanted, "a.pt"), contains="depth is 1000000000; it must be a whole number from 1 to")
    test_fail(lambda: build(dict(network="wrn", net={}), "a.pt"), contains="can't be built: depth is missing")


def test_every_network_saves_and_loads():
    arguments = {
        "wrn": dict(depth=10, width=0.5, block="G(N)"),
        "resnet18": dict(block="G(N)"),
        "resnet34": dict(block="BG(2,M/8)"),
        "resnet18_half": dict(block="Conv/Old"),
        "erfnet": dict(block="G(N)"),
        "torchvision": dict(architecture="resnet18", block="G(4)", keep=["layer1"]),
    }
    test_eq(set(arguments), set(networks()))
    for name, wanted in arguments.items():
        model = networks()[name].build(**wanted, num_classes=7)
        model(torch.randn(4, 3, 64, 64))  # batch norms that have seen a batch
        with tempfile.TemporaryDirectory() as folder:
            save(Path(folder, "net.pt"), model.eval())
            again, info = load(Path(folder, "net.pt"))
        x = torch.randn(2, 3, 64, 64)
        assert torch.equal(model(x), again(x))
        test_eq((info["network"], again.spec, again.title), (name, model.spec, model.title))


def test_weights_of_a_network_of_your_own():
    class Own(nn.Sequential):
        pass


    def network(width):
        model = Own(nn.Conv2d(3, width, 3), nn.Flatten(), nn.Linear(width * 4, 10))
        model.spec = foreign_spec(model, num_classes=10)
        return model


    path, model = Path(tempfile.mkdtemp()) / "own.pt", network(5)
    save(path, model, epoch=1)
    test_fail(lambda: save(path, nn.Linear(2, 2)), contains="this Linear has no spec")
    test_fail(lambda: load(path), contains="weights of a network of your own, Own; build that network yourself")
    x = torch.randn(2, 3, 4, 4)
    test_close(load_weights(path, network(5))(x).detach(), model(x).detach())
    test_fail(
        lambda: load_weights(path, network(6)), contains="0.weight is (5, 3, 3, 3) in the file, (6, 3, 3, 3)"
    )


def test_what_is_saved_comes_back():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.pt")
        model = wrn(10, 0.5, "BG(2,M)", num_classes=7).eval()
        save(
            path,
            model,
            epoch=3,
            history=[dict(epoch=1, ce=2.0)],
            normalization=dict(mean=[0.5] * 3, std=[0.2] * 3),
        )
        again, info = load(path)
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(model(x), again(x))
    test_eq(
        (info["block"], info["depth"], info["width"], info["num_classes"], info["epoch"]),
        ("BG(2,M)", 10, 0.5, 7, 3),
    )
    test_eq(info["history"], [dict(epoch=1, ce=2.0)])


def test_released_files_load_with_and_without_counters():
    def released_file(path, model, conv, blocktype, counters=True):
        net = {
            key: value
            for key, value in model.state_dict().items()
            if counters or not key.endswith("num_batches_tracked")
        }
        curves = dict(
            train_losses=[2.0, 1.0],
            train_errors=[torch.tensor(70.0), torch.tensor(60.0)],
            val_losses=[1.5, 1.4],
            val_errors=[torch.tensor(50.0), torch.tensor(45.0)],
        )
        content = dict(
            net=net, epoch=1, width=2.0, depth=10, conv=conv, blocktype=blocktype, module=None, **curves
        )
        torch.save(content, path)


    x = torch.randn(2, 3, 32, 32)
    cases = [
        ("G8B2", "Bottle", "BG(2,M/8)", 1),
        ("Conv", "Old", "Conv/Old", 1),
        ("DConvG4", "Basic", "G(N/4)", 1),
    ]
    for conv, blocktype, block, splits in cases:
        for counters in (True, False):
            model = wrn(10, 2, block, num_classes=100, splits=splits).eval()
            with tempfile.TemporaryDirectory() as folder:
                released_file(Path(folder, "a.t7"), model, conv, blocktype, counters)
                again, info = load(Path(folder, "a.t7"))
                assert torch.equal(load_original(Path(folder, "a.t7"))(x), model(x))
            test_eq((info["block"], info["num_classes"], info["epoch"]), (block, 100, 2))
            test_eq(
                info["history"][1],
                dict(epoch=2, train_loss=1.0, train_error=60.0, test_loss=1.4, test_error=45.0),
            )


def test_a_changed_history_is_noticed():
    model = nn.Linear(2, 2)
    model.spec = foreign_spec(model)
    history = [dict(epoch=1, train_loss=0.1 + 0.2, test_error=1e-05), dict(epoch=2, train_loss=1.25)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "T.jsonl")
        save(Path(folder, "T.pt"), model, history=history)
        whole = "".join(json.dumps(row) + "\n" for row in history).encode()
        path.write_bytes(whole)
        test_eq(read_history(path), history)
        path.write_bytes(whole[: whole.index(b"\n") + 1])
        test_eq(read_history(path), history[:1])  # killed before the last row was written
        for at, bit in ((at, bit) for at in range(len(whole)) for bit in (0, 3, 5)):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :])
            try:
                test_eq(read_history(path), history)  # 1e-05 became 1E-05
            except InputError as error:
                assert "T.jsonl is damaged: " in str(error) and "\n" not in str(error)


def test_a_state_that_is_not_finite_is_never_saved():
    model = nn.Linear(2, 2)
    model.spec = foreign_spec(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "T.pt")

        def non_finite_save(**info):
            return lambda: save(path, model, keep=True, **info)

        test_fail(
            non_finite_save(history=[dict(epoch=1, ce=float("nan"))]),
            contains="0.ce of the history is not finite, so",
        )
        test_fail(
            non_finite_save(history=[dict(epoch=1, ce=float("nan"))]), contains="no good state was saved before"
        )
        for epoch in (1, 2):
            save(path, model, keep=True, epoch=epoch)
        good = path.read_bytes()
        test_fail(
            non_finite_save(
                optimizer=dict(state={0: dict(momentum_buffer=torch.tensor([float("inf")]))}),
                recipe=dict(seed=0, epochs=1),
                history=[],
            ),
            contains=f"0.momentum_buffer of the momentum is not finite, so {path} is not written; "
            f"the last good state is in {path}: resume",
        )
        test_fail(
            non_finite_save(started=dict(images=8, seconds=1.0, sums=dict(ce=torch.tensor(float("nan"))))),
            contains="sums.ce of the started",
        )
        with torch.no_grad():
            model.weight[0, 0] = float("nan")
        test_fail(non_finite_save(), contains="weight of the weights is not finite")
        test_eq((path.read_bytes(), read(before(path))["epoch"]), (good, 1))


def test_what_is_no_checkpoint_is_refused():
    class Malicious:
        def __reduce__(self):
            return (print, ("this code must never run",))


    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.pt")
        save(path, wrn(10, 0.5))
        whole = path.read_bytes()

        def refused(content, message):
            path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
            test_fail(lambda: load(path), contains=message)

        refused(whole[: len(whole) // 2], "can be read safely")  # truncated
        refused(b"no checkpoint at all", "can be read safely")
        refused(dict(net=Malicious()), "can be read safely (loading it would run code: ")
        refused(dict(weights=1), "no weights under 'net'")
        refused(dict(net={}), "of another program")
        content = torch.load(Path(folder, "net.pt"), weights_only=True)
        refused(dict(content, format="moonshine checkpoint", version=99), "newer moonshine")
        test_fail(lambda: load(Path(folder, "absent.pt")), contains="no checkpoint")
        test_fail(lambda: load_original(path), contains="use load")


def test_a_changed_byte_is_refused():
    model = nn.Linear(2, 2)
    model.spec = foreign_spec(model)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "T.pt")
        for epoch in (1, 2):
            save(path, model, keep=True, epoch=epoch)
        test_eq(torch.load(path, weights_only=True)["epoch"], 2)  # the seal does not disturb PyTorch
        whole = path.read_bytes()
        seal = len(whole) - 64 - len(SEAL)
        for at in range(0, len(whole), 3):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
            if seal <= at < seal + len(SEAL):
                assert torch.equal(read(path)["net"]["weight"], model.weight)
            else:
                test_fail(lambda: read(path), contains="differs); it may be damaged")
        test_fail(lambda: read(path), contains=f"to continue from it: mv {before(path)} {path}")
        path.unlink()
        test_fail(lambda: read(path), contains="the previous checkpoint is intact")
        test_eq(read(before(path))["epoch"], 1)
    print(f"{len(range(0, len(whole), 3))} changes of {len(whole)} bytes, none went unnoticed")


def test_files_without_a_seal_have_the_checksums_of_their_parts():
    with tempfile.TemporaryDirectory() as folder:
        path, weight = Path(folder, "a.t7"), torch.randn(4)
        torch.save(dict(net=dict(weight=weight)), path)
        whole, number = path.read_bytes(), weight.numpy().tobytes()
        assert torch.equal(read(path)["net"]["weight"], weight)
        path.write_bytes(whole.replace(number, number[:-1] + bytes([number[-1] ^ 1])))
        torch.load(path, weights_only=True)  # PyTorch itself does not notice
        test_fail(lambda: read(path), contains="its checksum differs")


def test_weights_of_another_network_are_refused():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "net.pt")
        model = wrn(10, 0.5)
        model.spec = dict(model.spec, width=1)  # the file claims what its weights are not
        save(path, model)
        test_fail(lambda: load(path), contains="does not fit the network it describes")
        test_fail(
            lambda: fill(nn.Linear(1, 1), dict(weight=torch.ones(1, 1), bias=0.5), path),
            contains="bias is no tensor",
        )
        torch.save(dict(net=[1]), path)
        test_fail(lambda: load(path), contains="no weights under 'net'")
