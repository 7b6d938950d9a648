"""Errors of the command line."""


class MisuseError(Exception):
    """A command line that makes no sense. The text is shown to the person."""


class MissingPackageError(Exception):
    """A package that only some commands need is not installed. The text is a sentence for the person."""
