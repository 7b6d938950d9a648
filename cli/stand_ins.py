"""Stand-ins for ids, names, serial numbers and e-mails."""

from custom_components.mtec.portal.redaction import Redactor
from custom_components.mtec.sources import AuthenticationError, SourceError


class StandIns:
    """Hides ids, names, serial numbers and e-mails: the same one always gets the same stand-in.

    Nothing is hidden unless `hide` is true.
    """

    def __init__(self, *, hide: bool) -> None:
        self.hide = hide
        self._redactor = Redactor()

    def add(self, stand_in: str, *secrets: str) -> None:
        """Show `stand_in` instead of each of these."""
        for secret in secrets:
            self._redactor.learn(secret, stand_in)

    def shown(self, text: str) -> str:
        """Return an id, name, serial number or e-mail as it is shown."""
        return self._redactor.known(text) or "hidden" if self.hide else text

    def model(self, model: str | None) -> str | None:
        """Return the name of an inverter's model as it is shown."""
        return self._redactor.redact_model_name(model) if self.hide else model

    def message(self, text: str) -> str:
        """Return a text of the portal as it is shown."""
        return self._redactor.redact_text(text) if self.hide else text


def sentence(error: SourceError, stand_ins: StandIns) -> str:
    """Return an error of the portal as a sentence without secrets."""
    if isinstance(error, AuthenticationError):
        return "The portal does not accept this e-mail and password."
    return f"{stand_ins.message(str(error)).rstrip('.')}."
