"""Output of the study: figures, pages, the site, leaderboard submissions, exported models."""
