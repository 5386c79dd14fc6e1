"""What is asked and what was answered: settings, runs, plans, records, and files written whole."""
