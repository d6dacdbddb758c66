"""Is the gain of a teacher only that of a larger step? The demonstration's students over the learning rate.

    python nbs/results/make_demo_rates.py [--rates 0.05 0.1 0.2 0.4] [--methods scratch at kd kd+at]
                                          [--seeds 3] [--processes 1]

A loss with a larger weight makes larger steps, so a fair comparison gives each method its own best learning
rate. Adds a line to `demo_rates.jsonl`, beside this file, for each student; those that are there already are
not trained again.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from moonshine.demonstration import RECIPE, SHOWN, Job, demo_method, train_recorded

OUT = Path(__file__).with_name("demo_rates.jsonl")


def main() -> None:
    """Train what is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=float, nargs="+", default=[0.05, 0.1, 0.2, 0.4])
    parser.add_argument("--methods", nargs="+", choices=list(SHOWN), default=list(SHOWN))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    jobs = [
        Job(demo_method(method), replace(RECIPE, seed=seed, learning_rate=rate))
        for seed in range(options.seeds)
        for rate in options.rates
        for method in options.methods
    ]
    train_recorded(jobs, OUT, options.processes)


if __name__ == "__main__":
    main()
