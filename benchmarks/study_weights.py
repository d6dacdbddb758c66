"""How much the weight of a distillation loss matters on real images: many short runs on one GPU.

    python benchmarks/study_weights.py IMAGES OUT [--seconds 400] [--lanes 4] [--device cuda] [--amp bf16]

IMAGES holds CIFAR-10 (JPEG) in class folders, train/CLASS/ and test/CLASS/. OUT gets `teacher.pt`
(WRN-16-2, trained on all 50,000 images), `runs.jsonl` (a line for each finished run, in any order) and a
few trained networks. A run that already has its line is not repeated, so the study can be stopped at any
time and continued.

Two studies share one list of runs, `jobs()`: `scarce` (500 images a class, 20 epochs, batch 50) and `full`
(all 50,000 images, 8 epochs, batch 125). Both follow the paper's schedule, scaled: the learning rate drops
at 30, 60 and 80 %. The test error is measured once, after the last epoch, on all 10,000 test images.

A step of so small a network keeps a GPU busy for a millisecond or two, and Python busy for thirteen. So a
step is captured once as a CUDA graph, which takes its images, its learning rate and the weights of its loss
from tensors on the GPU, and a run is nothing but replays. Several lanes, each with a stream of its own,
share the GPU. Weights, order, crops and flips are those of `training.loop.fit` (`tests/test_study.py`
compares the two).
"""

import argparse
import json
import time
from collections import deque
from dataclasses import asdict, replace
from pathlib import Path

import torch

from moonshine.data.augmentation import crop, mirror, paper_numbers
from moonshine.data.cifar import RELEASED_NORMALIZATION
from moonshine.data.folders import folder
from moonshine.data.images import Data, ImageSet
from moonshine.losses.attention import Taps, attention_transfer
from moonshine.losses.base import Loss, Term, cross_entropy
from moonshine.losses.kd import soft_term, soft_weight
from moonshine.models.wide_resnet import wrn
from moonshine.training import checkpoints
from moonshine.training.recipe import Recipe

