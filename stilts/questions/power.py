"""Which effect a design could have seen: the power note of each test."""

import numpy as np
from scipy import optimize, stats

from stilts.errors import StiltsError

POWER = 0.8
QUANTILES = 2000


def detectable_effect(se: float, df: float, level: float = 0.95, tests: int = 1, power: float = POWER) -> float:
    """Return the smallest true effect that a two-sided t-test finds with so much power, in the unit of `se`.

    Assumes that the observed standard error is the true one, and that of
    several tests this one has to pass the strictest step of Holm's correction.

    Parameters
    ----------
    se, df : float
        Standard error of the estimate and degrees of freedom of its t reference.
    level : float
        One minus the size of the test.
    tests : int
        Tests that Holm's correction is for.

    Raises
    ------
    StiltsError
        If `se` is negative or `df` is not above zero.
    """
    if se < 0 or df <= 0:
        raise StiltsError(f"power: needs a standard error of 0 or more and degrees of freedom above 0, got {se}, {df}")
    critical = stats.t.isf((1 - level) / tests / 2, df)
    size = optimize.brentq(lambda size: achieved_power(size, df, critical) - power, 0, 2 * critical + 10)
    return float(size * se)


def achieved_power(size: float, df: float, critical: float) -> float:
    """Return the chance that |t| exceeds a critical value when the true effect is `size` standard errors.

    The normal distribution's chance, averaged over the quantiles of the estimated standard error: scipy's noncentral t
    has no value for some large sizes.
    """
    shares = (np.arange(QUANTILES) + 0.5) / QUANTILES
    bounds = critical * np.sqrt(stats.chi2.ppf(shares, df) / df)
    return float((stats.norm.sf(bounds - size) + stats.norm.cdf(-bounds - size)).mean())
