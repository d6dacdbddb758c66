"""The command line as a person meets it: the released commands, and every kind of bad input.

Bad input must give one line on standard error, exit status 2, no traceback, and leave the folder as it was.
"""

import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from PIL import Image

from moonshine.cli.program import main
from moonshine.data import registry as data
from moonshine.data.drawing import shapes
from moonshine.models.wide_resnet import wrn
from moonshine.surgery.zoo import network_from_torchvision
from moonshine.training.checkpoints import load, save, sealed

SMALL = ["--wrn_depth", "10", "--wrn_width", "0.5", "--epochs", "1", "--batch_size", "32"]


@pytest.fixture(autouse=True)
def a_folder_of_its_own(tmp_path, monkeypatch):
    """Each test starts in an empty folder, with few drawn images."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("moonshine.blocks.custom.USER", {})  # no test has given a --module before
    few = shapes(train=64, test=32)
    monkeypatch.setitem(data.DATASETS, "shapes", lambda *arguments: few)


def files():
    """Every file below the current folder with its content."""
    return {
        os.path.join(top, name): open(os.path.join(top, name), "rb").read()
        for top, _, names in os.walk(".")
        for name in names
    }


@pytest.fixture
def refused(capsys):
    """Run a command line that must be refused with a message."""

    def check(message, *arguments):
        before = files()
        assert main(list(arguments)) == 2
        err = capsys.readouterr().err
        assert err.count("\n") == 1 and err.startswith("moonshine: ") and "Traceback" not in err
        assert message in err, err
        assert files() == before

    return check


def write_images(root="images", classes=("cat", "dog")):
    for blue, part in enumerate(("train", "test")):
        for number, name in enumerate(classes):
            os.makedirs(f"{root}/{part}/{name}")
            for i in range(3):
                Image.new("RGB", (32, 32), (80 * number, 40 * i, blue)).save(f"{root}/{part}/{name}/{i}.png")


def teacher_file(path="checkpoints/T.pt", **changes):
    save(path, wrn(**{**dict(depth=10, width=0.5), **changes}))


# the released commands


def test_teacher_then_student(capsys):
    """The released README's two commands, smaller."""
    assert main("train shapes teacher --conv Conv -t wrn_40_2".split() + SMALL) == 0
    student = (
        "train shapes student --conv G8B2 -t wrn_40_2 -s wrn_40_2.g8b2.student "
        "--wrn_depth 10 --wrn_width 1 --alpha 0. --beta 1e3"
    )
    assert main(student.split() + ["--epochs", "1", "--blocktype", "Bottle"]) == 0
    out = capsys.readouterr().out
    assert "teacher checkpoints/wrn_40_2.pt: WRN-10-0.5 S" in out, "the teacher has its own width"
    assert "BG(2,M/8)" in out and "at: 1000 ×" in out
    assert load("checkpoints/wrn_40_2.g8b2.student.pt")[1]["width"] == 1
    assert json.loads(open("checkpoints/wrn_40_2.g8b2.student.jsonl").readline())["epoch"] == 1


def test_default_flags_are_the_released_ones():
    from inspect import signature

    from moonshine.cli.train_commands import NameOptions, NetworkOptions, moonshine_train

    default = {name: parameter.default for name, parameter in signature(moonshine_train).parameters.items()}
    names, network = NameOptions(), NetworkOptions()
    assert names.run_name("teacher", network) == "wrn_40_2_T"
    assert names.run_name("student", network) == "wrn_40_2_student_KT"
    expected = dict(
        workers=2,
        resume=False,
        GPU=None,
        depth=40,
        width=2,
        conv=None,
        module=None,
        splits=1,
        lr=0.1,
        lr_decay_ratio=0.2,
        epoch_step="[60,120,160]",
        epochs=200,
        temperature=4,
        alpha=0,
        aux_loss="AT",
        beta=1e3,
        batch_size=128,
        weight_decay=5e-4,
        print_freq=10,
    )
    assert {name: default[name] for name in expected} == expected


def test_scratch_needs_no_teacher():
    assert main(["train", "shapes", "student", "--alpha", "0", "--beta", "0", "-s", "alone", *SMALL]) == 0
    assert list(load("checkpoints/alone.pt")[1]["history"][0])[3] == "ce"


def test_kd_and_at_together_in_the_papers_convention(capsys):
    teacher_file()
    flags = ["--alpha", "0.9", "--beta", "1000", "--loss_convention", "paper"]
    assert main(["train", "shapes", "student", "-t", "T", "-s", "S", "--conv", "G(N)", *flags, *SMALL]) == 0
    assert "kd: 28.8 ×" in capsys.readouterr().out
    assert {"ce", "kd", "at"} <= set(load("checkpoints/S.pt")[1]["history"][0])


