"""Takes the README's picture of a report: `python docs/take_picture.py runs/latest/report.html -o docs/report.jpg`.

Needs Chromium and the development packages. Only of a run on synthetic flowers: other people's photographs do not belong in the
project.
"""

import argparse
import io
import pathlib
import shutil

from PIL import Image
from playwright.sync_api import sync_playwright

WIDTH, HEIGHT = 1180, 1500


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("report", type=pathlib.Path, help="the page")
    parser.add_argument("-o", "--output", required=True, help="the JPEG to write")
    arguments = parser.parse_args()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--disable-gpu"])
        tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        tab.goto(arguments.report.resolve().as_uri())
        picture = Image.open(io.BytesIO(tab.screenshot())).convert("RGB")
        browser.close()
    picture.save(arguments.output, quality=85, optimize=True, progressive=True)


if __name__ == "__main__":
    main()
