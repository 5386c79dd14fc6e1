"""The pocket benchmark, built from packages that the index ships."""
