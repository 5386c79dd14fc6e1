"""Facts about languages, and their measurement."""
