#!/usr/bin/env python3
"""Prints the coefficients of the normal distribution function that
torchbind/internal/shim/fused_gelu_kernel.h holds, and their largest errors.

    python scripts/fit_normal_tail.py        (needs numpy and scipy)

|x| <= 1:  Phi(x) = 1/2 + x p(x^2)
|x| >  1:  1 - Phi(|x|) = exp(-x^2/2) t q(t),  t = 1 / (1 + 0.4 |x|)
Both polynomials minimise the largest relative error, by reweighted least squares.
"""
import numpy as np
from scipy.special import erf, erfc, erfcx

SCALE = 0.4


def chebyshev(lo, hi, n=4000):
    return lo + (hi - lo) * (1 + np.cos(np.pi * (np.arange(n) + 0.5) / n)) / 2


def minimax(basis, target, rounds=80):
    rows, weight = basis / target[:, None], np.ones(len(target))
    for _ in range(rounds):
        root = np.sqrt(weight)
        coefficients = np.linalg.lstsq(rows * root[:, None], root, rcond=None)[0]
        error = np.abs(rows @ coefficients - 1)
        weight *= error / error.max() + 1e-3
        weight /= weight.mean()
    return coefficients


def horner(coefficients, x):
    """In float32, a fused multiply-add per step."""
    y = np.full_like(x, np.float32(coefficients[-1]))
    for c in coefficients[-2::-1]:
        y = (y.astype(np.float64) * x + np.float64(np.float32(c))).astype(np.float32)
    return y


u = chebyshev(1e-9, 1.0)
centre = minimax(np.vander(u, 6, increasing=True), 0.5 * erf(np.sqrt(u / 2)) / np.sqrt(u))
t = chebyshev(1 / (1 + SCALE * 14), 1 / (1 + SCALE))
tail = minimax(np.vander(t, 7, increasing=True), 0.5 * erfcx((1 / t - 1) / SCALE / np.sqrt(2)) / t)

x = np.linspace(0, 1, 200001).astype(np.float32)
centre_error = np.abs(np.float32(0.5) + x * horner(centre, x * x) - 0.5 * erfc(-x.astype(np.float64) / np.sqrt(2))).max()
a = np.linspace(1, 6, 200001).astype(np.float32)
s = (np.float32(1) / (np.float32(1) + np.float32(SCALE) * a)).astype(np.float32)
tail_error = np.abs(s * horner(tail, s) * np.exp(-a.astype(np.float64) ** 2 / 2) - 0.5 * erfc(a.astype(np.float64) / np.sqrt(2))).max()

print("centre", ", ".join(f"{c:.9e}f" for c in centre), f"largest absolute error {centre_error:.1e}")
print("tail  ", ", ".join(f"{c:.9e}f" for c in tail), f"largest absolute error {tail_error:.1e}")
