"""Generated from nbs/extend/0_architecture.ipynb by tools/export.py. Edit the notebook, not this file."""


import ast
from collections import defaultdict
from pathlib import Path

import moonshine

PACKAGE = Path(moonshine.__file__).parent
GENERATED = {"__init__", "__main__", "_modidx"}


def module_names():
    "All modules of the package, such as `blocks.layers`"
    paths = (path for path in PACKAGE.rglob("*.py") if path.stem not in GENERATED)
    return sorted(".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in paths)


def syntax_tree(name):
    return ast.parse((PACKAGE / (name.replace(".", "/") + ".py")).read_text(encoding="utf-8"))


def absolute_name(node, importer):
    "The full name of the module that a `from … import` statement reads"
    if not node.level:
        return node.module or ""
    parents = ["moonshine", *importer.split(".")][: -node.level]
    return ".".join([*parents, *filter(None, [node.module])])


def imports_of(name):
    "The modules of this package that a module imports"
    known, found = set(module_names()), set()
    for node in ast.walk(syntax_tree(name)):
        if isinstance(node, ast.ImportFrom):
            base = absolute_name(node, name)
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {full.removeprefix("moonshine.") for full in names if full.startswith("moonshine.")}
    return found & known - {name}


LAYERS = [
    ["errors"],
    ["blocks"],
    ["models", "costs"],
    ["surgery", "data"],
    ["losses"],
    ["training"],
    ["methods"],
    ["distillation", "pretrained", "demonstration"],
    ["paper.cost_tables", "paper.tables"],
    ["plots"],
    ["paper", "benchmarking"],
    ["panels"],
    ["lessons"],
    ["cli"],
]
ROOMS = [
    room for layer in LAYERS for room in layer
]  # folders, and modules that stand in a layer of their own


def room_of(name):
    "The folder of a module, or the module itself where it has a layer of its own"
    return name if name in ROOMS else name.split(".")[0]


def room_graph():
    "Which rooms import which"
    found = defaultdict(set)
    for name in module_names():
        found[room_of(name)] |= {room_of(other) for other in imports_of(name)} - {room_of(name)}
    return dict(found)


def test_every_module_imports_only_from_layers_below():
    assert {room_of(name) for name in module_names()} <= set(ROOMS), "a folder without a layer"
    for room, imported in room_graph().items():
        for other in imported:  # within one layer, from left to right
            assert ROOMS.index(other) < ROOMS.index(room), f"{room} imports {other}"


def test_no_module_imports_in_a_circle():
    waiting, done = {name: imports_of(name) for name in module_names()}, set()
    while waiting:
        ready = {name for name, needed in waiting.items() if needed <= done}
        assert ready, f"a circle among {sorted(waiting)}"
        done |= ready
        waiting = {name: needed for name, needed in waiting.items() if name not in ready}


def test_the_core_imports_neither_figures_nor_widgets():
    core = ROOMS[: ROOMS.index("distillation") + 1]
    for name in module_names():
        if room_of(name) in core:
            nodes = [
                node for node in ast.walk(syntax_tree(name)) if isinstance(node, (ast.Import, ast.ImportFrom))
            ]
            roots = {
                (getattr(node, "module", None) or node.names[0].name).split(".")[0]
                for node in nodes
                if not getattr(node, "level", 0)
            }
            assert not roots & {"matplotlib", "ipywidgets", "IPython"}, (name, roots)


def test_no_module_shares_its_name_with_a_function():
    defined = defaultdict(set)
    for name in module_names():
        for node in syntax_tree(name).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                defined[node.name].add(name)
    modules = {part for name in module_names() for part in name.split(".")}
    assert not modules & set(defined), modules & set(defined)


def test_every_module_says_what_it_is_for():
    for name in module_names():
        assert ast.get_docstring(syntax_tree(name)), name
