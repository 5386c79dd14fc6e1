"""Analysis of records: effects, verdicts, claims, languages and the five questions."""