def test_a_released_file_as_teacher(shared, tmp_path):
    os.makedirs("checkpoints")
    os.symlink(shared("fixtures/original/wrn_10_1.conv.t7"), "checkpoints/old.t7")
    assert main(["train", "shapes", "student", "-t", "old", "-s", "S", *SMALL]) == 0


def test_groups_in_parts(capsys):
    """--AT_split: against a teacher of one part, and resumed."""
    deep = ["--wrn_depth", "16", "--wrn_width", "0.5", "--batch_size", "32", "--beta", "1000"]
    teacher_file(depth=16)
    split = ["train", "shapes", "student", "-t", "T", "-s", "S", "--AT_split", "2", *deep]
    assert main([*split, "--epochs", "1"]) == 0
    assert main([*split, "--epochs", "2", "--resume"]) == 0
    assert "difference of the attention maps of 3 layers" in capsys.readouterr().out
    assert load("checkpoints/S.pt")[1]["splits"] == 2 and len(load("checkpoints/S.pt")[1]["history"]) == 2
    teacher_file("checkpoints/T2.pt", depth=16, splits=2)
    assert (
        main(
            ["train", "shapes", "student", "-t", "T2", "-s", "S2", "--AT_split", "2", *deep, "--epochs", "1"]
        )
        == 0
    )
    assert "difference of the attention maps of 6 layers" in capsys.readouterr().out


def test_squared_error_in_place_of_attention(capsys):
    teacher_file()
    assert (
        main(
            [
                "train",
                "shapes",
                "student",
                "-t",
                "T",
                "-s",
                "S",
                "--conv",
                "G(N)",
                "--aux_loss",
                "SE",
                "--beta",
                "1",
                *SMALL,
            ]
        )
        == 0
    )
    assert "se: 1 × mean squared difference" in capsys.readouterr().out
    assert load("checkpoints/S.pt")[1]["history"][0]["se"] > 0


def test_a_convolution_of_your_own(refused, capsys):
    """--module: trained, resumed with the file, and never run because of a checkpoint."""
    open("mine.py", "w").write("import torch\nopen('ran', 'a').write('x')\nConv = torch.nn.Conv2d\n")
    own = [
        "train",
        "shapes",
        "teacher",
        "-t",
        "T",
        "--module",
        "mine.py",
        "--wrn_depth",
        "10",
        "--wrn_width",
        "0.5",
        "--batch_size",
        "32",
    ]
    assert main([*own, "--epochs", "1"]) == 0 and main([*own, "--epochs", "2", "--resume"]) == 0
    assert "WRN-10-0.5 module(mine.py)/Basic" in capsys.readouterr().out
    os.remove("ran")
    from moonshine.blocks import custom

    custom.USER.clear()
    refused(
        "is code of the file mine.py; give it with --module",
        "train",
        "shapes",
        "student",
        "-t",
        "T",
        "-s",
        "S",
        *SMALL,
    )
    assert not os.path.exists("ran")
    assert (
        main(
            [
                "train",
                "shapes",
                "student",
                "-t",
                "T",
                "-s",
                "S",
                "--conv",
                "G(N)",
                "--module",
                "mine.py",
                *SMALL,
            ]
        )
        == 0
    )
    assert "student S: WRN-10-0.5 G(N)" in capsys.readouterr().out, "--conv comes before --module"
    open("mine.py", "w").write("x = 1 / 0")
    refused("mine.py fails: ZeroDivisionError: division by zero", *own)


def test_checkpoint_dir_moves_the_files():
    assert main(["train", "shapes", "teacher", "-t", "T", "--checkpoint_dir", "elsewhere", *SMALL]) == 0
    assert (
        os.path.exists("elsewhere/T.pt")
        and os.path.exists("elsewhere/T.jsonl")
        and not os.path.exists("checkpoints")
    )


def test_tensorboard_gets_the_released_scalars():
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert main(["train", "shapes", "teacher", "-t", "T", *SMALL]) == 0
    events = EventAccumulator("checkpoints/tensorboard/T").Reload()
    assert {"train_loss", "train_top1", "train_top5", "learning_rate"} <= set(events.Tags()["scalars"])
    row = json.loads(open("checkpoints/T.jsonl").readline())
    assert events.Scalars("train_top1")[0].value == pytest.approx(row["train_error"])


def test_resume_with_nothing_saved_begins_and_says_so(capsys):
    assert main(["train", "shapes", "teacher", "-t", "T", "--resume", *SMALL]) == 0
    assert "nothing saved at checkpoints/T.pt yet; starting from the beginning" in capsys.readouterr().out


