"""Notebooks as templates, executed by papermill."""
