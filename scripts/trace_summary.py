#!/usr/bin/env python3
"""Says in a few lines what a trace of `autolora bench --trace FILE` shows: what each step is bound by.

    python3 scripts/trace_summary.py FILE [--top N]

On a CUDA device the time of a span is split into kernels by kind, copies, and what the device was idle; a kernel counts
to the span in which it runs. Elsewhere it is split by the operators' own time, without that of operators inside them,
on the thread that called them, and the products of frozen weights, rows x in x out, are listed with their speed.
Recording makes the host slower, so idle time is an upper bound: the step without a trace is the one to time.
"""

import argparse
import collections
import json
import re
import sys

DEVICE_EVENTS = ("kernel", "gpu_memcpy", "gpu_memset")
LAUNCH = re.compile(r"^(cuda|cu)(Launch|GraphLaunch)")
# Names of kernels of cuBLAS, cuBLASLt, CUTLASS and cuDNN, and of operators. Attention comes first: its kernels are CUTLASS's too.
ATTENTION = re.compile(r"attention|flash|fmha|sdpa", re.IGNORECASE)
PRODUCT = re.compile(r"gemm|gemv|cutlass|xmma|nvjet|splitk|cublas|aten::(add|b|badd)?mm|aten::addmv|linear", re.IGNORECASE)


def kind(event):
    if event["cat"] in ("gpu_memcpy", "gpu_memset"):
        return "copies"
    for name, pattern in (("attention", ATTENTION), ("matrix products", PRODUCT)):
        if pattern.search(event["name"]):
            return name
    return "other"


def covered(intervals):
    """The length of the union of intervals."""
    total, end = 0.0, float("-inf")
    for a, b in sorted(intervals):
        total += max(0.0, b - max(a, end))
        end = max(end, b)
    return total


def own_times(events):
    """Pairs of event and its time without that of the events inside it on the same thread."""
    threads = collections.defaultdict(list)
    for e in events:
        threads[e["tid"]].append(e)
    pairs = []
    for events in threads.values():
        open_ = []  # [event, own time], outermost first
        for e in sorted(events, key=lambda e: (e["ts"], -e["dur"])):
            while open_ and open_[-1][0]["ts"] + open_[-1][0]["dur"] <= e["ts"]:
                open_.pop()
            if open_:
                open_[-1][1] -= e["dur"]
            pair = [e, e["dur"]]
            open_.append(pair)
            pairs.append(pair)
    return pairs


def products(timed, top):
    """A line for each shape of the products of frozen weights on the CPU, the longest first, and one for all."""
    shapes = collections.defaultdict(lambda: [0, 0.0])
    for e, time in timed:
        if e["name"] == "mkldnn::_linear_pointwise":
            (rows, inner), (out, _) = e["args"]["Input Dims"][:2]
            shapes[rows, inner, out][0] += 1
            shapes[rows, inner, out][1] += time
    speed = lambda shape, count, time: 2e-3 * shape[0] * shape[1] * shape[2] * count / time
    lines = [
        f"  {count:5} x  {' x '.join(map(str, shape))}: {speed(shape, count, time):.1f} GFLOP/s"
        for shape, (count, time) in sorted(shapes.items(), key=lambda item: -item[1][1])[:top]
    ]
    if lines:
        total = sum(time for _, time in shapes.values())
        work = sum(2e-3 * a * b * c * count for (a, b, c), (count, _) in shapes.items())
        lines.append(f"Products of frozen weights: {work / 1e6:.1f} GFLOP at {work / total:.1f} GFLOP/s.")
    return lines


def verdict(on_device, share, idle):
    if idle > 0.3:
        return "the host: the device waits for launches" if on_device else "what runs outside libtorch's operators"
    products = share["matrix products"] + share["attention"]
    if products > (1 - idle) / 2:
        return "matrix products and attention"
    return "copies between host and device" if share["copies"] > (1 - idle) / 2 else "element-wise operators, so by memory bandwidth"


def summary(span, events, on_device, top):
    start, end = span["ts"], span["ts"] + span["dur"]
    inside = [e for e in events if start <= e["ts"] < end]
    launches = sum(e["cat"] in ("cuda_runtime", "cuda_driver") and bool(LAUNCH.match(e["name"])) for e in inside)
    if on_device:
        timed = [(e, e["dur"]) for e in inside if e["cat"] in DEVICE_EVENTS]
        what = f"{sum(e['cat'] == 'kernel' for e, _ in timed)} kernels, {launches} launches"
    else:
        timed = own_times([e for e in inside if e["cat"] == "cpu_op"])
        what = f"{len(timed)} operators"
    idle = 1 - covered((e["ts"], min(end, e["ts"] + e["dur"])) for e, _ in timed) / span["dur"]
    total, share, names = sum(t for _, t in timed) or 1.0, collections.Counter(), collections.defaultdict(lambda: [0, 0.0])
    for e, time in timed:
        share[kind(e)] += time / total * (1 - idle)
        names[e["name"]][0] += 1
        names[e["name"]][1] += time / total * (1 - idle)
    outside = "device idle" if on_device else "outside operators"
    parts = ", ".join(f"{share[k]:.0%} {k}" for k in ("matrix products", "attention", "other", "copies") if share[k] > 0)
    lines = [
        f"{span['name']}: {span['dur'] / 1e3:.2f} ms recorded, {what}; {parts}, {idle:.0%} {outside}.",
        f"Bound by {verdict(on_device, share, idle)}. The longest:",
    ]
    for name, (count, part) in sorted(names.items(), key=lambda item: -item[1][1])[:top]:
        lines.append(f"  {part:6.1%}  {count:5} x  {name if len(name) <= 110 else name[:107] + '...'}")
    return "\n".join(lines + (products(timed, top) if not on_device else []))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("trace", metavar="FILE")
    p.add_argument("--top", type=int, default=10, help="kernels or operators that are named (default 10)")
    args = p.parse_args()
    try:
        with open(args.trace, encoding="utf-8") as f:
            events = [e for e in json.load(f)["traceEvents"] if e.get("ph") == "X" and "cat" in e]
    except (OSError, ValueError, KeyError, TypeError) as e:
        sys.exit(f"{args.trace}: not a Chrome trace: {e}")
    spans = sorted((e for e in events if e["cat"] == "user_annotation"), key=lambda e: e["ts"])
    if not spans:
        sys.exit(f"{args.trace}: no span is marked: want a file of autolora bench --trace")
    on_device = any(e["cat"] == "kernel" for e in events)
    print("\n\n".join(summary(span, events, on_device, args.top) for span in spans))


if __name__ == "__main__":
    main()
