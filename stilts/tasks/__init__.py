"""What a task is: the registry, formats with their heads, metrics and neighbours."""
