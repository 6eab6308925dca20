"""Pictures of the page, to look at: python scripts/screenshots.py STORE --run RUN --output FOLDER

Every page at 1280 and 360 pixels, light and dark, of the user with the most held-out choices; `--docs` writes the four
of docs/pictures instead. Needs Chromium and playwright (the `test` extra).
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from PIL import Image  # noqa: E402
from support.browser import chromium, opened, studio  # noqa: E402

from plus.studio.studio import Studio, open_profiles  # noqa: E402

SIZES = {"wide": {"width": 1280, "height": 900}, "narrow": {"width": 360, "height": 800}}
# Of the documentation: name -> (page, size, scheme, what is opened).
DOCS = {
    "person": ("person", "wide", "light", ""), "why": ("person", "narrow", "dark", "#why-s1"),
    "effect": ("person", "wide", "dark", "#edit-s1"), "run": ("run", "wide", "light", ""),
}  # fmt: skip
WORDS = "Agreed: Everyone should pay the same rate."


def pages(store: Path, run: Path, user: str | None) -> dict[str, str]:
    """Name -> path of each page."""
    studio = Studio(open_profiles(store), (run,))
    people = studio.profiles.store
    names = [user] if user else list(people.users())
    number = people.user(max(names, key=lambda name: len(people.events(name, held_out=True)))).number
    name = next(iter(studio.folders()))
    one = f"/u/{number}"
    return {
        "users": "/users", "person": one, "why": f"{one}/why/s1", "edit": f"{one}/edit/s1",
        "remove": f"{one}/remove/s1", "history": f"{one}/history", "leaves": f"{one}/leaves",
        "choose": f"{one}/choose", "data": f"{one}/data", "forget": f"{one}/forget", "runs": "/runs",
        "run": f"/runs/{name}", "people": f"/runs/{name}/people", "store": "/store", "refused": "/nowhere",
    }  # fmt: skip


def settled(window, path: str, opens: str = "") -> None:
    """Go to a page, and wait until worth and what is opened are there."""
    window.goto(window.start + path)
    window.wait_for_load_state("networkidle")
    if window.locator("#worth-note").count():
        window.locator("#worth-note > p").wait_for()
    if opens:
        window.locator(opens).click()
        window.wait_for_load_state("networkidle")
    if opens.startswith("#edit"):
        window.locator("#words-s1").fill(WORDS)
        window.locator("#open-s1 .buttons .plain").first.click()
        window.locator("#effect-s1 h3").wait_for()


def save(window, path: Path, full: bool) -> None:
    """Write a picture with 256 colours, which is a third of the bytes."""
    picture = Image.open(io.BytesIO(window.screenshot(full_page=full))).convert("RGB")
    picture.quantize(256, kmeans=1, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path} {path.stat().st_size // 1024} KiB")


def main() -> None:
    """Write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "pictures")
    parser.add_argument("--user")
    parser.add_argument("--docs", action="store_true")
    asked = parser.parse_args()
    paths = pages(asked.store, asked.run, asked.user)
    asked.output.mkdir(parents=True, exist_ok=True)
    with studio("--store", asked.store, "--run", asked.run) as address, chromium() as browser:
        if asked.docs:
            for name, (page, size, scheme, opens) in DOCS.items():
                window = opened(browser, address, viewport=SIZES[size], color_scheme=scheme)
                settled(window, paths[page], opens)
                save(window, asked.output / f"{name}.png", full=False)
            return
        for size, viewport in SIZES.items():
            for scheme in ("light", "dark"):
                window = opened(browser, address, viewport=viewport, color_scheme=scheme)
                for name, path in paths.items():
                    settled(window, path)
                    save(window, asked.output / f"{name}-{size}-{scheme}.png", full=True)


if __name__ == "__main__":
    main()