STUDENTS = {"G(N/8)": (16, 2), "BG(2,M/8)": (16, 2), "S": (16, 1), "G(N)": (16, 2), "B(2)": (16, 2)}
RECIPES = {
    "scarce": Recipe(epochs=20, batch_size=50, epoch_step=(6, 12, 16)),
    "full": Recipe(epochs=8, batch_size=125, epoch_step=(2, 5, 6)),
    "teacher": Recipe(epochs=30, batch_size=125, epoch_step=(9, 18, 24)),
}
NOTHING = dict(alpha=0.0, temperature=4.0, kd="", beta=0.0)
METHODS = {
    "scratch": {},
    "at": dict(beta=1000.0),
    "kd-code": dict(alpha=0.9, kd="code"),
    "kd-paper": dict(alpha=0.9, kd="paper"),
    "kd-paper+at": dict(alpha=0.9, kd="paper", beta=1000.0),
}
STANDARD = {
    "kd-standard": dict(alpha=0.9, kd="standard"),
    "kd-standard+at": dict(alpha=0.9, kd="standard", beta=1000.0),
}
BETAS = (10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
TEMPERATURES = (1.0, 2.0, 4.0, 8.0, 16.0)


def job(study, block, seed, **method):
    depth, width = STUDENTS[block]
    return dict(study=study, block=block, depth=depth, width=width, seed=seed, **NOTHING | method)


def of_one_seed(seed):
    "The runs of one seed, those that tell most first"
    main = [job("scarce", "G(N/8)", seed, **how) for how in (METHODS | STANDARD).values()]
    full = [job("full", "G(N/8)", seed, **how) for how in METHODS.values()]
    betas = [
        job("scarce", "G(N/8)", seed, beta=beta, **kd)
        for kd in ({}, dict(alpha=0.9, kd="paper"))
        for beta in BETAS
    ]
    alphas = [
        job("scarce", "G(N/8)", seed, alpha=alpha, kd=kd)
        for kd in ("code", "paper", "standard")
        for alpha in ALPHAS
    ]
    warm = [
        job("scarce", "G(N/8)", seed, alpha=0.9, kd=kd, temperature=t)
        for kd in ("code", "paper", "standard")
        for t in TEMPERATURES
    ]
    others = [job("scarce", block, seed, **how) for block in STUDENTS for how in METHODS.values()]
    return main + full + betas + others + alphas + warm


def jobs(seeds=3):
    "All runs: seed by seed, each once; last the large study of the other students"
    rest = [
        job("full", block, seed, **how)
        for seed in range(seeds)
        for block in ("BG(2,M/8)", "S")
        for how in METHODS.values()
    ]
    every = [one for seed in range(seeds) for one in of_one_seed(seed)] + rest
    return list({name_of(one): one for one in every}.values())


def name_of(one):
    "A name for a run that says all of it"
    return "_".join(
        f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in one.items()
    )


def weights_of(one, classes=10):
    """What each term of the loss is multiplied by.

    `standard` KD is (1 - α)·CE + α·T²·KL, summed over classes, mean over the batch.
    """
    if one["kd"] == "standard":
        soft = one["alpha"] * one["temperature"] ** 2
    else:
        soft = soft_weight(one["temperature"], one["alpha"], classes, one["kd"]) if one["kd"] else 0.0
    return dict(
        hard=1 - one["alpha"] if one["kd"] else 1.0,
        soft=soft,
        maps=one["beta"],
        temperature=one["temperature"],
    )


def loss_of(kd, at, numbers):
    'The loss, its weights as tensors; `kd`: which soft term ("", KL or CE), `at`: whether maps are compared'
    loss = cross_entropy(numbers["hard"])
    if kd:
        convention = "code" if kd == "KL" else "paper"

        def value(student, teacher, labels):
            return soft_term(student.logits, teacher.logits, numbers["temperature"], convention)

        loss += Loss((Term("kd", numbers["soft"], value, kd, ("teacher",)),))
    if at:
        maps = attention_transfer(3, 1.0, "code").terms[0]  # with three groups β × 3/3
        loss += Loss((replace(maps, weight=numbers["maps"]),))
    return loss


def prepare(images, cache):
    "Decode the images once, for all processes"
    if (cache / "data.pt").exists():
        return
    data = folder(images)
    how = RELEASED_NORMALIZATION["cifar10"]
    data = replace(data, mean=tuple(how["mean"]), std=tuple(how["std"]))
    content = dict(
        train=data.train.images,
        train_labels=data.train.labels,
        test=data.test.images,
        test_labels=data.test.labels,
        classes=list(data.classes),
        mean=data.mean,
        std=data.std,
        fingerprint=data.fingerprint(),
    )
    torch.save(content, cache / "data.tmp")
    (cache / "data.tmp").rename(cache / "data.pt")


def read(cache, device):
    saved = torch.load(cache / "data.pt", weights_only=True)
    train = ImageSet(saved["train"].to(device), saved["train_labels"].to(device))
    test = ImageSet(saved["test"].to(device), saved["test_labels"].to(device))
    return Data("CIFAR-10 (JPEG)", train, test, tuple(saved["classes"]), saved["mean"], saved["std"]), saved[
        "fingerprint"
    ]


def scarce(data, each=500):
    "The first images of each class"
    members = [(data.train.labels == label).nonzero().flatten()[:each] for label in range(len(data.classes))]
    keep = torch.cat(members).sort().values
    return replace(data, train=ImageSet(data.train.images[keep], data.train.labels[keep]))


def schedule(recipe, count):
    "What a run does at each step, as tensors: images, crops and flips of `fit`, and the learning rate"
    steps, found = count // recipe.batch_size, []
    assert steps * recipe.batch_size == count, "the batch size must divide the number of images"
    for epoch in range(recipe.epochs):
        order, shifts, flips = paper_numbers(count, recipe.seed, epoch)
        found.append((order, shifts[order, 0], shifts[order, 1], flips[order]))
    index, top, left, flip = (
        torch.cat(part).view(recipe.epochs * steps, recipe.batch_size) for part in zip(*found)
    )
    rate = torch.tensor([recipe.rate(epoch) for epoch in range(recipe.epochs) for _ in range(steps)])
    return dict(index=index, top=top, left=left, flip=flip, rate=rate)


class Step:
    "A training step of one kind of network and loss, captured once and replayed for every run of that kind"

    def __init__(self, one, data, teacher, recipe, amp, stream=None):
        self.data, self.recipe, self.amp, self.stream = data, recipe, amp, stream
        self.device = data.train.images.device
        self.model = (
            wrn(one["depth"], one["width"], one["block"])
            .to(self.device, memory_format=torch.channels_last)
            .train()
        )
        self.params = list(self.model.parameters())
        self.momentum = [torch.zeros_like(p) for p in self.params]
        self.numbers = {
            name: torch.zeros((), device=self.device) for name in ("hard", "soft", "maps", "temperature")
        }
        self.loss = loss_of(kind_of(one)[2], kind_of(one)[3], self.numbers)
        layers = None if self.loss.needs("activations") else []
        self.student = Taps(self.model, layers)
        self.guide = Taps(teacher, layers) if self.loss.needs("teacher") else None
        self.plan = {key: value.to(self.device) for key, value in schedule(recipe, len(data.train)).items()}
        self.at = torch.zeros(1, dtype=torch.long, device=self.device)
        self.sums = torch.zeros(2, dtype=torch.double, device=self.device)  # loss, misclassified
        how = data.normalization()
        self.mean, self.std = (
            torch.tensor(how[key], device=self.device).view(1, 3, 1, 1) * 255 for key in ("mean", "std")
        )
        self.graph = None

    @property
    def steps(self):
        return len(self.plan["rate"])

    def precision(self):
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.amp == "bf16", cache_enabled=False
        )

    def inputs(self, images):
        return ((images.float() - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def step(self):
        "One step; everything that differs from step to step is read from tensors at position `at`"
        now = {key: table.index_select(0, self.at)[0] for key, table in self.plan.items()}
        images, y = self.data.train.images[now["index"]], self.data.train.labels[now["index"]]
        x = self.inputs(mirror(crop(images, now["top"], now["left"]), now["flip"]))
        with self.precision():
            with torch.no_grad():
                target = self.guide(x) if self.guide else None
            out = self.student(x)
            total, _ = self.loss(out, target, y)
        grads = list(torch.autograd.grad(total, self.params))
        with torch.no_grad():
            torch._foreach_add_(grads, self.params, alpha=self.recipe.weight_decay)
            torch._foreach_mul_(self.momentum, self.recipe.momentum)
            torch._foreach_add_(self.momentum, grads)
            torch._foreach_sub_(self.params, torch._foreach_mul(self.momentum, now["rate"]))
            self.sums += torch.stack([total.detach().double(), (out.logits.argmax(1) != y).double().mean()])
            self.at += 1

    def capture(self):
        "Record the step as a CUDA graph"
        for _ in range(3):
            self.step()
        self.stream.synchronize()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, stream=self.stream):
            self.step()

    @torch.no_grad()
    def begin(self, one):
        "Make ready for a run: initial weights from its seed, its order of images, the weights of its loss"
        torch.manual_seed(one["seed"])
        self.model.load_state_dict(wrn(one["depth"], one["width"], one["block"]).state_dict())
        for buffer in self.momentum:
            buffer.zero_()
        for key, value in schedule(replace(self.recipe, seed=one["seed"]), len(self.data.train)).items():
            self.plan[key].copy_(value)
        for key, value in weights_of(one).items():
            self.numbers[key].fill_(value)
        self.at.zero_()
        self.sums.zero_()

    def replay(self, count):
        for _ in range(count):
            self.graph.replay() if self.graph else self.step()

    @torch.no_grad()
    def evaluate(self, size=1000):
        "Test loss, error and top-5 error (percent) over all test images"
        self.model.eval()
        found = []
        for i in range(0, len(self.data.test), size):
            y = self.data.test.labels[i : i + size]
            with self.precision():
                logits = self.model(self.inputs(self.data.test.images[i : i + size])).float()
            top = logits.topk(5, 1).indices == y[:, None]
            loss = torch.nn.functional.cross_entropy(logits, y, reduction="sum")
            found.append(
                torch.stack([loss.double(), (~top[:, 0]).sum().double(), (~top.any(1)).sum().double()])
            )
        self.model.train()
        loss, error, top5 = (torch.stack(found).sum(0) / len(self.data.test)).tolist()
        return dict(test_loss=loss, test_error=100 * error, test_top5_error=100 * top5)


def kind_of(one):
    "What decides the graph of a step: study, network, kind of soft term, whether maps are compared"
    return one["study"], one["block"], {"": "", "paper": "CE"}.get(one["kd"], "KL"), bool(one["beta"])


class Lane:
    "Runs one after the other on a stream of its own"

    def __init__(self, parts, teacher, amp):
        self.parts, self.teacher, self.amp = parts, teacher, amp
        self.stream, self.kinds, self.one, self.marks, self.total = torch.cuda.Stream(), {}, None, deque(), 0

    def start(self, one):
        with torch.cuda.stream(self.stream):
            kind = kind_of(one)
            if kind not in self.kinds:
                step = Step(
                    one, self.parts[one["study"]], self.teacher, RECIPES[one["study"]], self.amp, self.stream
                )
                step.begin(one)
                step.capture()
                self.kinds[kind] = step
            self.step = self.kinds[kind]
            self.step.begin(one)
        self.one, self.done, self.started = one, 0, time.perf_counter()

    def resume(self, chunk=50):
        "Hand the GPU a few more steps, unless it has enough to do; returns a row when the run is complete"
        while self.marks and self.marks[0].query():
            self.marks.popleft()
        if len(self.marks) >= 3:
            return None
        with torch.cuda.stream(self.stream):
            if self.done < self.step.steps:
                per_epoch = self.step.steps // self.step.recipe.epochs
                if self.done == self.step.steps - per_epoch:
                    self.step.sums.zero_()  # of the last epoch
                self.step.replay(chunk)
                self.done += chunk
                self.total += chunk
                self.marks.append(torch.cuda.Event())
                self.marks[-1].record()
                return None
            if self.marks:
                return None
            return self.row(self.step.steps // self.step.recipe.epochs)

    def row(self, per_epoch):
        one, recipe, (loss, wrong) = self.one, self.step.recipe, (self.step.sums / per_epoch).tolist()
        scores = self.step.evaluate() | dict(train_loss=loss, train_error=100 * wrong)
        self.one = None
        return dict(
            run=name_of(one),
            **one,
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            learning_rate=recipe.learning_rate,
            epoch_step=list(recipe.epoch_step),
            amp=self.amp,
            images=len(self.step.data.train),
            **{key: round(value, 4) for key, value in scores.items()},
            seconds=round(time.perf_counter() - self.started, 2),
        )


def save(step, path, data, **info):
    checkpoints.save(
        path,
        step.model,
        classes=list(data.classes),
        normalization=data.normalization(),
        recipe=asdict(step.recipe),
        **info,
    )


def teach(out, data, amp, args):
    "The teacher: read, or trained now"
    path = out / "teacher.pt"
    if not path.exists():
        RECIPES["teacher"] = replace(
            RECIPES["teacher"],
            epochs=args.teacher_epochs,
            epoch_step=tuple(round(args.teacher_epochs * part) for part in (0.3, 0.6, 0.8)),
        )
        lane = Lane(dict(teacher=data), None, amp)
        lane.start(dict(study="teacher", block="S", depth=16, width=2, seed=0, **NOTHING))
        while (row := lane.resume()) is None:
            time.sleep(0.001)
        save(lane.step, path, data, scores=row)
        (out / "teacher.json").write_text(json.dumps(row, indent=1))
        print("teacher", row, flush=True)
    return checkpoints.load(path)[0].to(data.train.images.device, memory_format=torch.channels_last).eval()


def kept_name(one):
    "The file of a network that is kept: G(N/8), seed 0, by the four methods that the course compares"
    plain = (
        one["kd"] in ("", "paper")
        and one["temperature"] == 4
        and one["alpha"] in (0, 0.9)
        and one["beta"] in (0, 1000)
    )
    if not plain or one["block"] != "G(N/8)" or one["seed"]:
        return None
    return f"{one['study']}-" + ("-".join(["kd"] * bool(one["kd"]) + ["at"] * bool(one["beta"])) or "scratch")


def work(data, teacher, out, args, end):
    "All lanes, until every run is done or the time is up"
    parts, took = dict(scarce=scarce(data), full=data), {}
    path = out / "runs.jsonl"
    done = {json.loads(line)["run"] for line in path.open()} if path.exists() else set()
    waiting = [one for one in jobs(args.seeds) if name_of(one) not in done]
    lanes = [Lane(parts, teacher, args.amp) for _ in range(args.lanes)]
    idle = False
    while not idle:
        idle = True
        for lane in lanes:
            if lane.one is None:
                fit = [one for one in waiting if time.time() + took.get(one["study"], 0) < end]
                if not fit:
                    continue
                idle = False
                known = [one for one in fit[:12] if kind_of(one) in lane.kinds]  # a graph that is there
                one = (known or fit)[0]
                waiting.remove(one)
                lane.start(one)
            else:
                idle = False
            if lane.one is not None and (row := lane.resume()):
                took[row["study"]] = max(took.get(row["study"], 0), row["seconds"] + 2)
                with path.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                if name := kept_name({key: row[key] for key in ("study", "block", "seed", *NOTHING)}):
                    save(lane.step, out / "networks" / f"{name}.pt", data, scores=row)
                print(
                    f"{args.seconds - end + time.time():.0f} s  {row['run']}  {row['test_error']}  "
                    f"{row['seconds']} s",
                    flush=True,
                )
        time.sleep(0.0005)
    spent = args.seconds - end + time.time()
    print(f"{sum(lane.total for lane in lanes) / spent:.0f} steps a second over {spent:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--cache", type=Path, default=Path("/tmp/study"))
    parser.add_argument("--seconds", type=float, default=400)
    parser.add_argument("--lanes", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--teacher_epochs", type=int, default=30)
    parser.add_argument("--amp", default="bf16")
    args = parser.parse_args()
    started = time.time()
    args.cache.mkdir(exist_ok=True, parents=True)
    (args.out / "networks").mkdir(exist_ok=True, parents=True)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    prepare(args.images, args.cache)
    data, fingerprint = read(args.cache, "cuda")
    print(f"{len(jobs(args.seeds))} runs; data ready after {time.time() - started:.0f} s", flush=True)
    about = dict(
        data="CIFAR-10 (JPEG)",
        fingerprint=fingerprint,
        torch=str(torch.__version__),
        device=torch.cuda.get_device_name(),
        lanes=args.lanes,
        amp=args.amp,
    )
    (args.out / "about.json").write_text(json.dumps(about, indent=1))
    work(data, teach(args.out, data, args.amp, args), args.out, args, started + args.seconds)
    print(f"{time.time() - started:.0f} s in all", flush=True)


if __name__ == "__main__":
    main()
