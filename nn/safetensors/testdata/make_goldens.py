"""Makes the golden files of this folder with the safetensors library itself.

    pip install safetensors==0.8.0 torch==2.11.0 numpy
    python make_goldens.py

Every value is a deterministic ramp, so a rerun gives the same bytes. Only one
metadata key is written to any file: the library leaves the order of several to
chance.
"""

import hashlib
import json
import pathlib

import safetensors
import torch
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent


def ramp(n, dtype):
    return (torch.arange(n, dtype=torch.float64) * 0.37 - 1.5).to(dtype)


def main():
    versions = {"made_with": f"safetensors {safetensors.__version__}, torch {torch.__version__}"}
    save_file(
        {
            "z.f64": ramp(3, torch.float64),
            "a.f32": ramp(6, torch.float32).reshape(2, 3),
            "b.f32": ramp(4, torch.float32).reshape(1, 4, 1),
            "c.f16": ramp(5, torch.float16),
            "d.bf16": ramp(5, torch.bfloat16),
            "e.i64": torch.arange(-2, 3, dtype=torch.int64),
            "f.i32": torch.arange(-2, 3, dtype=torch.int32),
            "g.i16": torch.arange(-2, 3, dtype=torch.int16),
            "h.i8": torch.arange(-2, 3, dtype=torch.int8),
            "i.u8": torch.arange(5, dtype=torch.uint8),
            "j.bool": torch.tensor([True, False, True]),
            "k.f8": torch.arange(3).to(torch.float8_e4m3fn),
            "l.f8": torch.arange(3).to(torch.float8_e5m2),
            "m.u16": torch.arange(3).to(torch.uint16),
            "n.u32": torch.arange(3).to(torch.uint32),
            "o.u64": torch.arange(3).to(torch.uint64),
            "p.c64": torch.arange(3).to(torch.complex64),
        },
        HERE / "dtypes.safetensors",
        versions,
    )
    save_file(
        {
            "scalar": torch.tensor(1.5),
            "empty": torch.zeros(0),
            "also empty": torch.zeros(3, 0, 2),
            "after": torch.tensor([7.0]),
            "empty.i8": torch.zeros(0, dtype=torch.int8),
        },
        HERE / "shapes.safetensors",
        {},
    )
    save_file(
        {
            'quote " backslash \\ slash / <&>': torch.zeros(1),
            "control \b\f\n\r\t\x00\x1f\x7f": torch.ones(1),
            "ünïcödé \u2028 \u65e5\u672c \U0001f600": torch.full((1,), 2.0),
            "": torch.full((1,), 3.0),
        },
        HERE / "names.safetensors",
        {'key "\\"': "line\nbreak \u2029"},
    )
    save_file({}, HERE / "nothing.safetensors")

    bits = torch.arange(65536, dtype=torch.int32).to(torch.uint16)
    golden = dict(versions)
    for name, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        values = bits.view(dtype).to(torch.float32)
        finite = values[~values.isnan()].numpy().astype("<f4").tobytes()
        golden[name] = {"nan": int(values.isnan().sum()), "sha256_without_nan": hashlib.sha256(finite).hexdigest()}
    doubles = torch.tensor([0.1, -1e-45, 1e39, 16777217.0, 1.0000000596046448, 3.0e-39], dtype=torch.float64)
    golden["f64"] = {"in": doubles.tolist(), "out_bits": doubles.to(torch.float32).view(torch.int32).tolist()}
    (HERE / "conversions.json").write_text(json.dumps(golden, indent=2) + "\n")


if __name__ == "__main__":
    main()
