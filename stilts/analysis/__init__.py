"""What records say: effects, verdicts, claims, languages and the five questions."""
