"""Model search on scikit-learn's digits: the plain functions the demo runs as nodes.

The data are 1797 images of 8 x 8 pixels, ten classes.  A split takes 300 of them for training and
1000 others for the final test.  A fit is an RBF support vector machine at one point (C, gamma); it
is scored by 20-fold cross-validation on the training rows alone.  Test rows are classified by each
fit but compared with their labels only in `ensemble` and `static_result`, after all choosing.

The range is the usual one for this kernel on data scaled to [0, 1] (LIBSVM's guide: C from 2^-5
to 2^15, gamma from 2^-15 to 2^3).  Distances between points are counted in cells of the static
5 x 5 grid over that range: one cell is a factor 2^5 in C and 2^4.5 in gamma.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.svm import SVC

Point = tuple[float, float]  # (C, gamma), both dimensionless
Done = tuple[float, float, float]  # (C, gamma, validation score in [0, 1])

BUDGET = 25  # fits in all, coarse ones included; the static grid has as many
ROUND = 4  # refined fits asked for at a time
TOP = 3  # members of the ensemble
MARGIN = 0.01  # validation accuracy by which a fit is clearly worse than another: about one standard error of it
TRAIN, TEST, FOLDS = 300, 1000, 20  # rows, rows, folds
CELLS = 4  # cells along each side of the range
LOW, CELL = (-5.0, -15.0), (5.0, 4.5)  # log2 of (C, gamma): lower corner, size of a cell


@lru_cache(maxsize=1)
def digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """All pixels, (1797, 64) in [0, 1], and labels, (1797,) in 0..9; read once per process."""
    pixels, labels = load_digits(return_X_y=True)
    return pixels / 16.0, labels.astype(np.int64)


def split(seed: int = 0) -> dict[str, Any]:
    """Disjoint row numbers drawn by `seed`: "train", 300 in random order, and "test", 1000."""
    rows = np.random.default_rng(seed).permutation(len(digits()[1])).tolist()
    return {"seed": seed, "train": rows[:TRAIN], "test": rows[TRAIN : TRAIN + TEST]}


def fit(split: dict[str, Any], C: float, gamma: float) -> dict[str, Any]:
    """One support vector machine, about 0.1 s; the result pickles to about 52 kB.

    "valid": (300, 10) float32, class scores of each training row from the fold that left it out;
    "score": their accuracy in [0, 1]; "test": (1000, 10) float32, class scores of the test rows
    from a fit on all 300 training rows; "seconds": elapsed time, the only part that varies.
    """
    start = time.perf_counter()
    pixels, labels = digits()
    train = np.asarray(split["train"])
    fold = np.arange(len(train)) % FOLDS
    valid = np.empty((len(train), 10), dtype=np.float32)
    for number in range(FOLDS):
        inside, outside = train[fold != number], train[fold == number]
        machine = SVC(C=C, gamma=gamma).fit(pixels[inside], labels[inside])
        valid[fold == number] = machine.decision_function(pixels[outside])
    machine = SVC(C=C, gamma=gamma).fit(pixels[train], labels[train])
    test = machine.decision_function(pixels[split["test"]]).astype(np.float32)
    return {
        "C": C,
        "gamma": gamma,
        "score": accuracy(valid, split["train"]),
        "valid": valid,
        "test": test,
        "seconds": time.perf_counter() - start,
    }


def accuracy(scores: NDArray[np.floating[Any]], rows: Sequence[int]) -> float:
    """Fraction in [0, 1] of `rows` whose label has the highest of its class scores, (rows, 10)."""
    return float(np.mean(scores.argmax(axis=1) == digits()[1][rows]))


def board(**fits: dict[str, Any]) -> list[dict[str, Any]]:
    """Fits from best to worst validation score; of equals, smaller C, then gamma, goes first."""
    rows = [{"name": name, **{key: one[key] for key in ("score", "C", "gamma")}} for name, one in fits.items()]
    return sorted(rows, key=lambda row: (-row["score"], row["C"], row["gamma"], row["name"]))


def ensemble(split: dict[str, Any], **fits: dict[str, Any]) -> dict[str, Any]:
    """Mean class scores of the three best of `fits`: members, validation and test accuracy."""
    members = [row["name"] for row in board(**fits)[:TOP]]
    valid = np.mean([fits[name]["valid"] for name in members], axis=0)
    test = np.mean([fits[name]["test"] for name in members], axis=0)
    return {"members": members, "score": accuracy(valid, split["train"]), "accuracy": accuracy(test, split["test"])}


def static_grid(n: int = 5) -> list[Point]:
    """The n x n points evenly spread (in logarithm) over the whole range, smallest C first."""
    ticks = [CELLS * k / (n - 1) for k in range(n)]
    return [_point(c, g) for c in ticks for g in ticks]


def coarse_grid() -> list[Point]:
    """The nine points the search begins with, two cells apart; all nine are in the 5 x 5 grid."""
    return static_grid(3)


def step(fits: int) -> float:
    """Step in cells for the next round when `fits` have been asked for: 1, 1/2, 1/4, 1/8."""
    return 0.5 ** max(0, (fits - len(coarse_grid())) // ROUND)


def refine(done: Collection[Done], known: Collection[Point], step: float, count: int = ROUND) -> list[Point]:
    """At most `count` points not in `known`, diagonal neighbours of the best fits, `step` away.

    The best fit's come first, then the second's and third's.  A point outside the range is never
    proposed.  Where all neighbours are known the step is halved.  `known` holds every point ever
    asked for, the dropped ones too, so that none comes back.
    """
    best, taken, found = _ranked(done)[:TOP], set(known), list[Point]()
    while not found and best and step >= 1 / 64:
        for C, gamma, _ in best:
            c, g = _cells(C, gamma)
            for dc, dg in ((-step, -step), (-step, step), (step, -step), (step, step)):
                point = _point(c + dc, g + dg)
                if 0 <= c + dc <= CELLS and 0 <= g + dg <= CELLS and point not in taken:
                    taken.add(point)
                    found.append(point)
        step /= 2
    return found[:count]


def dominated(point: Point, done: Collection[Done]) -> bool:
    """Whether the finished fit nearest to a pending `point` is clearly worse than the best one.

    Only fits within one cell count, so that one coarse point never rules out another; of equally
    near fits the better one speaks.
    """
    if not done:
        return False
    ranked = _ranked(done)
    nearest = min(ranked, key=lambda one: _distance(point, one))
    return _distance(point, nearest) <= 1 and ranked[0][2] - nearest[2] > MARGIN


def static_result(seed: int = 0) -> dict[str, Any]:
    """The 5 x 5 grid run plainly, 25 fits: test accuracy of the fit with the best validation score.

    "ensemble" is the test accuracy the same grid reaches with the three best fits averaged.
    """
    start, rows = time.perf_counter(), split(seed)
    fits = {f"grid_{k:02d}": fit(rows, *point) for k, point in enumerate(static_grid(), 1)}
    best = board(**fits)[0]
    return {
        "fits": len(fits),
        "best": best["name"],
        "C": best["C"],
        "gamma": best["gamma"],
        "score": best["score"],
        "accuracy": accuracy(fits[best["name"]]["test"], rows["test"]),
        "ensemble": ensemble(rows, **fits)["accuracy"],
        "seconds": time.perf_counter() - start,
    }


def _ranked(done: Collection[Done]) -> list[Done]:
    """Best first, by the rule of `board`."""
    return sorted(done, key=lambda one: (-one[2], one[0], one[1]))


def _point(c: float, g: float) -> Point:
    """(C, gamma) of a place given in cells from the lower corner of the range."""
    return 2.0 ** (LOW[0] + CELL[0] * c), 2.0 ** (LOW[1] + CELL[1] * g)


def _cells(C: float, gamma: float) -> Point:
    """The inverse of `_point`, rounded to 1/1024 cell so that equal places give equal floats."""
    place = ((math.log2(C) - LOW[0]) / CELL[0], (math.log2(gamma) - LOW[1]) / CELL[1])
    return round(place[0] * 1024) / 1024, round(place[1] * 1024) / 1024


def _distance(point: Point, one: Done) -> float:
    """The larger of the distances in log C and log gamma, in cells."""
    (c, g), (c1, g1) = _cells(*point), _cells(one[0], one[1])
    return max(abs(c - c1), abs(g - g1))
