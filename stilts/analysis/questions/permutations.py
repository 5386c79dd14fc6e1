"""Two matrices over the same tasks: do they go together, beyond the means of rows and of columns? Permutation tests.

A matrix has a row for each intermediate task and a column for each target task. Its cells are no independent
observations: those of a row share a task, and so do those of a column. So the test permutes tasks, not cells (Mantel
1967, for one set of objects): rows and columns of one matrix are put in another order, and the other stays. Cells that
are left out (pairs of the same task) stay where they are: only orders that map them onto each other are used.

The means of rows and of columns are taken off both matrices first, by least squares over the cells that are used. An
intermediate task that helps everything, and a target that everything helps, then say nothing of pairs.

An interval holds every size of relation that the same test would not reject. With a relation of size b, ``G - b S`` is
unrelated to S; each order of tasks rejects all b outside of an interval that has a closed form, and of these intervals'
ends the ones with the share `1 - level` are taken.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np

from stilts.analysis.estimates import Estimate
from stilts.study.errors import StiltsError

MOST_TASKS = 8  # whose orders are listed
MOST_ORDERS = 10_000  # that are all used; of more, some are drawn
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Orders:
    """Orders of rows and columns that keep the cells that are used in place; the first is the identity.

    Attributes
    ----------
    rows, columns : int array of shape (orders, rows), (orders, columns)
    all : bool
        Whether these are all there are.
    """

    rows: np.ndarray
    columns: np.ndarray
    all: bool

    def __len__(self) -> int:
        return len(self.rows)

    def applied(self, matrix: np.ndarray) -> np.ndarray:
        """Return a matrix in each of the orders, of shape (orders, rows, columns)."""
        return matrix[self.rows[:, :, None], self.columns[:, None, :]]


@dataclass(frozen=True)
class Relation(Estimate):
    """How one matrix goes with another: what a standard deviation of the second brings the first, in the first's unit.

    The ends of the interval are infinite where there are too few orders for the level. The p-value is the share of the
    orders in which the relation is at least as strong. The standard error, the standard deviation of the slope over the
    orders once the relation is taken off, and the degrees of freedom, which the means of rows and of columns leave, are
    for a power note and for tests against the smallest effect that matters, not for the p-value.

    Attributes
    ----------
    r : float
        Correlation over the cells that are used.
    cells, orders : int
    """

    r: float = math.nan
    cells: int = 0
    orders: int = 0


def make_orders(used: np.ndarray, draws: int, generator: np.random.Generator) -> Orders:
    """Return the orders of rows and of columns that map the cells that are used onto each other.

    Parameters
    ----------
    used : bool array of shape (rows, columns)
    draws : int
        How many are drawn where there are more than `MOST_ORDERS`, the identity besides.

    Raises
    ------
    StiltsError
        If both rows and columns are more than `MOST_TASKS`.
    """
    if len(used) > used.shape[1]:
        turned = make_orders(used.T, draws, generator)
        return Orders(turned.columns, turned.rows, turned.all)
    if len(used) > MOST_TASKS:
        raise StiltsError(f"permutations of tasks are listed for at most {MOST_TASKS} on one side, not {len(used)}")
    ways = {order: _column_orders(used[list(order)], used) for order in permutations(range(len(used)))}
    allowed = [order for order, groups in ways.items() if groups]
    each = [ways[order] for order in allowed]
    total = len(allowed) * _count(each[0])
    if total <= MOST_ORDERS:
        found = [(order, columns) for order, groups in zip(allowed, each, strict=True) for columns in _listed(groups)]
    else:
        chosen = generator.integers(len(allowed), size=draws)
        found = [(allowed[0], tuple(range(used.shape[1])))]
        found += [(allowed[place], _drawn(each[place], generator)) for place in chosen]
    rows, columns = (np.array(part) for part in zip(*found, strict=True))
    return Orders(rows, columns, total <= MOST_ORDERS)


Groups = list[tuple[list[int], list[int]]]  # places of columns of one pattern, and the columns that may stand there


def _column_orders(permuted: np.ndarray, used: np.ndarray) -> Groups:
    """Return which columns of permuted rows may stand where; nothing where no order of them has the cells in use."""
    places, members = _by_pattern(used), _by_pattern(permuted)
    if any(len(members.get(pattern, ())) != len(own) for pattern, own in places.items()):
        return []
    return [(own, members[pattern]) for pattern, own in places.items()]


def _by_pattern(matrix: np.ndarray) -> dict[int, list[int]]:
    """Return the columns of each pattern, which is read as a binary number."""
    found: dict[int, list[int]] = {}
    for place, pattern in enumerate((2 ** np.arange(len(matrix)) @ matrix).tolist()):
        found.setdefault(pattern, []).append(place)
    return found


def _count(groups: Groups) -> int:
    return math.prod(math.factorial(len(places)) for places, _ in groups)


def _listed(groups: Groups) -> Iterator[tuple[int, ...]]:
    for members in product(*(permutations(members) for _, members in groups)):
        yield _placed(groups, members)


def _drawn(groups: Groups, generator: np.random.Generator) -> tuple[int, ...]:
    return _placed(groups, [generator.permutation(members) for _, members in groups])


def _placed(groups: Groups, members: Sequence[Sequence[int]]) -> tuple[int, ...]:
    order = {
        place: int(column)
        for (places, _), columns in zip(groups, members, strict=True)
        for place, column in zip(places, columns, strict=True)
    }
    return tuple(order[place] for place in range(len(order)))


def remove_means(matrix: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return a matrix without means of rows and of columns over the cells that are used; 0 in the others."""
    rows, columns = np.nonzero(used)
    design = np.hstack([np.eye(len(used))[rows], np.eye(used.shape[1])[columns]])
    values = matrix[used]
    left = np.zeros(used.shape)
    left[used] = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
    return left


