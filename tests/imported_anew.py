"""The integration, imported anew for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
import sys

from homeassistant.config_entries import HANDLERS

from custom_components.mtec.const import DOMAIN

_PACKAGE = f"custom_components.{DOMAIN}"


def _forget() -> None:
    for name in [name for name in sys.modules if name.startswith(_PACKAGE)]:
        del sys.modules[name]


@contextmanager
def not_yet_imported() -> Iterator[None]:
    """Let the integration be imported anew, and put its modules and its dialogs back afterwards.

    The new ones would stay for the tests that follow, which know only the old modules.
    """
    before = {name: module for name, module in sys.modules.items() if name.startswith(_PACKAGE)}
    dialog = HANDLERS.get(DOMAIN)
    _forget()
    try:
        yield
    finally:
        _forget()
        sys.modules.update(before)
        vars(sys.modules["custom_components"])[DOMAIN] = before[_PACKAGE]
        if dialog is None:
            HANDLERS.pop(DOMAIN, None)
        else:
            HANDLERS[DOMAIN] = dialog
