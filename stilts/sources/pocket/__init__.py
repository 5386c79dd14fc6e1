"""The pocket benchmark, built from packages on the Python Package Index."""
