"""Time and memory of mining: every sentence of one side is compared with every one of the other.

    python benchmarks/mining.py --sentences 50000 --hidden 384

It prints the CPU time of the search, what it needs beside the vectors, and what that makes for BUCC's largest language,
whose time grows with the product of both sides and whose memory with their vectors alone. One core of an Intel Xeon
took 90 CPU seconds, and 158 MB beside the vectors.
"""

import argparse
import resource
import time

import numpy as np

from stilts.sources.xtreme.official import BUCC_SENTENCES
from stilts.tasks.neighbours import mine


def main() -> None:
    """Mine pairs among vectors of which each has a noisy copy on the other side."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sentences", type=int, default=50_000, help="of each side")
    parser.add_argument("--hidden", type=int, default=384, help="dimensions of a vector")
    options = parser.parse_args()
    draw = np.random.default_rng(0)
    source = draw.standard_normal((options.sentences, options.hidden), dtype=np.float32)
    target = source + draw.standard_normal(source.shape, dtype=np.float32)
    before, start = peak_mb(), time.process_time()
    found = mine(source, target)
    seconds = time.process_time() - start
    right = sum(pair.source == pair.target for pair in found)
    print(f"{options.sentences:,} x {options.sentences:,} vectors of {options.hidden} dimensions: {seconds:.0f} CPU "
          f"seconds, {peak_mb() - before:.0f} MB beside the vectors; {right:,} pairs found")  # fmt: skip
    language = max(BUCC_SENTENCES, key=BUCC_SENTENCES.__getitem__)
    sides = BUCC_SENTENCES[language] / 2
    print(f"BUCC, {language}: {BUCC_SENTENCES[language]:,} sentences, so about "
          f"{seconds * (sides / options.sentences) ** 2 / 3600:.1f} CPU hours with as many dimensions")  # fmt: skip


def peak_mb() -> float:
    """Return the peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


if __name__ == "__main__":
    main()