def test_resume_is_the_uninterrupted_run():
    longer = ["--wrn_depth", "10", "--wrn_width", "0.5", "--batch_size", "32", "--epoch_step", "[2]"]
    assert main(["train", "shapes", "teacher", "-t", "whole", "--epochs", "3", *longer]) == 0
    assert main(["train", "shapes", "teacher", "-t", "parts", "--epochs", "2", *longer]) == 0
    assert main(["train", "shapes", "teacher", "-t", "parts", "--epochs", "3", "-r", *longer]) == 0
    whole, parts = (load(f"checkpoints/{name}.pt")[0].state_dict() for name in ("whole", "parts"))
    for name in whole:
        assert torch.equal(whole[name], parts[name]), name
    assert [json.loads(line)["epoch"] for line in open("checkpoints/parts.jsonl")] == [1, 2, 3]


def test_a_run_is_named_after_its_network():
    """A WRN-10-0.5 must not take the name of WRN-40-2, and its student finds it without -t."""
    assert main(["train", "shapes", "teacher", *SMALL]) == 0
    assert main(["train", "shapes", "student", "--conv", "G(N)", *SMALL]) == 0
    assert {name for name in os.listdir("checkpoints") if name.endswith(".pt")} == {
        "wrn_10_0.5_T.pt",
        "wrn_10_0.5_student_KT.pt",
    }
    assert load("checkpoints/wrn_10_0.5_student_KT.pt")[1]["teacher_file"] == "checkpoints/wrn_10_0.5_T.pt"


def test_a_student_without_t_is_taught_by_the_released_name():
    teacher_file("checkpoints/wrn_40_2_T.pt", depth=16)
    assert main(["train", "shapes", "student", "--conv", "G(N)", *SMALL]) == 0
    assert load("checkpoints/wrn_10_0.5_student_KT.pt")[1]["teacher_file"] == "checkpoints/wrn_40_2_T.pt"


# settings in a file


def test_a_saved_config_trains_the_same(refused):
    scratch = ["train", "shapes", "student", "--conv", "G(N)", "--alpha", "0", "--beta", "0", *SMALL]
    assert main([*scratch, "-s", "flags"]) == 0
    assert main([*scratch, "-s", "file", "--save_config", "run.toml"]) == 0
    assert not os.path.exists("checkpoints/file.pt"), "it writes the file and stops"
    assert main(["train", "--config", "run.toml"]) == 0
    flags, file = (load(f"checkpoints/{name}.pt") for name in ("flags", "file"))
    assert flags[1]["recipe"] == file[1]["recipe"] and flags[1]["method"] == file[1]["method"]
    for name, value in flags[0].state_dict().items():
        assert torch.equal(value, file[0].state_dict()[name]), name
    assert main(["train", "--config", "run.toml", "-s", "seed", "--seed", "1"]) == 0
    assert load("checkpoints/seed.pt")[1]["recipe"]["seed"] == 1, "a flag wins over the file"


@pytest.mark.parametrize(
    "message, text",
    [
        ("unknown key 'epoch'; did you mean epochs?", "epoch = 3"),
        ("unknown key 'help'", "help = true"),
        ("'--epochs'", 'epochs = "ten"'),
        ("run.toml can't be read", "epochs = "),
        ("unknown block 'G8X'", 'conv = "G8X"'),
        ("is not a list of epochs", "epoch_step = [1.5]"),
    ],
)
def test_a_bad_config_is_refused(refused, message, text):
    open("run.toml", "w").write(text + "\n")
    refused(message, "train", "shapes", "teacher", "--config", "run.toml")


def test_an_absent_config_is_refused(refused):
    refused("--config nowhere.toml: there is no such file", "train", "--config", "nowhere.toml")
    refused("there is no folder", "train", "shapes", "teacher", "--save_config", "nowhere/run.toml")


def test_lists_in_a_config():
    open("run.toml", "w").write(
        'dataset = "shapes"\nmode = "teacher"\nteacher_checkpoint = "T"\nwrn_depth = 10\nwrn_width = 0.5\n'
        "epochs = 1\nepoch_step = [1, 2]\nbatch_size = 32\n"
    )
    assert main(["train", "--config", "run.toml"]) == 0
    assert list(load("checkpoints/T.pt")[1]["recipe"]["epoch_step"]) == [1, 2]


# bad input


