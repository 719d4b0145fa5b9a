"""python -m maskgan_lib: the course, the faces, the data set, training, evaluation and speed from the command line."""

import sys
import warnings

from maskgan_lib.commands import parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code (0 well, 1 a problem that one sentence explains, 130 interrupted)."""
    options = parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_: print(f"note: {message}", file=sys.stderr)
            return options.run(options) or 0
    except ModuleNotFoundError as error:
        if not error.name or error.name.startswith("maskgan_lib"):
            raise
        remedy = "use .venv/bin/python, which make sets up"
        print(f"error: {sys.executable} has no {error.name}: {remedy}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"\n{interrupt}" if str(interrupt) else "\ninterrupted", file=sys.stderr)
        return 130
    except OSError as error:
        if not error.filename:
            raise
        print(f"error: {error.filename} cannot be used ({error.strerror}): choose another place.", file=sys.stderr)
        return 1
    except Exception as error:
        if not _is_explained(error):
            raise
        print(f"error: {error}", file=sys.stderr)
        return 1


def _is_explained(error: Exception) -> bool:
    """Whether the message is meant for a user: the library's own errors, each one clear sentence."""
    from maskgan_lib.checkpoints import CheckpointError
    from maskgan_lib.course import CourseError
    from maskgan_lib.data.packed import DataError
    from maskgan_lib.training.stage import TrainingError

    return isinstance(error, (CheckpointError, CourseError, DataError, TrainingError))


if __name__ == "__main__":
    sys.exit(main())
