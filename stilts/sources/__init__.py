"""Where rows come from: the pocket benchmark, XTREME in the Hub's layout, and suites on disk."""
