"""Prints the requirements of integrations that ours needs, as the installed Home Assistant pins them."""

import json
from pathlib import Path

import homeassistant.components

_OURS = Path(__file__).parent.parent / "custom_components" / "mtec" / "manifest.json"
_OF_OTHERS = ("hassio",)
"""Integrations that the dialog of MQTT imports. The test package may bring what another month of them needs."""
_CORE = Path(homeassistant.components.__file__).parent


def _manifest(path: Path) -> dict[str, list[str]]:
    manifest: dict[str, list[str]] = json.loads(path.read_text())
    return manifest


if __name__ == "__main__":
    ours = _manifest(_OURS)
    for domain in (*ours.get("dependencies", ()), *ours.get("after_dependencies", ()), *_OF_OTHERS):
        for requirement in _manifest(_CORE / domain / "manifest.json").get("requirements", ()):
            print(requirement)
