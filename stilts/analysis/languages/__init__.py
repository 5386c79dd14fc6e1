"""Facts about languages, and how they were measured."""