@pytest.mark.parametrize(
    "message, arguments",
    [
        ("unknown block 'G8X'", ["--conv", "G8X"]),
        (
            "unknown block type 'Bottel'; use Basic, Bottle or Old",
            ["--conv", "G8B2", "--blocktype", "Bottel"],
        ),
        (
            "is a Bottle block in the paper's notation, not Basic",
            ["--conv", "BG(2,M/8)", "--blocktype", "Basic"],
        ),
        ("block1.0.layer.0.conv1 has 16 channels, which G(5) can't split", ["--conv", "G(5)"]),
        ("block1.0.layer.0.conv1 has 8 channels", ["--conv", "G16B4", "--blocktype", "Bottle"]),
        ("depth 41 is not 6n + 4; the nearest is 40", ["--wrn_depth", "41"]),
        ("width 0.0 leaves no channels", ["--wrn_width", "0"]),
        ("5 parts do not divide", ["--AT_split", "5"]),
        ("is not a list of epochs", ["--epoch_step", "60"]),
        ("is not a list of epochs", ["--epoch_step", "[60,"]),
        ("'--lr'", ["--lr", "fast"]),
        ("learning_rate is -1.0", ["--lr", "-1"]),
        ("epochs is 0", ["--epochs", "0"]),
        ("batch_size is -5", ["--batch_size", "-5"]),
        ("weight_decay is -0.1", ["--weightDecay", "-0.1"]),
        ("--alpha is 2", ["--alpha", "2"]),
        ("--beta is -1", ["--beta", "-1"]),
        ("--temperature is 0", ["--temperature", "0"]),
        ("unknown amp 'fp8'", ["--amp", "fp8"]),
        ("unknown loss convention 'cdoe'; use code", ["--loss_convention", "cdoe"]),
        ("device 'cuda:7' isn't there", ["--GPU", "7"]),
        ("device 'toaster' isn't there", ["--device", "toaster"]),
        ("unknown --aux_loss 'see'; did you mean se?", ["--aux_loss", "SEE"]),
        ("unknown schedule 'linear'; use step or cosine", ["--schedule", "linear"]),
        (
            "--epoch_step has no effect with --schedule cosine; leave it out",
            ["--schedule", "cosine", "--epoch_step", "[60]"],
        ),
        ("warmup is 200 epochs of 200; it must be fewer", ["--warmup", "200"]),
        ("eval_every is -1; it must be 0 or more", ["--eval_every", "-1"]),
        ("unknown network 'resnet43'; did you mean resnet34", ["--network", "resnet43"]),
        ("--AT_split cuts the groups of a WRN", ["--network", "resnet18", "--AT_split", "2"]),
        ("no file mine.py", ["--module", "mine.py"]),
        ("is code of the file mine.py; give it with --module", ["--conv", "module(mine.py)"]),
        ("--workers is -1", ["--workers", "-1"]),
        ("unknown augmentation 'flop'", ["--augmentation", "flop"]),
        ("none can't be combined", ["--augmentation", "none,flip"]),
        ("val_fraction is 1.0", ["--val_fraction", "1"]),
        ("No such option", ["--wrn_deep", "40"]),
    ],
)
def test_bad_flags(refused, message, arguments):
    refused(message, "train", "shapes", "teacher", *arguments)


def test_bad_words(refused):
    refused("unknown dataset 'cifar'", "train", "cifar", "teacher")
    refused("unknown mode 'pupil'", "train", "shapes", "pupil")
    refused("unknown block 'Q'", "costs", "Q")
    refused("use --table 1, 2, 3 or 4", "costs", "--table", "7")


def test_bad_teachers(refused):
    student = ["train", "shapes", "student", "-t", "T", *SMALL]
    refused("no teacher checkpoints/T.pt", *student)
    teacher_file(num_classes=100)
    refused("the teacher has 100 classes, but shapes has 10", *student)
    teacher_file(width=1)
    refused(
        "SE compares block1.0 of the student, (8, 32, 32), with block1.0 of the teacher, (16, 32, 32); "
        "all must be equal",
        *student,
        "--aux_loss",
        "SE",
    )
    whole = open("checkpoints/T.pt", "rb").read()
    open("checkpoints/T.pt", "wb").write(whole[:1000])
    refused("checkpoints/T.pt is not a checkpoint that can be read safely", *student)
    torch.save(dict(weights=1), "checkpoints/T.pt")
    refused("is not a moonshine checkpoint", *student)


def test_bad_checkpoint_to_resume_stays(refused):
    os.makedirs("checkpoints")
    open("checkpoints/T.pt", "wb").write(b"something else")
    refused(
        "is not a checkpoint that can be read safely",
        "train",
        "shapes",
        "teacher",
        "-t",
        "T",
        "--resume",
        *SMALL,
    )
    teacher_file(depth=16)
    refused("holds another network", "train", "shapes", "teacher", "-t", "T", "--resume", *SMALL)


