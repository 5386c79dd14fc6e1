"""The process of a notebook's kernel: `python -m`, with the arguments of IPython's, or a fork of `kernel_server`."""

import os
import sys
from collections.abc import Sequence


def run_kernel(arguments: Sequence[str]) -> None:
    """Be the kernel until its client ends it; never returns."""
    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize(list(arguments))
    app.start()
    # By now the client has every output. At the interpreter's exit one thread closes streams and sockets that others
    # still use: now and then a kernel then ends with a traceback or an assertion of ZMQ, though its work is done.
    os._exit(0)


if __name__ == "__main__":
    run_kernel(sys.argv[1:])
