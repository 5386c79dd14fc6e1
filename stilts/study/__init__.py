"""Studies and their results: settings, runs, plans, records, and safe file writing."""
