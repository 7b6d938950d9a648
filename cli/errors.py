"""Errors of the command line."""


class MisuseError(Exception):
    """A command line that makes no sense. The text is shown to the person."""


class IncompleteError(Exception):
    """Usage that is written without what the portal did not give. The person has been told what that is."""


class MissingPackageError(Exception):
    """A package that only some commands need is not installed. The text is a sentence for the person."""


class PublishingError(Exception):
    """A broker of MQTT that cannot be reached, or does not take a message. The text is a sentence for the person."""
