"""The files of the repository, and the versions of Home Assistant that it names."""

from pathlib import Path
import re

from custom_components.mtec.const import DOMAIN

CHECKOUT = Path(__file__).parent.parent
MTEC = CHECKOUT / "custom_components" / DOMAIN
VERSIONS = dict(
    re.findall(r"^(\w+)=(\S+)$", (CHECKOUT / "scripts" / "versions").read_text(encoding="utf-8"), re.MULTILINE)
)
