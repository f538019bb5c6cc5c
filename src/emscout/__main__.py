"""``python -m emscout``, and the command ``emscout``."""

import os
import signal
import sys
from types import FrameType

__all__ = ["main"]


def main() -> None:
    """Run the command line, which takes a second to load; Ctrl+C ends it tidily, and at once when given again."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        from emscout.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("emscout: interrupted.\n")
        sys.exit(130)


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
