"""The desk on every screen: nothing sticks out, everything can be read, and nothing needs another host."""

import re
from pathlib import Path

import pytest
from desk_walk import Desk
from playwright.async_api import Page

import orchestrator.web

SCORES = {"smile": 9200, "blue_eyes": 8100, "long_hair": 7000, "hair": 4000}
TOKENS = Path(orchestrator.web.__file__).parent / "static" / "tokens.css"
READABLE = 4.5

LARGE_ENOUGH = """() => [...document.querySelectorAll("main button, main a.button, main summary.button")]
    .filter(one => one.checkVisibility())
    .map(one => [one.getBoundingClientRect().height, one.textContent.trim() || one.ariaLabel])
    .filter(([height]) => height < 32)"""
UNNAMED = """() => [...document.querySelectorAll("button, input:not([type=hidden]), select, a")]
    .filter(one => !(one.ariaLabel || one.textContent.trim() || one.labels?.length || one.ariaHidden))
    .map(one => one.outerHTML)"""


async def sticks_out(page: Page) -> int:
    found: int = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return found


@pytest.mark.anyio
@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(390, 844), (1440, 900)])
async def test_no_page_is_wider_than_its_screen(desk: Desk, scheme: str, width: int, height: int) -> None:
    image_id = await desk.portrait(SCORES)
    async with desk.signed_in(
        desk.board.tagger,
        color_scheme=scheme,
        viewport={"width": width, "height": height},
        has_touch=width < 500,
        is_mobile=width < 500,
    ) as page:
        for path in (
            "/desk",
            "/desk?before=1",
            f"/desk/images/{image_id}",
            "/desk/images/999999",
            "/desk/nowhere",
            "/api/v1/docs",
        ):
            await page.goto(path)
            assert await sticks_out(page) <= 0, path
            assert await page.evaluate(UNNAMED) == [], path
            assert await page.evaluate(LARGE_ENOUGH) == [], path
            assert await page.locator("h1").count() == 1, path
        await page.goto(f"/desk/images/{image_id}")
        await page.get_by_text("Reject all", exact=True).click()
        await page.get_by_text("Evidence and reasons").first.click(force=True)
        assert await sticks_out(page) <= 0


@pytest.mark.anyio
@pytest.mark.browser
async def test_nothing_comes_from_another_host_and_nothing_is_inline(desk: Desk) -> None:
    """Given a walk through the desk, then every request goes to the desk itself, under a strict policy."""
    image_id = await desk.portrait(SCORES)
    asked: set[str] = set()
    async with desk.visitor() as page:
        page.on("request", lambda request: asked.add(request.url))
        response = await page.goto("/desk/sign-in")
        assert response is not None
        policy = response.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    async with desk.signed_in(desk.board.tagger) as page:
        page.on("request", lambda request: asked.add(request.url))
        for path in ("/desk", f"/desk/images/{image_id}", "/api/v1/docs"):
            await page.goto(path, wait_until="networkidle")
            assert await page.locator("[style], script:not([src]), style").count() == 0
    assert asked
    assert all(url.startswith(desk.address) for url in asked)


def colours(scheme: str) -> dict[str, str]:
    """The colour variables of a scheme."""
    light, dark = TOKENS.read_text().split("@media (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", light))
    return found if scheme == "light" else found | dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", dark))


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_on_its_ground(scheme: str) -> None:
    found = colours(scheme)
    grounds = ("ground", "surface", "raised", "sunken")
    texts = ("text", "quiet", "accent", "yes", "no", "warn", "theme", "character", "source", "artist")
    pairs = [(text, ground) for text in texts for ground in grounds]
    pairs += [("yes", "yes-soft"), ("no", "no-soft"), ("quiet", "yes-soft"), ("on-accent", "accent")]
    pairs += [("text", f"{name}-soft") for name in ("yes", "no", "warn", "accent")]
    for text, ground in pairs:
        light, dark = sorted((luminance(found[text]), luminance(found[ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= READABLE, f"{text} on {ground} in the {scheme} scheme"