def standardise_matrix(matrix: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Return a matrix with mean 0 and standard deviation 1 over the cells that are used, 0 elsewhere.

    One whose cells are all alike is 0.
    """
    values = matrix[used]
    spread = values.std()
    scaled = np.zeros(used.shape)
    if spread > TOLERANCE * max(1.0, float(np.abs(values).max())):
        scaled[used] = (values - values.mean()) / spread
    return scaled


def count_degrees_of_freedom(used: np.ndarray) -> int:
    """Return the cells that are used less the means of rows and columns, and less one slope."""
    return int(used.sum()) - used.shape[0] - used.shape[1]


def estimate_relation(
    first: np.ndarray, second: np.ndarray, used: np.ndarray, over: Orders, level: float = 0.95
) -> Relation:
    """Return how the first matrix goes with the second, as they are; `remove_means` takes the means off.

    Parameters
    ----------
    first, second : array of shape (rows, columns)
    used : bool array of the same shape
    over : Orders
        That keep the cells that are used in place.
    level : float
        Of the interval.

    Raises
    ------
    StiltsError
        If the second does not vary over the cells that are used.
    """
    predictor = standardise_matrix(second, used)
    if not predictor.any():
        raise StiltsError("a matrix without any variation cannot be related to another")
    centred = np.where(used, first - first[used].mean(), 0.0)
    count = int(used.sum())
    permuted = over.applied(predictor)
    slopes = (permuted * centred).sum(axis=(1, 2)) / count
    own = (permuted * predictor).sum(axis=(1, 2)) / count
    slope, spread = float(slopes[0]), float(centred[used].std())
    p = float(np.mean(np.abs(slopes) >= abs(slope) - TOLERANCE * max(spread, 1.0)))
    low, high = _interval(slope, slopes, own, level)
    free = slopes - slope * own
    df = count_degrees_of_freedom(used)
    r = slope / spread if spread > 0 else 0.0
    return Relation(slope, low, high, p, float(free.std()), float(df), r=r, cells=count, orders=len(over))


def _interval(slope: float, slopes: np.ndarray, own: np.ndarray, level: float) -> tuple[float, float]:
    """Return the least and the greatest size that is not rejected; see the module's text."""
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(1 - own > TOLERANCE, (slope - slopes) / (1 - own), np.nan)
        second = np.where(1 + own > TOLERANCE, (slope + slopes) / (1 + own), np.nan)
    unbounded = np.isnan(first) | np.isnan(second)
    lower = np.sort(np.where(unbounded, -np.inf, np.minimum(first, second)))
    upper = np.sort(np.where(unbounded, np.inf, np.maximum(first, second)))[::-1]
    place = int(np.floor((1 - level) * len(slopes) + TOLERANCE))
    return float(lower[place]), float(upper[place])
