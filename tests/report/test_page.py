"""The page is one file of plain text and pictures, whatever it is handed."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from page_factory import K_CROP, make_page

from being_remote.report.page import Column, Page, PagePicture, Table, html
from being_remote.report.page.values import MAX_ROWS
from being_remote.report.pictures import jpeg

HOSTILE = (
    "<script>window.pwned=1</script>",
    '"><img src=x onerror="window.pwned=1">',
    "</script><script>window.pwned=1</script>",
    "</style></title></code></bdi><b>bold</b>",
    "]]><!-- --!> <![CDATA[",
    "' onmouseover='window.pwned=1",
    "{{ page.crop }} {% raw %} &lt;b&gt; &#60;",
)


class Tags(HTMLParser):
    """What a browser would make of a page: its tags with their attributes, and its text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[str, ...]]] = []
        self.text = ""
        self.codes: list[str] = []
        self._in_code = False
        self.feed(page.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(name for name, _ in attrs)))
        if tag == "code":
            self.codes.append("")
        self._in_code = tag == "code"

    def handle_endtag(self, tag: str) -> None:
        self._in_code = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._in_code:
            self.codes[-1] += data


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_adds_no_tag_and_no_attribute_and_is_shown_as_it_is(name: str) -> None:
    plain, hostile = Tags(html(make_page())), Tags(html(make_page(name)))
    assert hostile.tags == plain.tags
    assert hostile.text.count(name) >= 20


def test_what_cannot_be_seen_or_turns_text_round_is_written_out() -> None:
    text = Tags(html(make_page("a\x00b\x1b[31m\u202egnp.\u2066\udce9\n\ud800z"))).text
    assert "a\\x00b\\x1b[31m\\u202egnp.\\u2066\\xe9\\n\\ud800z" in text
    assert "שלום عمر 你好 café" in Tags(html(make_page("שלום عمر 你好 café"))).text


def test_the_policy_allows_the_pages_own_style_and_script_and_nothing_else() -> None:
    page = html(make_page(HOSTILE[0])).decode()
    (policy,) = re.findall(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)
    parts = [re.findall(f"<{kind}>(.*?)</{kind}>", page, re.S) for kind in ("style", "script")]
    hashes = [base64.b64encode(hashlib.sha256(part.encode()).digest()).decode() for (part,) in parts]
    assert policy.replace("&#39;", "'") == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{hashes[0]}'; script-src 'sha256-{hashes[1]}';"
        " base-uri 'none'; form-action 'none'"
    )
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_the_page_names_no_address_and_stays_small_beside_its_pictures() -> None:
    page = html(make_page(frames=24))
    assert not re.search(rb"(?:https?:)?//[a-z0-9]", re.sub(rb"base64,[^\"]*", b"", page))
    pictures = sum(len(f.picture) for f in make_page(frames=24).frames)
    assert len(page) < 40_000 + 1.4 * pictures


def test_the_same_page_gives_the_same_bytes() -> None:
    assert html(make_page()) == html(make_page())


def test_numbers_to_copy_are_exact() -> None:
    page = make_page()
    K, K_opencv, K_crop, pinhole, box = Tags(html(page)).codes[:5]
    assert np.array_equal(json.loads(K), page.K_source)
    assert np.array_equal(json.loads(K_opencv), page.K_source - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    assert np.array_equal(json.loads(K_crop), K_CROP)
    assert [float(v) for v in pinhole.split()] == [4111.5234375, 4111.5234375, 958.2421875, 529.453125]
    assert json.loads(box) == [510, 1410, 90, 990]


def test_both_cameras_are_shown_in_both_conventions() -> None:
    text = Tags(html(make_page())).text
    for number in ("4111.5234", "958.2422", "529.4531", "957.7422", "528.9531", "2339.0000", "254.5000"):
        assert number in text
    assert "1.757812" in text and "26.29° × 14.96°" in text


def test_warnings_come_before_everything_but_the_title() -> None:
    page = html(make_page()).decode()
    assert (
        page.index("</header>")
        < page.index("2 warnings")
        < page.index('class="grade"')
        < page.index("<figure")
    )
    quiet = html(make_page(warnings=False)).decode()
    assert 'class="warnings"' not in quiet and "No warnings." in quiet


def test_the_evidence_for_the_crop_is_shown_with_the_camera_and_not_over_time() -> None:
    text = html(make_page("word")).decode()
    places = [text.index(s) for s in ('id="camera"', "word evidence", 'id="table-1"', 'id="charts"')]
    assert places == sorted(places)


def test_of_too_many_rows_those_that_did_not_pass_stay() -> None:
    rows = tuple((i, f"row {i}.") for i in range(3 * MAX_ROWS))
    last = len(rows) - 1
    table = Table("long", (Column("frame"), Column("words")), rows, doubtful=frozenset({last, 700}))
    text = Tags(html(replace(make_page(), checks=(table,)))).text
    assert f"row {last}." in text and "row 700." in text and "row 0." in text
    assert f"row {MAX_ROWS - 2}." not in text
    assert f"{2 * MAX_ROWS} more rows" in text and f"2 of {len(rows)} did not pass" in text


def test_a_page_of_nothing_but_cameras_is_a_page() -> None:
    full = make_page()
    bare = Page("", (), "bbox", "", (), (), full.crop, full.K_crop, full.K_source)
    assert "On the frames" not in Tags(html(bare)).text


@pytest.mark.parametrize("picture", [b"<svg onload=alert(1)>", b""])
def test_only_jpeg_and_png_pictures_are_taken(picture: bytes) -> None:
    with pytest.raises(ValueError, match="JPEG or PNG"):
        html(replace(make_page(), evidence=PagePicture("", "", picture)))


def test_a_tall_frame_of_pure_noise_is_shown_however_large_its_picture_is() -> None:
    noise = np.random.default_rng(0).choice([0, 255], (2400, 1280, 3)).astype(np.uint8)
    picture = jpeg(noise)
    assert len(picture) > 2 << 20
    assert base64.b64encode(picture) in html(replace(make_page(), evidence=PagePicture("", "", picture)))
