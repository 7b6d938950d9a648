"""Start the command line."""

from pathlib import Path
import sys
from types import ModuleType

# The integration's own __init__ needs Home Assistant. This stands in for it, so that its modules can be imported alone.
_package = ModuleType("custom_components.mtec")
_package.__path__ = [str(Path(__file__).parent.parent / "custom_components" / "mtec")]
sys.modules[_package.__name__] = _package

from .app import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
