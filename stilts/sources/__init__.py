"""Sources of data: the pocket benchmark, XTREME in the Hub's layout, and suites on disk."""
