"""Where real rows of the benchmark stand, if they do; tests that need them skip elsewhere."""

import os
from pathlib import Path

import pytest

MIRROR = Path(os.environ.get("STILTS_MIRROR", Path(__file__).parents[2] / "shared" / "mirror"))
NONE_HERE = "no mirror of the benchmark stands here (STILTS_MIRROR or ../shared/mirror)"

needs_mirror = pytest.mark.skipif(not MIRROR.is_dir(), reason=NONE_HERE)
