"""Settings of all tests."""

import os

from hypothesis import settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two test processes share two cores
os.environ["HF_HUB_OFFLINE"] = "1"  # no test asks the network, so that none depends on it
os.environ["MPLBACKEND"] = "agg"

settings.register_profile("any-machine", deadline=None)  # a busy machine must not fail a test that is right
settings.load_profile("any-machine")
