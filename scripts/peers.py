"""What bench_peers.py, bench_cost.py and bench_gpu.py share: flags, rows of a task, runs in turn, and the printed table."""

import argparse
import csv
import json
import os
import random
import signal
import statistics
import subprocess
import sys

WARM_UP = 2  # batches
RANK = 8


def parser(doc):
    """The flags of all; doc is the help."""
    p = argparse.ArgumentParser(usage="%(prog)s FLAGS (see --help)", description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", help="folder with config.json, safetensors and tokenizer")
    p.add_argument("--sst2", metavar="FILE", help="SST-2 rows, TSV or parquet")
    p.add_argument("--mrpc", metavar="FILE", help="MRPC rows, TSV or parquet")
    p.add_argument("--batch-size", type=int, default=16, help="rows of a batch (default 16)")
    p.add_argument("--seed", type=int, default=0, help="of the choice of rows (default 0)")
    p.add_argument("--rounds", type=int, default=3, help="runs of each system per case (default 3)")
    p.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of all (default: all cores)")
    p.add_argument("--autolora", default="bin/autolora", help="the binary (default bin/autolora)")
    p.add_argument("--json", metavar="FILE", help="also write everything here")
    p.add_argument("--worker", help=argparse.SUPPRESS)
    return p


def parse(p):
    """The arguments, checked as far as all scripts need them; those of a worker as they are."""
    args = p.parse_args()
    if args.worker:
        return args
    if not args.model or not (args.sst2 or args.mrpc or getattr(args, "e2e", None)):
        p.error("--model and a file of a task are needed")
    if not os.access(args.autolora, os.X_OK):
        p.error(f"{args.autolora} is missing: build it with make build")
    if os.getloadavg()[0] > 0.5:
        note(f"load average {os.getloadavg()[0]:.1f}: other programs run, the figures will be off")
    return args


def note(line):
    """Tells on stderr how far the measurement is."""
    print(line, file=sys.stderr)


def machine():
    """The processor, with those of its instructions that decide how fast matrices are multiplied."""
    with open("/proc/cpuinfo") as f:
        info = dict(line.split("\t", 1) for line in f.read().split("\n\n")[0].splitlines() if "\t" in line)
    of = lambda key: info.get(key, "").strip(" \t:")
    has = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in of("flags").split()]
    return f"{of('model name')} (family {of('cpu family')}, model {of('model')}: {', '.join(has)}), {len(os.sched_getaffinity(0))} cores"


def read_rows(path):
    """Rows of an SST-2 or MRPC file, official TSV or Hugging Face parquet, as {"text", ["text_pair",] "label"}."""
    if path.endswith(".parquet"):
        import pyarrow.parquet

        rows = pyarrow.parquet.read_table(path).to_pylist()
    else:
        with open(path, encoding="utf-8-sig", newline="") as f:
            rows = list(csv.DictReader(f, delimiter="\t", quoting=csv.QUOTE_NONE))
    forms = (("sentence", None, "label"), ("sentence1", "sentence2", "label"), ("#1 String", "#2 String", "Quality"))
    for text, pair, label in forms:
        if rows and text in rows[0] and label in rows[0]:
            return [
                {"text": r[text], **({"text_pair": r[pair]} if pair else {}), "label": int(r[label])} for r in rows
            ]
    sys.exit(f"{path}: not an SST-2 or MRPC file with labels: columns {list(rows[0]) if rows else 'none'}")


def read_e2e(path):
    """Rows of E2E's official CSV, as {"source", "target"}."""
    with open(path, encoding="utf-8-sig", newline="") as f:
        return [{"source": row["mr"], "target": row["ref"]} for row in csv.DictReader(f)]


