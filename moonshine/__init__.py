"""Distill a network into a student with cheap convolutions.

    from moonshine import cheapen, distill, load_data, wrn

    data = load_data("shapes")                  # or cifar10, cifar100, a folder of your own images
    teacher = wrn(40, 2)                        # then train it with `fit`, or `load` a checkpoint
    student = cheapen(teacher, "G(N/8)")        # the same network with cheap convolutions, untrained
    student = distill(teacher, data, "G(N/8)")  # the same, trained with the help of the teacher

The names below are all there is to learn. They come in groups:

    blocks       parse_block, Block
    networks     wrn, resnet18, resnet34, resnet18_half, erfnet
    students     cheapen, plan, attention_layers_of, distill
    training     Recipe, fit, evaluate, load_data
    checkpoints  load, load_original, save
    costs        parameters, paper_parameters, mult_adds
    losses       kd_loss, at_loss, attention_map, activations
    your own     register_block, register_loss, register_dataset, register_network

Images are (B, 3, H, W) float32, normalized as the dataset says; errors are in percent. What you can put right
is an `InputError` (moonshine.errors) whose message says how.

Importing this package imports nothing else: each name is imported from its module when it is first used.
"""

__version__ = "0.1.0"

from importlib import import_module as _import_module

_HOMES = {  # public name -> the module that it is imported from
    "parse_block": "blocks.families",
    "Block": "blocks.families",
    "wrn": "models.wide_resnet",
    "resnet18": "models.resnet",
    "resnet34": "models.resnet",
    "resnet18_half": "models.resnet",
    "erfnet": "models.segmentation",
    "cheapen": "surgery.student",
    "plan": "surgery.sites",
    "attention_layers_of": "surgery.attention_layers",
    "distill": "distillation",
    "Recipe": "training.recipe",
    "fit": "training.loop",
    "evaluate": "training.loop",
    "load_data": "data.registry",
    "load": "training.checkpoints",
    "load_original": "training.checkpoints",
    "save": "training.checkpoints",
    "parameters": "costs.counting",
    "paper_parameters": "costs.counting",
    "mult_adds": "costs.counting",
    "kd_loss": "losses.kd",
    "at_loss": "losses.attention",
    "attention_map": "losses.attention",
    "activations": "losses.attention",
    "register_block": "blocks.families",
    "register_loss": "losses.base",
    "register_dataset": "data.registry",
    "register_network": "models.registry",
}

__all__ = list(_HOMES)


def __getattr__(name: str):
    """Import a public name from its module, once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list:
    """List the public names, imported or not."""
    return sorted({*globals(), *__all__})
