"""Makes the README's pictures of the dashboard: `uv run --with pillow tests/web/screenshots.py`."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))

from live_market import LiveMarket, Look, browsing, done
from servers import ValkeyServer, broker_type, running

FOLDER = Path(__file__).parents[2] / "deploy" / "screenshots"
PICTURES = {
    "desk": (1600, 900, "dark"),
    "laptop": (1024, 768, "light"),
    "phone": (390, 844, "dark"),
}
LENGTH_S = 120.0
SEEN_MS = 22_000
"""How long after the first EXTREME: then charts have something to show."""


def main() -> None:
    """Play a market until a cascade is under way, and take the pictures."""
    FOLDER.mkdir(exist_ok=True)
    with running(broker_type()()) as broker, running(ValkeyServer()) as valkey, browsing() as browser:
        market = LiveMarket(broker.bootstrap, valkey.url, LENGTH_S)
        try:
            done(market.worker.until_ready())
            market.start()
            looks = {}
            for name, (width, height, theme) in PICTURES.items():
                size = {"width": width, "height": height}
                looks[name] = Look(browser.new_page(viewport=size, color_scheme=theme))
                looks[name].page.goto(f"{market.url}#BTCUSDT")
            looks["desk"].until("document.title.includes('◆')")
            looks["desk"].page.wait_for_timeout(SEEN_MS)
            for name, look in looks.items():
                save(look.page.screenshot(), FOLDER / f"{name}.png")
        finally:
            market.close()


def save(picture: bytes, path: Path) -> None:
    """Save a picture in 256 colours: half the bytes."""
    Image.open(BytesIO(picture)).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(
        path, optimize=True
    )


if __name__ == "__main__":
    main()
