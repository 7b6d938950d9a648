"""Run pytest with the test package of one version of Home Assistant on a newer one, for which there is none yet."""

import sys

# Before the test package: Home Assistant replaces some packages, which nobody may have imported until then.
from homeassistant.components import logger
from homeassistant.components.logger import helpers
import pytest

MOVED = {(logger, "_clear_logger_overwrites"): helpers}
"""Names that the test package imports from a module of Home Assistant that no longer has them, and their new place."""

for (module, name), source in MOVED.items():
    if not hasattr(module, name):
        setattr(module, name, getattr(source, name))

if __name__ == "__main__":
    # As a plugin, so that processes which run tests in parallel do the same.
    sys.exit(pytest.main(["-p", "scripts.newest_tests", *sys.argv[1:]]))
