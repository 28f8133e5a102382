"""Two versions beside each other on the desk, for engineers."""

import re

import pytest
from compared_board import ComparedBoard
from desk_walk import Desk
from playwright.async_api import expect

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

WIDER = "document.documentElement.scrollWidth - innerWidth"


async def test_an_engineer_sees_what_a_version_would_change(desk: Desk) -> None:
    # Given two versions that see a portrait differently, and a person's word on it
    compared = await ComparedBoard.build(desk.board)
    image_id = await desk.portrait({"smile": 9000, "blue_eyes": 8000})
    await compared.look_again(image_id, {"smile": 8500, "long_hair": 7000})
    await compared.approve(image_id, "smile")
    await compared.reject(image_id, "blue eyes")
    asked: set[str] = set()
    async with desk.signed_in(desk.board.engineer, viewport={"width": 390, "height": 844}) as page:
        page.on("request", lambda request: asked.add(request.url))
        # When an engineer goes from the desk to the comparison
        await page.get_by_role("link", name="Models").click()
        await page.get_by_role("link", name="Compare with 1").click()
        # Then it has numbers, plots and the picture with what would come and go
        await expect(page.get_by_text("Too few images are judged")).to_be_visible()
        marks = page.locator(".marks li")
        assert [re.sub(r"\s+", " ", one).strip() for one in await marks.all_inner_texts()] == [
            "+ added: long hair 70 %",
            "− dropped: blue eyes 80 % ✗",
        ]
        picture = page.get_by_role("img", name=f"Image {image_id}")
        await picture.scroll_into_view_if_needed()
        await expect(picture).to_have_js_property("naturalWidth", 448)
        await expect(
            page.get_by_role("img", name="Precision and recall by threshold: All tags")
        ).to_be_visible()
        # And it fits, is all its own, and has nothing inline
        for width in (390, 1440):
            await page.set_viewport_size({"width": width, "height": 900})
            assert await page.evaluate(WIDER) <= 0
        assert await page.locator("h1").count() == 1
        assert await page.locator("[style], script, style").count() == 0
        assert all(url.startswith(desk.address) for url in asked)
        # And what is not there is said
        response = await page.goto("/desk/models/wd14/compare/1/7")
        assert response is not None
        assert response.status == 404
    async with desk.signed_in(desk.board.moderator) as page:
        response = await page.goto("/desk/models/wd14/compare/1/2")
        assert response is not None
        assert response.status == 403
