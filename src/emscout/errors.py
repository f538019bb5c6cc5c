"""The exception tree.

Every message is one sentence (or two) a microscopist understands: which file,
what is wrong, what to do. The command line prints the message without a
traceback. An option is named by its field, in backticks (`min_diameter`,
`split=False`); each interface spells it in its own way (see `spell_options`).

::

    EmscoutError
    ├── UsageError            the call itself is wrong: an option, a missing path (exit code 2)
    ├── ReadError             a file cannot be read as a micrograph
    │   ├── NonSquarePixelsError   rows and columns have different pixel sizes
    │   └── NotOneImageError       the file is a stack where one image is needed
    ├── CalibrationError      a pixel size is given but makes no sense
    ├── ModelError            a model file is missing, damaged or foreign
    ├── NothingToFindError    the image holds nothing to segment (constant, all NaN)
    └── OutputError           results cannot be written where asked
"""

import re
from collections.abc import Callable

__all__ = [
    "CalibrationError",
    "EmscoutError",
    "ModelError",
    "NonSquarePixelsError",
    "NotOneImageError",
    "NothingToFindError",
    "OutputError",
    "ReadError",
    "UsageError",
    "spell_options",
    "user_message",
]


class EmscoutError(Exception):
    """Base class of the errors that emscout raises on purpose."""


class UsageError(EmscoutError):
    """The call is wrong: an unknown option value, a path that does not exist."""


class ReadError(EmscoutError):
    """A file cannot be read as a micrograph."""


class NonSquarePixelsError(ReadError):
    """Rows and columns have different pixel sizes and no resampling was requested."""


class NotOneImageError(ReadError):
    """A stack was given where one image is needed."""


class CalibrationError(EmscoutError):
    """A pixel size that is not a finite positive length."""


class ModelError(EmscoutError):
    """A model that is damaged, or is not one of emscout's."""


class NothingToFindError(EmscoutError):
    """The image has no contrast at all: constant, or not a single finite pixel."""


class OutputError(EmscoutError):
    """Results cannot be written to the given folder."""


def user_message(error: Exception, what: object) -> str:
    """What went wrong with one of many, in a sentence.

    Parameters
    ----------
    error : Exception
        One of emscout's own has the sentence already; of others the user learns what to do, or that it is an error in
        emscout.
    what : object
        The path, or the name, of what was being worked on.
    """
    if isinstance(error, EmscoutError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"This computer ran out of memory while working on {what}."
    if isinstance(error, OSError) and error.strerror:
        return f"{what} cannot be read or written ({error.strerror})."
    return f"{what} caused an internal error in emscout ({type(error).__name__}: {error}); please report it."


def spell_options(message: str, spell: Callable[[str, str], str]) -> str:
    """A message with the options in it spelled in another way.

    Parameters
    ----------
    message : str
        Names options by field, in backticks: `` `min_diameter` `` or, with a value, `` `trust=bar` ``.
    spell : callable
        ``spell(field, value)`` gives what to write instead; ``value`` is empty where there is none.

    Examples
    --------
    >>> spell_options("Give `pixel_size` or `trust=bar`.", lambda field, value: f"--{field} {value}".strip())
    'Give --pixel_size or --trust bar.'
    """
    return re.sub(r"`([a-z_]+)(?:=([^`]*))?`", lambda match: spell(match[1], match[2] or ""), message)