def samples(args, batches, flag, more=0):
    """Every task that has a file, with rows for so many batches and more, drawn by --seed; flag sets their number."""
    sources = (("SST-2", args.sst2, read_rows), ("MRPC", args.mrpc, read_rows), ("E2E", getattr(args, "e2e", None), read_e2e))
    for task, source, read in sources:
        if not source:
            continue
        rows, wanted = read(source), batches * args.batch_size + more
        if len(rows) < wanted:
            sys.exit(f"{source}: {len(rows)} rows, want {wanted}: lower {flag}")
        yield task, random.Random(args.seed).sample(rows, wanted)


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def load_rows(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def chunks(rows, size):
    """Rows in order, so many at a time; the rest is left out."""
    return [rows[i : i + size] for i in range(0, len(rows) - size + 1, size)]


def padded(sequences, value, left=False):
    """Lists of numbers as one tensor."""
    import torch

    longest = max(map(len, sequences))
    fill = lambda s: [value] * (longest - len(s))
    return torch.tensor([fill(s) + s if left else s + fill(s) for s in sequences])


def padded_batches(tokenizer, rows, batch_size, **settings):
    """Rows in order as padded batches of tensors with labels; the rest that fills no batch is left out."""
    import torch

    for part in chunks(rows, batch_size):
        pairs = [r["text_pair"] for r in part] if "text_pair" in part[0] else None
        b = tokenizer([r["text"] for r in part], pairs, padding=True, truncation=True, return_tensors="pt", **settings)
        yield {**b, "labels": torch.tensor([r["label"] for r in part])}


def quiet():
    """Keeps transformers from telling of itself."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()


def peak_memory():
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM:"))


def run_json(command, threads, limit=None):
    """Runs a command that prints one JSON object on stdout; None if it has not ended after limit seconds."""
    env = {**os.environ, "OMP_NUM_THREADS": str(threads), "TOKENIZERS_PARALLELISM": "false"}
    # A process group of its own, so that a compiler which it started ends with it.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, process_group=0) as p:
        try:
            out, err = p.communicate(timeout=limit)
        except BaseException as e:
            os.killpg(p.pid, signal.SIGKILL)
            if isinstance(e, subprocess.TimeoutExpired):
                return None
            raise
    if p.returncode != 0 or "{" not in out:
        sys.exit(f"{' '.join(command)}: exit {p.returncode}\n{err[-2000:]}")
    return json.loads(out[out.index("{") :])


def run_worker(script, spec, threads, limit=None):
    """Runs a script's worker, which is PEFT in a process of its own, with the arguments in spec."""
    return run_json([sys.executable, os.path.abspath(script), "--worker", json.dumps(spec)], threads, limit)


def in_turn(systems, rounds, run, say):
    """Every system's runs, one per round with the order turning, and medians of their numbers; say words one run. A system
    whose run is None is left out from then on."""
    runs = {system: [] for system in systems}
    for n in range(rounds):
        turn = n % len(systems)
        for system in systems[turn:] + systems[:turn]:
            if system not in runs:
                continue
            if (result := run(system)) is None:
                del runs[system]
                continue
            runs[system].append(result)
            note(f"  round {n + 1}, {say(system, result)}")
    medians = {}
    for system, results in runs.items():
        medians[system] = {
            key: statistics.median(r[key] for r in results) if isinstance(value, (int, float)) else value
            for key, value in results[0].items()
        }
    return {"median": medians, "runs": runs}


def table(rows):
    """Rows, the first of them the head, as lines with aligned columns; a column empty below its head is left out."""
    keep = [i for i in range(len(rows[0])) if any(row[i] for row in rows[1:])]
    width = {i: max(len(row[i]) for row in rows) for i in keep}
    return "\n".join("  ".join(row[i].rjust(width[i]) for i in keep) for row in rows)


def save(args, cases):
    """Writes --json FILE, if it is wanted."""
    if args.json:
        with open(args.json + ".tmp", "w") as f:
            json.dump({"settings": vars(args), "cases": cases}, f, indent=2)
        os.replace(args.json + ".tmp", args.json)


def start(arguments, worker, main):
    """Runs a script: as a worker, or its main with the arguments; a file that fails is one line."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends too
    try:
        args = arguments()
        if args.worker:
            print(json.dumps(worker(*json.loads(args.worker))))
        else:
            main(args)
    except OSError as e:
        sys.exit(f"{sys.argv[0]}: {e}")
