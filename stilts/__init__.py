"""English intermediate-task training for zero-shot cross-lingual transfer: the code behind the study's notebooks."""

__version__ = "0.1.0"
