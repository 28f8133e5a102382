"""Who gets to the desk, and how a session begins and ends."""

import pytest
from desk_walk import Desk
from playwright.async_api import expect

from orchestrator import accounts

pytestmark = [pytest.mark.anyio, pytest.mark.browser]


async def test_a_wrong_token_is_told_and_the_right_one_leads_where_one_wanted_to_go(desk: Desk) -> None:
    image_id = await desk.portrait({"smile": 9000})
    token = await accounts.issue_token(desk.board.store, desk.board.tagger)
    async with desk.visitor() as page:
        await page.goto(f"/desk/images/{image_id}")
        await expect(page).to_have_url(f"{desk.address}/desk/sign-in?next=/desk/images/{image_id}")
        await page.get_by_label("Your token").fill("td_wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("unknown, expired or revoked")
        await page.get_by_label("Your token").fill(token)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{desk.address}/desk/images/{image_id}")
        (cookie,) = await page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/desk")
        assert token not in cookie["value"]


async def test_signing_out_ends_the_session(desk: Desk) -> None:
    async with desk.signed_in(desk.board.tagger) as page:
        await page.get_by_role("button", name="Sign out").click()
        await page.wait_for_url("**/desk/sign-in")
        assert await page.context.cookies() == []
        await page.goto("/desk")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_revoked_token_ends_its_session_in_the_middle_of_the_work(desk: Desk) -> None:
    """Given a session whose token is revoked, when its holder decides, then the desk asks to sign in."""
    image_id = await desk.portrait({"smile": 9000})
    token = await accounts.issue_token(desk.board.store, desk.board.tagger)
    async with desk.visitor() as page:
        await page.goto(f"/desk/images/{image_id}")
        await page.get_by_label("Your token").fill(token)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{desk.address}/desk/images/{image_id}")
        await accounts.revoke(desk.board.store, token)
        await page.keyboard.press("a")
        await page.wait_for_url(f"{desk.address}/desk/sign-in?next=/desk/images/{image_id}")
    assert await desk.board.statuses(image_id) == {"smile": "pending"}


async def test_uploaders_see_their_own_images_and_engineers_are_told_that_they_review_none(
    desk: Desk,
) -> None:
    mine = await desk.portrait({"smile": 9000}, desk.board.uploader)
    other = await desk.portrait({"smile": 9000}, desk.board.tagger)
    async with desk.signed_in(desk.board.uploader) as page:
        await expect(page.locator(".card")).to_have_count(1)
        await expect(page.get_by_role("link", name=f"Image {mine}")).to_be_visible()
        await page.goto(f"/desk/images/{other}")
        await expect(page.get_by_role("heading", name="Not yours to see")).to_be_visible()
    async with desk.signed_in(desk.board.engineer) as page:
        await expect(page.get_by_text("does not review suggestions")).to_be_visible()
