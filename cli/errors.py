"""Errors of the command line."""


class MisuseError(Exception):
    """A command line that makes no sense. The text is shown to the person."""
