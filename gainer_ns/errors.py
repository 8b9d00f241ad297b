"""What a user can get wrong, said in one line."""

import pickle

LOAD_ERRORS = (
    RuntimeError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    pickle.UnpicklingError,
)
"""What loading raises where a checkpoint is whole, but is none, or fits another model."""


class GainerError(ValueError, SystemExit):
    """A mistake that the user can mend.

    To a caller of the library it is a ``ValueError``. Where nobody catches it, Python treats it as the ``SystemExit``
    that it also is: the one line goes to standard error, without a traceback, and the exit status is 1. That holds
    inside nerfstudio's own commands too, which know nothing of this package.

    Args:
        message: One line that names the thing, what is wrong with it, and the remedy.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = message


class Unavailable(GainerError):
    """Something that this machine does not have, such as a GPU: said in one line, and no mistake of the user's."""
