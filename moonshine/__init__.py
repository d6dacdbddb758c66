"""Distill a network into a student with cheap convolutions.

    from moonshine import cheapen, distill, load_data, wrn

    data = load_data("shapes")                  # or cifar10, cifar100, a folder of your own images
    teacher = wrn(40, 2)                        # then train it with `fit`, or `load` a checkpoint
    student = cheapen(teacher, "G(N/8)")        # the same network with cheap convolutions, untrained
    student = distill(teacher, data, "G(N/8)")  # the same, trained to look where the teacher looks

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

_NAMES = {  # module -> the names that it offers here
    "blocks.families": "parse_block Block register_block",
    "models.wide_resnet": "wrn",
    "models.resnet": "resnet18 resnet34 resnet18_half",
    "models.segmentation": "erfnet",
    "surgery.student": "cheapen",
    "surgery.sites": "plan",
    "surgery.attention_layers": "attention_layers_of",
    "distillation": "distill",
    "training.recipe": "Recipe",
    "training.loop": "fit evaluate",
    "data.registry": "load_data register_dataset",
    "training.checkpoints": "load load_original save",
    "costs.counting": "parameters paper_parameters mult_adds",
    "losses.kd": "kd_loss",
    "losses.attention": "at_loss attention_map activations",
    "losses.base": "register_loss",
    "models.registry": "register_network",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}

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
