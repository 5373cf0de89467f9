"""The console script, and `python -m hepbench`."""

from __future__ import annotations

import gc
import os
import signal
from typing import Any

INTERRUPTED = 130  # exit status


def main() -> None:
    """Run the command line. An interrupt while Python still imports it ends it without a traceback."""
    gc.set_threshold(10_000)  # imports make hundreds of thousands of objects, and hardly any garbage
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # else it is ignored, as for a command in the background
        signal.signal(signal.SIGINT, _end)
    from hepbench.suite.cli import main

    signal.signal(signal.SIGINT, before)
    main()


def _end(*_: Any) -> None:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
