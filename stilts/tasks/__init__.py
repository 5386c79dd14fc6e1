"""Tasks: the registry, formats with their heads, metrics and vector search."""
