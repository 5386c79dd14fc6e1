"""XTREME, XTREME-R's additions and the paper's intermediate tasks, from a folder with copies of Hub repositories."""

from stilts.sources.xtreme.source import Suite

__all__ = ["Suite"]
