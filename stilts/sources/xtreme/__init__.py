"""XTREME, XTREME-R's additions and the paper's intermediate tasks, from a folder with copies of Hub repositories."""

from stilts.sources.xtreme.source import NOT_FETCHED, Suite, describe_missing_data

__all__ = ["NOT_FETCHED", "Suite", "describe_missing_data"]
