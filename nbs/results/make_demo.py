"""Repeat the demonstration with ten seeds, in each precision and with one and two threads.

    python nbs/results/make_demo.py [--condition 1-float32] [--seeds 10] [--processes 1]

A condition is a number of threads and a precision: 1-float32, 2-float32, 1-bfloat16, 2-bfloat16; without one,
all four are made, in this order. Adds a line to `demo_seeds.jsonl`, beside this file, for each student; the
students that are there already, with the same settings, are not trained again.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from moonshine.demonstration import RECIPE, demo_jobs, train_recorded

OUT = Path(__file__).with_name("demo_seeds.jsonl")
CONDITIONS = {
    f"{threads}-{name}": (threads, amp)
    for name, amp in (("float32", "none"), ("bfloat16", "bf16"))
    for threads in (1, 2)
}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--condition", choices=CONDITIONS, help="only this one")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--processes", type=int, default=1, help="students trained at the same time")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    for name in [args.condition] if args.condition else CONDITIONS:
        threads, amp = CONDITIONS[name]
        jobs = demo_jobs(range(args.seeds), recipe=replace(RECIPE, amp=amp), threads=threads)
        print(f"condition {name}", flush=True)
        train_recorded(jobs, args.out, args.processes)


if __name__ == "__main__":
    main()
