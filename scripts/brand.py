"""Renders the drawings in docs/brand into the images of the integration, for light and for dark backgrounds."""

import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import tempfile

from PIL import Image

CHECKOUT = Path(__file__).parent.parent
SOURCES = CHECKOUT / "docs" / "brand"
TARGET = CHECKOUT / "custom_components" / "mtec" / "brand"

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SHORT_SIDES = {"icon": 256, "logo": 128}
"""Pixels of the shorter side; an @2x image has twice as many."""
DARK = {"#24405a": "#c9d8e6", "#1b7fc4": "#3fa0e6"}
"""Colours that replace others on a dark background."""
OVERSAMPLING = 4


def _render(svg: str, scale: float) -> Image.Image:
    """Return a drawing as an image, trimmed."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"None of {', '.join(BROWSERS)} is installed")
    width, height = (float(number) * scale for number in re.findall(r'viewBox="0 0 (\d+) (\d+)"', svg)[0])
    with tempfile.TemporaryDirectory() as folder:
        page, picture = Path(folder, "page.html"), Path(folder, "picture.png")
        svg = svg.replace("<svg ", f'<svg width="{width}" height="{height}" style="display:block" ', 1)
        page.write_text(f'<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">{svg}</body>', encoding="utf-8")
        subprocess.run(  # noqa: S603
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                "--default-background-color=00000000",
                f"--user-data-dir={folder}/profile",
                f"--window-size={round(width)},{round(height)}",
                f"--screenshot={picture}",
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
            env={**os.environ, "HOME": folder},
        )
        image = Image.open(picture).convert("RGBA")
    return image.crop(image.getbbox())


def _fitted(image: Image.Image, name: str, short_side: int) -> Image.Image:
    """Return an image with this short side; an icon is square."""
    if name == "icon":
        side = max(image.size)
        square = Image.new("RGBA", (side, side))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    factor = short_side / min(image.size)
    return image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)


def main() -> None:
    """Render all images."""
    TARGET.mkdir(exist_ok=True)
    for name, short_side in SHORT_SIDES.items():
        light = (SOURCES / f"{name}.svg").read_text(encoding="utf-8")
        dark = light
        for colour, other in DARK.items():
            dark = dark.replace(colour, other)
        for prefix, svg in (("", light), ("dark_", dark)):
            image = _render(svg, OVERSAMPLING)
            for suffix, factor in (("", 1), ("@2x", 2)):
                path = TARGET / f"{prefix}{name}{suffix}.png"
                fitted = _fitted(image, name, short_side * factor)
                # Few colours are enough, and make a small file.
                fitted.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)
                print(f"{path.relative_to(CHECKOUT)}: {fitted.width} x {fitted.height}, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
