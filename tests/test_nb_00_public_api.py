"""Generated from nbs/00_public_api.ipynb by tools/export.py. Edit the notebook, not this file."""


import inspect
import os
import pydoc
import subprocess
import sys
import tempfile

import torch
from fastcore.docments import docments
from fastcore.test import test_close, test_eq, test_fail

import moonshine


def test_parse_block_and_block():
    from moonshine import Block, parse_block

    block = parse_block("BG(2,M/8)")
    test_eq(isinstance(block, Block), True)
    test_eq(str(block), "BG(2,M/8)")
    test_eq(str(parse_block("DConvG8", "Basic")), "G(N/8)")
    test_fail(lambda: parse_block("G8X"), contains="unknown block 'G8X'")
    block


def test_networks():
    from moonshine import erfnet, resnet18, resnet18_half, resnet34, wrn

    x = torch.randn(2, 3, 32, 32)
    test_eq(wrn(10, 1, "G(N/8)")(x).shape, (2, 10))
    test_eq(resnet18("G(4)", num_classes=5)(torch.randn(2, 3, 64, 64)).shape, (2, 5))
    test_eq(erfnet(num_classes=3).eval()(torch.randn(1, 3, 32, 64)).shape, (1, 3, 32, 64))
    print(resnet34().title, resnet18_half().title, sep="\n")


def test_costs():
    from moonshine import mult_adds, paper_parameters, parameters, wrn

    network = wrn(40, 2)
    test_eq((parameters(network), paper_parameters(network)), (2_243_546, 2_248_954))
    test_eq(mult_adds(network), 327_599_360)
    student = wrn(40, 2, "G(N/8)")
    print(f"{parameters(student) / parameters(network):.1%} of the parameters")


def test_cheapen_plan_and_layers():
    from moonshine import attention_layers_of, cheapen, parameters, plan, wrn

    teacher = wrn(10, 1)
    student = cheapen(teacher, "G(N)")
    assert parameters(student) < parameters(teacher)
    rows = plan(teacher, "G(N)")
    print(sum(not row["reason"] for row in rows), "of", len(rows), "convolutions or blocks replaced")
    test_eq(len(attention_layers_of(teacher, torch.randn(2, 3, 32, 32))), 3)


def test_attention():
    from moonshine import activations, at_loss, attention_layers_of, attention_map, cheapen, wrn

    teacher, x = wrn(10, 1).eval(), torch.randn(2, 3, 32, 32)
    layers = attention_layers_of(teacher, x)
    logits, found = activations(teacher, x, layers)
    test_eq([tuple(attention_map(a).shape) for a in found], [(2, 1024), (2, 256), (2, 64)])
    _, others = activations(cheapen(teacher, "G(N)").eval(), x, layers)
    print([f"{at_loss(a, b).item():.2e}" for a, b in zip(found, others)])


def test_kd():
    from moonshine import kd_loss

    student_logits, teacher_logits, labels = torch.randn(4, 10), torch.randn(4, 10), torch.arange(4)
    hard = kd_loss(student_logits, teacher_logits, labels, alpha=0)
    test_close(hard, torch.nn.functional.cross_entropy(student_logits, labels))
    kd_loss(student_logits, teacher_logits, labels, temperature=4, alpha=0.9)


def test_train_and_distill():
    from moonshine import Recipe, distill, evaluate, fit, load_data, wrn
    from moonshine.data.drawing import shapes
    from moonshine.losses.base import cross_entropy

    data = shapes(train=64, test=32)  # load_data("shapes") has more images
    recipe = Recipe(epochs=1, batch_size=32, epoch_step=())
    teacher = wrn(10, 0.5)
    history = fit(teacher, data, cross_entropy(), recipe, quiet=True)
    test_eq(history[-1]["test_error"], evaluate(teacher, data)["test_error"])
    student = distill(teacher, data, "G(N)", recipe, quiet=True)
    test_eq(len(student.history), 1)
    test_fail(lambda: load_data("cifar11"), contains="unknown dataset 'cifar11'; did you mean")


def test_checkpoints():
    from moonshine import load, load_original, save, wrn

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "student.pt")
        save(path, wrn(10, 0.5, "G(N)"), note="untrained")
        network, facts = load(path)
        test_eq((network.title, facts["note"]), ("WRN-10-0.5 G(N)", "untrained"))
        test_fail(lambda: load_original(path), contains="student.pt")


def test_registries():
    from moonshine import register_block, register_dataset, register_loss, register_network

    for register in (register_block, register_loss, register_dataset, register_network):
        print(f"{register.__name__:18} {register.__doc__}")


def test_every_name_is_documented():
    def uncommented(value):
        "The parameters of a function or a dataclass that have no comment."
        several = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD
        kinds = {name: part.kind for name, part in inspect.signature(value).parameters.items()}
        comments = docments(value)
        return [name for name, kind in kinds.items() if kind not in several and not comments.get(name)]


    for name in moonshine.__all__:
        value = getattr(moonshine, name)
        sentence = inspect.getdoc(value).splitlines()[0]
        assert sentence[0].isupper(), name
        test_eq((name, uncommented(value)), (name, []))
        print(f"{name:20} {sentence}")


def test_the_list_is_the_package():
    test_eq(len(moonshine.__all__), len(set(moonshine.__all__)))
    test_eq(set(moonshine.__all__) - set(dir(moonshine)), set())
    test_fail(lambda: moonshine.wnr, contains="has no attribute 'wnr'")


def test_help_lists_every_name():
    text = pydoc.plain(pydoc.render_doc(moonshine))
    for name in moonshine.__all__:
        assert f"{name}" in text, name
    print(text[: text.index("PACKAGE CONTENTS")])


def test_importing_is_light():
    code = "import sys, moonshine; moonshine.__all__, dir(moonshine); sys.exit('torch' in sys.modules)"
    test_eq(subprocess.run([sys.executable, "-c", code]).returncode, 0)