def test_the_lock_of_another_program_stays():
    """A teacher called uv, trained in a folder that holds the uv.lock of a package manager."""
    open("uv.lock", "w").write("version = 1")
    assert main(["train", "shapes", "teacher", "-t", "uv", "--checkpoint_dir", ".", *SMALL]) == 0
    assert open("uv.lock").read() == "version = 1" and not os.path.exists(".uv.moonshine-lock")


@pytest.mark.parametrize("target", ["notes", "nowhere"])
def test_a_lock_that_is_a_link_is_not_followed(refused, monkeypatch, target):
    open("notes", "w").write("mine")
    os.symlink(target, ".T.moonshine-lock")
    monkeypatch.setattr(
        sys.modules[__name__], "files", lambda: sorted(os.listdir())
    )  # a link to nothing can't be read
    refused(
        ".T.moonshine-lock is not a lock file of moonshine",
        "train",
        "shapes",
        "teacher",
        "-t",
        "T",
        "--checkpoint_dir",
        ".",
        *SMALL,
    )
    assert os.readlink(".T.moonshine-lock") == target and not os.path.exists("nowhere")


@pytest.mark.parametrize("name", ["sub/run", "../T", "/T", "", ".T", "T.before", "T.previous", "two words"])
def test_a_name_is_no_path(refused, name):
    refused(
        f"invalid run name {name!r}: ", "train", "shapes", "teacher", f"--teacher_checkpoint={name}", *SMALL
    )
    refused(
        f"invalid run name {name!r}: ",
        "train",
        "shapes",
        "student",
        "--beta",
        "0",
        f"--student_checkpoint={name}",
        *SMALL,
    )
    refused(
        f"invalid run name {name!r}: " if name else "no folder",
        "distill",
        "resnet18",
        "--data_dir",
        "images",
        f"--teacher_checkpoint={name}",
    )


def test_the_last_run_of_a_name_is_kept():
    for epochs in ("1", "2", "3"):
        assert (
            main(["train", "shapes", "teacher", "-t", "T", *SMALL, "--epochs", epochs, "--epoch_step", "[]"])
            == 0
        )
        if epochs == "2":
            assert (load("checkpoints/T.pt")[1]["epoch"], load("checkpoints/T.previous.pt")[1]["epoch"]) == (
                2,
                1,
            )
    assert (load("checkpoints/T.pt")[1]["epoch"], load("checkpoints/T.previous.pt")[1]["epoch"]) == (3, 2)
    assert len(open("checkpoints/T.previous.jsonl").readlines()) == 2


def test_a_data_set_of_the_same_name_stays(refused):
    open("T.jsonl", "w").write('{"question": "?"}\n')
    refused(
        "T.jsonl was not written by a run of moonshine",
        "train",
        "shapes",
        "teacher",
        "-t",
        "T",
        "--checkpoint_dir",
        ".",
        *SMALL,
    )


def test_a_run_goes_on_with_the_weight_decay_it_is_given():
    train = ["train", "shapes", "teacher", "--resume_with_changes", *SMALL[:4]]
    train += ["--batch_size", "32", "--epoch_step", "[]"]
    for name, decay in (("same", "0.0005"), ("other", "0.2")):
        assert main([*train, "-t", name, "--epochs", "1"]) == 0
        assert main([*train, "-t", name, "--epochs", "2", "--weightDecay", decay]) == 0
    same, other = (torch.load(f"checkpoints/{name}.pt", weights_only=True) for name in ("same", "other"))
    assert other["recipe"]["weight_decay"] == other["optimizer"]["param_groups"][0]["weight_decay"] == 0.2

    def norm(content):
        return sum(
            value.square().sum() for name, value in content["net"].items() if name.endswith("conv1.weight")
        )

    assert norm(other) < norm(same)


def spoil(change):
    """Change the content of checkpoints/T.pt, and seal it again."""
    content = torch.load("checkpoints/T.pt", weights_only=True)
    change(content)
    memory = io.BytesIO()
    torch.save(content, memory)
    open("checkpoints/T.pt", "wb").write(sealed(memory.getvalue()))


@pytest.mark.parametrize(
    "message, change",
    [
        (
            "the momentum of conv1.weight is (1,) torch.float32, not (16, 3, 3, 3) torch.float32",
            lambda content: content["optimizer"]["state"][0].update(momentum_buffer=torch.ones(1)),
        ),
        (
            "0.momentum_buffer of the momentum is not finite",
            lambda content: content["optimizer"]["state"][0]["momentum_buffer"].fill_(float("nan")),
        ),
        (
            "conv1.weight of the weights is not finite",
            lambda content: content["net"]["conv1.weight"].fill_(float("inf")),
        ),
        (
            "0.test_loss of the history is not finite",
            lambda content: content["history"][0].update(test_loss=float("nan")),
        ),
        (
            "holds no optimizer state that can be read",
            lambda content: content["optimizer"].update(param_groups=3),
        ),
    ],
)
def test_a_checkpoint_that_can_not_resume_is_refused(refused, message, change):
    train = ["train", "shapes", "teacher", "-t", "T", "--resume", *SMALL]
    assert main(train) == 0
    spoil(change)
    refused(message, *train, "--epochs", "2", "--epoch_step", "[]")


