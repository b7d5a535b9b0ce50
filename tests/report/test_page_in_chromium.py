"""The page as people get it: opened from disk in a browser."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from headless import Chromium, find_chromium
from page_factory import COLOURS_RGB, make_page
from test_page import HOSTILE

from being_remote.report.page import html

SHOWN = """[...document.querySelectorAll('#viewer figure')]
    .flatMap((f, i) => getComputedStyle(f).display === 'none' ? [] : [i])"""
PIXEL = """(async () => {
    const image = [...document.querySelectorAll('#viewer img')].find((i) => i.offsetWidth > 0);
    await image.decode();
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 1;
    canvas.getContext('2d').drawImage(image, 0, 0, 1, 1);
    return [...canvas.getContext('2d').getImageData(0, 0, 1, 1).data].slice(0, 3);
})()"""


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release()["ID"] == "debian"
    except OSError:
        return False


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = find_chromium()
    if program is None:
        missing = "no Chromium here: `sh .ci/system tests` installs Debian's"
        if os.geteuid() == 0 and _is_debian():
            pytest.fail(missing)
        pytest.skip(missing)
    browser = Chromium(program, tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def open_page(
    chromium: Chromium, folder: Path, data: bytes | None = None, *, scripts: bool = True
) -> Chromium:
    path = folder / "a page's name #1 %41?.html"
    path.write_bytes(html(make_page()) if data is None else data)
    chromium.open(path.as_uri(), scripts=scripts)
    chromium.look()
    return chromium


@pytest.mark.slow
def test_it_opens_from_disk_without_a_complaint_and_asks_for_nothing_else(
    chromium: Chromium, tmp_path: Path
) -> None:
    page = open_page(chromium, tmp_path)
    page.screenshot()
    assert page.complaints() == []
    assert [Path(url).suffix for url in page.requests()] == [".html"]
    assert page.run("document.title") == "roman · recovered cameras"
    assert page.run("[...document.images].every((i) => i.complete && i.naturalWidth > 0)")
    assert page.run("getComputedStyle(document.body).margin") == "0px"  # the style is in force


def test_the_policy_stops_what_is_not_the_pages_own(chromium: Chromium, tmp_path: Path) -> None:
    # Also shows that the checks above can fail.
    foreign = b"""<img src="http://127.0.0.1:9/x.png"><script>window.pwned = 1</script>
        <style>body { margin: 99px }</style><b onclick="window.pwned = 1">x</b>
        <script>fetch("http://127.0.0.1:9/")</script></main>"""
    page = open_page(chromium, tmp_path, html(make_page()).replace(b"</main>", foreign))
    page.run("document.querySelector('b').click()")
    assert len(page.complaints()) >= 4
    assert page.run("typeof window.pwned") == "undefined"
    assert page.run("getComputedStyle(document.body).margin") == "0px"
    refused = [e["params"] for e in page.events if e["method"] == "Network.loadingFailed"]
    assert refused and all(r.get("blockedReason") == "csp" for r in refused)
    assert page.run("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"
    assert any("connect-src" in c or "default-src" in c for c in page.complaints())


def test_the_slider_changes_picture_and_text_by_key_and_by_button(chromium: Chromium, tmp_path: Path) -> None:
    page = open_page(chromium, tmp_path)
    assert page.run(SHOWN) == [0]
    assert page.run(PIXEL) == pytest.approx(COLOURS_RGB[0], abs=4)
    assert page.run("document.getElementById('position').value") == "roman 0 · 1 of 3"
    page.press("Tab", 9)
    assert page.run("document.activeElement.id") == "slider"
    page.press("ArrowRight", 39)
    assert page.run(SHOWN) == [1]
    assert page.run(PIXEL) == pytest.approx(COLOURS_RGB[1], abs=4)
    assert page.run("document.getElementById('position').value") == "roman 1 · 2 of 3"
    assert page.run("document.getElementById('slider').getAttribute('aria-valuetext')") == "roman 1 · 2 of 3"
    page.run("document.getElementById('later').click()")
    assert page.run(SHOWN) == [2] and page.run("document.getElementById('later').disabled")
    page.run("document.getElementById('earlier').click()")
    assert page.run(SHOWN) == [1]
    assert "roman picture 1" in page.run("document.querySelector('#viewer').innerText")
    assert "roman picture 2" not in page.run("document.querySelector('#viewer').innerText")


def test_a_number_is_copied_or_else_left_selected(chromium: Chromium, tmp_path: Path) -> None:
    page = open_page(chromium, tmp_path)
    first = "document.querySelector('.copyables code').textContent"
    click = "(document.querySelector('button.copy').click(), new Promise((done) => setTimeout(done)))"
    said = "document.querySelector('.said').textContent"
    clipboard = "Object.defineProperty(navigator, 'clipboard', {value: %s, configurable: true}), 0"
    page.run(clipboard % "{writeText: async (t) => window.got = t}")
    page.run(click)
    assert page.run("window.got") == page.run(first) and page.run(said) == "Copied"
    page.run(clipboard % "undefined")
    page.run("document.execCommand = () => false, 0")
    page.run(click)
    assert page.run("getSelection().toString()") == page.run(first)
    assert page.run(said).startswith("Selected")
    assert page.complaints() == []


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_stay_text(chromium: Chromium, tmp_path: Path, name: str) -> None:
    plain = open_page(chromium, tmp_path).run("document.querySelectorAll('*').length")
    page = open_page(chromium, tmp_path, html(make_page(name)))
    page.run("document.getElementById('later').click()")
    assert page.run("typeof window.pwned") == "undefined"
    assert page.run("document.querySelectorAll('*').length") == plain
    assert page.run("document.querySelector('h1').innerText") == " ".join(name.split())
    assert page.run("document.getElementById('position').value") == f"{name} 1 · 2 of 3"
    assert page.complaints() == [] and len(page.requests()) == 1


def test_a_name_that_runs_from_right_to_left_leaves_its_neighbours_alone(
    chromium: Chromium, tmp_path: Path
) -> None:
    page = open_page(chromium, tmp_path, html(make_page("\u202eevil שלום")))
    assert page.run("document.querySelector('h1').textContent") == "\\u202eevil שלום"
    assert page.run("getComputedStyle(document.querySelector('h1 bdi')).unicodeBidi") == "isolate"


def luminance(rgb: str) -> float:
    """Of a computed CSS colour (WCAG 2.2)."""
    values = np.array([float(v) for v in re.findall(r"[\d.]+", rgb)[:3]]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def test_light_and_dark_are_different_and_readable(chromium: Chromium, tmp_path: Path) -> None:
    corners = {}
    for scheme in ("light", "dark"):
        page = open_page(chromium, tmp_path)
        page.look(scheme=scheme)
        picture = cv2.imdecode(np.frombuffer(page.screenshot(whole=False), np.uint8), cv2.IMREAD_GRAYSCALE)
        corners[scheme] = int(picture[2, 2])
        colour = "getComputedStyle(document.querySelector('{}')).{}"
        paper = luminance(page.run(colour.format("body", "backgroundColor")))
        wash = luminance(page.run(colour.format(".warnings", "backgroundColor")))
        for selector, behind in [
            *((name, paper) for name in ("h1", ".eyebrow", ".quiet", "figcaption")),
            (".warnings h2", wash),
        ]:
            text = luminance(page.run(colour.format(selector, "color")))
            contrast = (max(text, behind) + 0.05) / (min(text, behind) + 0.05)
            assert contrast >= 4.5, (scheme, selector, contrast)
    assert corners["light"] > 230 and corners["dark"] < 40


def test_without_javascript_every_frame_is_there_and_no_dead_button(
    chromium: Chromium, tmp_path: Path
) -> None:
    page = open_page(chromium, tmp_path, scripts=False)
    # Asking the page needs its scripts; what was parsed without them stays as it is.
    page.ask("Emulation.setScriptExecutionDisabled", value=False)
    assert page.run(SHOWN) == [0, 1, 2]
    assert page.run(
        "[...document.querySelectorAll('button, #slider, .names')].every((e) => e.offsetWidth === 0)"
    )
    assert page.run("getComputedStyle(document.querySelector('.copyables code')).userSelect") == "all"


def test_on_paper_every_frame_and_row_is_there_and_nothing_to_press(
    chromium: Chromium, tmp_path: Path
) -> None:
    page = open_page(chromium, tmp_path)
    assert page.pdf().startswith(b"%PDF-")
    page.look(medium="print", scheme="dark")
    assert page.run(SHOWN) == [0, 1, 2]
    assert page.run("[...document.querySelectorAll('button, #slider')].every((e) => e.offsetWidth === 0)")
    assert page.run("getComputedStyle(document.querySelector('.scroll')).overflow") == "visible"
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_runs_out_of_the_window_whatever_its_names(
    chromium: Chromium, tmp_path: Path, width: int
) -> None:
    page = open_page(chromium, tmp_path, html(make_page("x" * 300)))
    page.look(width=width, mobile=width < 1000)
    assert page.run("document.documentElement.scrollWidth") <= width
