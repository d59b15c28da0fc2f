"""Makes stats.json: what SciPy says about small samples, for stats_test.go.

    python make_stats.py        (numpy, scipy; the versions are in the file)
"""

import itertools
import json
import pathlib

import numpy
import scipy
from scipy import optimize, stats

rng = numpy.random.default_rng(1)


def paired(values):
    """Student's interval and test of the mean of differences."""
    result = stats.ttest_1samp(values, 0)
    interval = result.confidence_interval(0.95)
    return {"values": values, "mean": numpy.mean(values), "sd": numpy.std(values, ddof=1),
            "low": interval.low, "high": interval.high, "p": result.pvalue}


def stratified(tasks):
    """Average of the tasks' means; variances add up, Satterthwaite's degrees of freedom.

    Of two tasks this is Welch's test of a - (-b), which SciPy has: halved.
    """
    n = len(tasks)
    parts = [numpy.var(t, ddof=1) / len(t) / n**2 for t in tasks]
    se = numpy.sqrt(sum(parts))
    df = sum(parts) ** 2 / sum(v**2 / (len(t) - 1) for v, t in zip(parts, tasks))
    mean = sum(numpy.mean(t) for t in tasks) / n
    low, high = stats.t.interval(0.95, df, mean, se)
    p = 2 * stats.t.sf(abs(mean / se), df)
    if n == 2:
        welch = stats.ttest_ind(tasks[0], [-v for v in tasks[1]], equal_var=False)
        interval = welch.confidence_interval(0.95)
        assert numpy.allclose([p, df, low, high], [welch.pvalue, welch.df, interval.low / 2, interval.high / 2])
    return {"tasks": tasks, "mean": mean, "low": low, "high": high, "p": p, "df": df}


def bounded(mean, components):
    """Interval of a mean, the squares of the halves of each variance's own added up."""
    half = lambda level: numpy.sqrt(sum(v * stats.t.isf(level / 2, df) ** 2 for v, df in components))
    p = optimize.brentq(lambda level: half(level) - abs(mean), 1e-15, 1 - 1e-9, xtol=1e-15, rtol=1e-14)
    return {"components": components, "mean": mean, "low": mean - half(0.05), "high": mean + half(0.05), "p": p}


def agreement(lists):
    """Mean correlation of all pairs of lists that are not constant."""
    varied = [x for x in lists if len(set(x)) > 1]
    pairs = list(itertools.combinations(varied, 2))
    return {"lists": lists, "pairs": len(pairs),
            "pearson": numpy.mean([stats.pearsonr(a, b).statistic for a, b in pairs]),
            "spearman": numpy.mean([stats.spearmanr(a, b).statistic for a, b in pairs])}


def chance(form, k, spread, draws=400_000):
    """Rank of one layer if its selection variables are exchangeable, by simulation."""
    a = spread * rng.standard_normal((draws, k))
    if form == "sigmoid":
        ranks = (a >= 0).sum(1)
    elif form == "none":
        ranks = (a >= a.mean(1, keepdims=True)).sum(1)
    else:
        alpha = numpy.exp(a) / numpy.exp(a).sum(1, keepdims=True)
        ranks = (alpha >= 1 / k).sum(1)
    return {"form": form, "k": k, "spread": spread, "mean": ranks.mean(), "sd": ranks.std(ddof=1)}


def listed(array):
    return [float(v) for v in array]


ranks = [list(map(int, rng.integers(1, 8, 24))) for _ in range(3)]
values = {
    "versions": {"scipy": scipy.__version__, "numpy": numpy.__version__},
    "paired": [paired(v) for v in (
        [0.004, -0.002], [0.011, 0.004, -0.003], [0.02, 0.021, 0.019, 0.0195], listed(rng.normal(0.1, 1, 10)),
        [1e-9, 2e-9, -1e-9], [1e6, 2e6, 1.5e6],
    )],
    "stratified": [stratified(t) for t in (
        [[0.004, -0.002, 0.001], [0.01, 0.02, 0.03]], [[0.004, -0.002], listed(rng.normal(0.01, 0.02, 5)), listed(rng.normal(0, 0.001, 3))],
    )],
    "bounded": [bounded(*c) for c in (
        (0.0460, [[0.0086**2, 871], [0.0166**2 / 3, 2]]), (-0.001, [[4e-5, 407], [1e-9, 1]]), (0.3, [[1e-6, 1499], [0.04, 1]]), (2.5, [[1, 3]]),
        (-0.05, [[4e-5, 999], [1e-5, 4]]))],
    "sign": [{"wins": w, "losses": l, "p": stats.binomtest(w, w + l).pvalue} for w, l in ((5, 3), (0, 3), (8, 0), (1, 1), (2, 9))],
    "agreement": [agreement(x) for x in (ranks, ranks + [[4] * 24], [[1, 2, 3, 4], [1, 2, 4, 3]], [[1, 1, 2, 2, 3], [2, 1, 2, 3, 3], [5, 1, 1, 1, 1]])],
    "chance": [chance(*c) for c in (
        ("softmax", 8, 0.001), ("softmax", 8, 0.3), ("softmax", 8, 2.0), ("softmax", 4, 0.001), ("softmax", 16, 1.0), ("none", 8, 5.0), ("sigmoid", 8, 1.0),
        ("sigmoid", 1, 1.0), ("softmax", 2, 0.5))],
    "against": [{"lists": x, "mean": 4.0, "sd": 0.85,
                 "mean_p": 2 * stats.norm.sf(abs(numpy.mean(x) - 4.0) / (0.85 / numpy.sqrt(numpy.size(x)))),
                 "sd_p": 2 * min(stats.chi2.cdf(q := sum(numpy.var(r, ddof=1) * (len(r) - 1) for r in x) / 0.85**2, d := len(x) * (len(x[0]) - 1)), stats.chi2.sf(q, d))}
                for x in ([[4, 5, 3, 4, 4, 2]], [[4, 4, 4, 5, 4, 4], [4, 4, 3, 4, 4, 4]])],
}
pathlib.Path(__file__).with_name("stats.json").write_text(json.dumps(values, indent=1) + "\n")
