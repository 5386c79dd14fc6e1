"""A checkout and its plan: paths, locks, resolution, scheduling, forecasts, fetching."""