def test_weights_that_became_infinite_are_not_saved(capsys):
    few = [
        "train",
        "shapes",
        "teacher",
        "-t",
        "T",
        "--resume_with_changes",
        *SMALL[:4],
        "--batch_size",
        "16",
        "--save_every",
        "1",
    ]
    assert main([*few, "--epochs", "1"]) == 0
    good = open("checkpoints/T.pt", "rb").read()
    assert main([*few, "--epochs", "2", "--lr", "1e40", "--epoch_step", "[]"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 2 and open("checkpoints/T.pt", "rb").read() == good
    assert "note: T is resumed with changes: learning_rate is 1e+40 (was 0.1); epoch_step is ()" in err
    assert (
        "is not finite, so checkpoints/T.pt is not written; the last good state is in checkpoints/T.pt: "
        "resume from it with a smaller --lr" in err
    )
    assert main([*few, "--epochs", "2", "--epoch_step", "[]"]) == 0


def test_weights_that_are_numbers_and_no_use_do_not_lose_the_run(capsys):
    few = [
        "train",
        "shapes",
        "teacher",
        "-t",
        "T",
        "--resume_with_changes",
        *SMALL[:4],
        "--batch_size",
        "16",
        "--save_every",
        "1",
        "--epoch_step",
        "[]",
    ]
    assert main([*few, "--epochs", "1"]) == 0
    good = load("checkpoints/T.pt")[0].state_dict()
    for lr in ("1e36", "0.1", "0.1"):
        assert main([*few, "--epochs", "2", "--lr", lr]) == 2
        err = capsys.readouterr().err
        assert (
            "if that diverges at once, from the one before it: mv checkpoints/T.before.pt checkpoints/T.pt"
            in err
            and err.count("\n") == 1 + ("note: T is resumed with changes: " in err)
        )
    os.replace("checkpoints/T.before.pt", "checkpoints/T.pt")
    assert all(
        torch.equal(a, b) for a, b in zip(load("checkpoints/T.pt")[0].state_dict().values(), good.values())
    )
    assert main([*few, "--epochs", "2"]) == 0


def test_bad_folders(refused):
    train = ["train", "folder", "teacher", *SMALL]
    refused("needs --data_dir", *train)
    train += ["--data_dir", "images"]
    refused("no folder images", *train)
    write_images()
    os.makedirs("images/train/emu")
    refused("class folder images/train/emu holds no images", *train)
    os.rmdir("images/train/emu")
    open("images/test/dog/1.png", "wb").write(b"no image")
    refused("images/test/dog/1.png can't be read as an image", *train)


def test_absent_cifar_says_how_to_get_it(refused):
    refused(
        "moonshine train cifar10 teacher --data_dir nowhere --download",
        "train",
        "cifar10",
        "teacher",
        "--data_dir",
        "nowhere",
        *SMALL,
    )


def test_a_loss_that_is_no_number_keeps_the_last_checkpoint(capsys):
    few = ["--wrn_depth", "10", "--wrn_width", "0.5", "--batch_size", "16", "-t", "T"]
    assert main(["train", "shapes", "teacher", "--epochs", "1", *few]) == 0
    good = open("checkpoints/T.pt", "rb").read()
    again = ["train", "shapes", "teacher", "--epochs", "2", "--lr", "1e25", *few]
    assert main([*again, "--resume_with_changes"]) == 2
    err = capsys.readouterr().err
    assert "epoch 2, after 16 images" in err and "ce" in err and err.count("\n") == 2
    assert open("checkpoints/T.pt", "rb").read() == good


# as a program


def program(*arguments):
    return subprocess.run([sys.executable, "-m", "moonshine", *arguments], capture_output=True, text=True)


def test_the_program_exits_as_it_says():
    assert program("--help").returncode == 0
    done = program("train", "shapes", "teacher", "--conv", "G8X")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and done.stdout == ""


def test_ctrl_c_keeps_the_finished_epochs(tmp_path):
    """An interrupted program ends with status 130, without a traceback, and what it saved goes on."""
    arguments = ["train", "shapes", "teacher", "-t", "T", "--epochs", "500", *SMALL[:4]]

    def listen():  # a program started in the background of a script ignores Ctrl-C, and so would ours
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    running = subprocess.Popen(
        [sys.executable, "-m", "moonshine", *arguments],
        preexec_fn=listen,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not os.path.exists("checkpoints/T.jsonl"):
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130 and err == "", err
    assert "stopped in epoch" in out and "saved checkpoints/T.pt" in out
    assert load("checkpoints/T.pt")[1]["epoch"] >= 1


def test_importing_moonshine_does_not_import_torch():
    code = "import sys, moonshine; assert 'torch' not in sys.modules and 'matplotlib' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_core_modules_do_not_import_matplotlib_or_widgets():
    names = (
        "blocks.families blocks.residual models.registry models.wide_resnet costs.counting data.registry "
        "losses.base losses.kd losses.attention training.checkpoints training.loop paper.tables "
        "models.resnet models.segmentation blocks.structured"
    ).split()
    code = "import sys\n" + "\n".join(f"import moonshine.{name}" for name in names)
    code += "\nfound = {'matplotlib', 'ipywidgets', 'IPython'} & set(sys.modules)\nassert not found, found"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_words_at_all_is_help(capsys):
    assert main([]) == 0
    out = capsys.readouterr().out
    assert "train" in out and "demo" in out and "costs" in out


# distill: the student of a torchvision network

TINY = ["--data_dir", "images", "--image_size", "64", "--epochs", "1", "--batch_size", "4"]


def test_distill_trains_a_teacher_and_its_student(capsys):
    write_images()
    assert main(["distill", "resnet18", "--block", "G(4)", *TINY]) == 0
    out = capsys.readouterr().out
    assert "there is no checkpoints/resnet18.pt yet: it is trained first" in out
    assert "attention compared at layer1 (16×16), layer2 (8×8), layer3 (4×4), layer4 (2×2)" in out
    student, info = load("checkpoints/resnet18.student.pt")
    assert (info["architecture"], info["block"], info["num_classes"]) == ("resnet18", "G(4)", 2) and info[
        "history"
    ][0]["at"] > 0
    before = open("checkpoints/resnet18.pt", "rb").read()
    assert (
        main(["distill", "resnet18", "--block", "G(N)", "-s", "second", "--layers", "layer3,layer4", *TINY])
        == 0
    )
    out = capsys.readouterr().out
    assert "attention compared at layer3 (4×4), layer4 (2×2)\n" in out and "trained first" not in out
    assert open("checkpoints/resnet18.pt", "rb").read() == before, "a teacher that is there is used as it is"
    assert (
        main(
            [
                "distill",
                "resnet18",
                "--block",
                "G(N)",
                "-s",
                "second",
                "--layers",
                "layer3,layer4",
                "--resume",
                *TINY[:4],
                "--epochs",
                "2",
                "--batch_size",
                "4",
            ]
        )
        == 0
    )
    assert load("checkpoints/second.pt")[1]["epoch"] == 2


def test_a_dry_run_prints_the_plan_and_leaves_nothing(capsys):
    write_images()
    before = files()
    assert main(["distill", "resnet18", "--dry_run", *TINY]) == 0
    out = capsys.readouterr().out
    assert (
        "layer4.1.conv2" in out and "compared at layer1, layer2, layer3, layer4" in out and files() == before
    )


@pytest.mark.parametrize(
    "message, arguments",
    [
        ("torchvision has no network 'resnet81'; did you mean resnet18", ["resnet81"]),
        ("unknown block 'G4'", ["resnet18", "--block", "G4"]),
        ("no layer 'layer9'; did you mean 'layer", ["resnet18", "--layers", "layer9"]),
        ("are both called T", ["resnet18", "-t", "T", "-s", "T"]),
        ("epochs is 0", ["resnet18", "--teacher_epochs", "0"]),
    ],
)
def test_distill_refuses(refused, message, arguments):
    write_images()
    save("checkpoints/resnet18.pt", network_from_torchvision("resnet18", 2))
    refused(message, "distill", *arguments, *TINY)


def test_distill_refuses_what_has_nothing_to_give(refused, capsys):
    write_images()
    refused(
        "G(4) makes no convolution of mobilenet_v3_large cheaper (1 × first layer, 15 × already depthwise)",
        "distill",
        "mobilenet_v3_large",
        *TINY,
    )
    assert main(["distill", "mobilenet_v3_large", "--dry_run", *TINY]) == 0
    assert "already depthwise" in capsys.readouterr().out
    refused(
        "has a map of one position at images of 48×48",
        "distill",
        "resnet18",
        "--layers",
        "avgpool",
        "--data_dir",
        "images",
        "--image_size",
        "48",
    )
    refused("did you mean 'layer4.1.conv1'", "distill", "resnet18", "--keep", "layer4.1.conv11", *TINY)


def test_distill_with_a_config(capsys):
    write_images()
    assert main(["distill", "resnet18", "--keep", "layer1,layer2", *TINY, "--save_config", "run.toml"]) == 0
    assert "wrote run.toml; use it with: moonshine distill --config run.toml" in capsys.readouterr().out
    assert main(["distill", "--config", "run.toml", "--dry_run"]) == 0
    assert "layer4.1.conv2" in capsys.readouterr().out and not os.path.exists("checkpoints")


def test_images_held_out_choose_the_best_epoch():
    held = ["--val_fraction", "0.25", "--epochs", "2", "--epoch_step", "[]"]
    assert main(["train", "shapes", "teacher", "-t", "T", *SMALL, *held]) == 0
    info = load("checkpoints/T.pt")[1]
    assert info["recipe"]["val_fraction"] == 0.25 and "val_error" in info["history"][0]


@pytest.mark.parametrize("text, names", [("flip", ("flip",)), ("none", ()), ("pad_crop,flip,cutout",) * 2])
def test_augmentation_is_an_ordered_choice(text, names):
    assert main(["train", "shapes", "teacher", "-t", "T", "--augmentation", text, *SMALL]) == 0
    names = tuple(names.split(",")) if isinstance(names, str) else names
    assert tuple(load("checkpoints/T.pt")[1]["recipe"]["augmentation"]) == names


def test_a_missing_option_is_named(refused):
    refused("Missing option '--data_dir'", "distill", "resnet18", "--dry_run")


# a schedule, and epochs that are not evaluated


def test_epochs_without_evaluation_everywhere(capsys, monkeypatch):
    """--eval_every 2: trained, stopped after an epoch without test error, resumed, logged and drawn."""
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from moonshine.plots.figures import curves
    from moonshine.training import loop

    run = ["train", "shapes", "teacher", *SMALL[:4], "--batch_size", "32", "--epochs", "4"]
    run += ["--schedule", "cosine", "--warmup", "1", "--eval_every", "2"]
    assert main([*run, "-t", "whole"]) == 0
    last_lines = capsys.readouterr().out.splitlines()[-2]
    assert last_lines.startswith("test error: last epoch "), last_lines

    def stop_after_three(row, epochs, line=loop.epoch_line):
        if row["epoch"] == 3:
            raise KeyboardInterrupt
        return line(row, epochs)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "epoch_line", stop_after_three)
        assert main([*run, "-t", "parts"]) == 130
    out = capsys.readouterr().out
    assert "test error: not measured after epoch 3; " in out and "% after epoch 2\n" in out
    assert main([*run, "-t", "parts", "--resume"]) == 0
    assert capsys.readouterr().out.splitlines()[-2] == last_lines

    whole, parts = (load(f"checkpoints/{name}.pt")[0].state_dict() for name in ("whole", "parts"))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)
    history = [json.loads(line) for line in open("checkpoints/parts.jsonl")]
    assert [row["epoch"] for row in history if "test_error" in row] == [2, 4]
    assert [row["epoch"] for row in history if "train_error" in row] == [1, 2, 3, 4]
    scalars = EventAccumulator("checkpoints/tensorboard/parts").Reload().Scalars
    assert [event.step for event in scalars("test_top1")] == [2, 4]
    assert [event.step for event in scalars("train_top1")] == [1, 2, 3, 4]
    lines = {line.get_label(): line for line in curves(dict(teacher=history)).axes[0].lines}
    assert list(lines["0 test_error"].get_xdata()) == [2, 4]
    assert len(lines["0 train_error"].get_xdata()) == 4
    curves(dict(teacher=history[:1])).savefig("no_test_error.png")  # a run that was stopped before any


def test_a_method_with_a_weight_of_its_own(capsys, refused):
    """distill --method: announced, kept in the checkpoint; its weights can be changed."""
    write_images()
    save("checkpoints/resnet18.pt", network_from_torchvision("resnet18", 2))
    assert main(["distill", "resnet18", "--method", "kd+at", "--alpha", "0", *TINY]) == 0
    out = capsys.readouterr().out
    assert "method: KD with AT with another alpha, α 0, β 83.3333, convention code" in out
    assert "\nschedule: 1 epoch, learning rate 0.1, then along a cosine to 0" in out
    info = load("checkpoints/resnet18.student.pt")[1]
    assert info["method"]["alpha"] == 0 and "kd" not in info["history"][0] and "at" in info["history"][0]
    refused(
        "unknown method 'kd-papr'; did you mean kd-paper", "distill", "resnet18", "--method", "kd-papr", *TINY
    )
    steps = ["--epoch_step", "[1]"]
    refused("--epoch_step has no effect with --schedule cosine", "distill", "resnet18", *steps, *TINY)
