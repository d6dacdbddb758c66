"""Run the notebook `notes/segmentation.ipynb` for longer than a lesson may take, and store the results.

    python nbs/results/make_segmentation.py

The notebook's own cells are run, with more images and epochs. Writes `segmentation.json` beside this file,
and the figure into `nbs/images`.
"""

import json
import os
import platform
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch

HERE = Path(__file__).resolve().parent
SHORT = "TRAIN, TEST, EPOCHS, SEED = 240, 100, 2, 0"
LONG = dict(TRAIN=1500, TEST=500, EPOCHS=8, SEED=0)


def main():
    notebook = json.loads((HERE.parent / "notes/segmentation.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    own = [
        cell for cell in cells if "segmentation.json" not in cell
    ]  # not those that show what this script wrote
    if sum(SHORT in cell for cell in own) != 1:
        raise SystemExit(
            f"the lesson has no line that starts with {SHORT!r}; bring this script in step with it"
        )
    line = f"{', '.join(LONG)} = {', '.join(map(str, LONG.values()))}"
    space = {}
    for cell in own:
        exec(cell.replace(SHORT, line), space)
    plt.savefig(HERE.parent / "images/segmentation.png", dpi=90)
    by_class = {
        who: [round(100 * float(value), 1) for value in iou]
        for who, iou in zip(space["predictions"], space["by_class"])
    }
    facts = dict(
        LONG,
        torch=str(torch.__version__),
        machine=f"{platform.machine()} CPU, {torch.get_num_threads()} of {os.cpu_count()} cores",
    )
    text = json.dumps(dict(facts, rows=space["rows"], classes=list(space["NAMES"]), iou=by_class), indent=1)
    (HERE / "segmentation.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
