"""Errors of the command line."""


class MisuseError(Exception):
    """A command line that makes no sense. The text is shown to the person."""


class IncompleteError(Exception):
    """Usage that is written without what the portal did not give. The person has been told what that is."""
