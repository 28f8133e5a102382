"""Deciding in a real browser: by button, by key, all at once, without scripts, and against others."""

import pytest
from desk_walk import Desk
from playwright.async_api import Page, expect

from orchestrator.records import Decision, VerdictRequest
from orchestrator.review.service import review

pytestmark = [pytest.mark.anyio, pytest.mark.browser]

SCORES = {"smile": 9200, "blue_eyes": 8100, "long_hair": 7000}


def chip(page: Page, title: str):  # type: ignore[no-untyped-def]
    return page.locator(f'.chip[data-title="{title}"]')


async def decided_elsewhere(desk: Desk, image_id: int, title: str, decision: Decision) -> None:
    """The moderator decides on a suggestion, somewhere else."""
    row = (await desk.board.rows(image_id))[title]
    await review(
        desk.board.store, desk.board.moderator, image_id, [VerdictRequest(row.id, row.version, decision)]
    )


async def test_approve_by_button(desk: Desk) -> None:
    """Given an image in the queue, when its first tag is approved, then the tag is on the picture."""
    image_id = await desk.portrait(SCORES)
    async with desk.signed_in(desk.board.tagger) as page:
        await page.get_by_role("link", name=f"Image {image_id}").click()
        await expect(page.get_by_role("heading", name=f"Image {image_id}")).to_be_visible()
        await page.get_by_role("button", name="Approve smile").click()
        await expect(chip(page, "smile")).to_have_attribute("data-status", "approved")
        await expect(chip(page, "smile")).to_contain_text(desk.board.tagger.name)
        await expect(page.locator("[data-applied]")).to_contain_text("smile")
        await expect(page.locator("[data-said]")).to_have_text("Approved “smile”.")
        await expect(page.locator("[data-decided]")).to_have_text("1")
        await expect(chip(page, "blue eyes")).to_be_focused()
    assert await desk.board.linked(image_id) == {"smile"}


async def test_the_picture_is_shown(desk: Desk) -> None:
    image_id = await desk.portrait(SCORES)
    async with desk.signed_in(desk.board.tagger) as page:
        for place, selector in (("/desk", ".thumb"), (f"/desk/images/{image_id}", ".frame img")):
            await page.goto(place)
            await page.wait_for_function(
                "selector => document.querySelector(selector).naturalWidth > 100", arg=selector
            )


async def test_by_keyboard_alone(desk: Desk) -> None:
    """Given the keys j, k, a and r, when used in turn, then each acts on the tag in focus."""
    image_id = await desk.portrait(SCORES)
    async with desk.signed_in(desk.board.tagger) as page:
        await page.goto(f"/desk/images/{image_id}")
        await expect(chip(page, "smile")).to_be_focused()
        await page.keyboard.press("j")
        await expect(chip(page, "blue eyes")).to_be_focused()
        await page.keyboard.press("ArrowUp")
        await expect(chip(page, "smile")).to_be_focused()
        await page.keyboard.press("j")
        await page.keyboard.press("r")
        await expect(chip(page, "blue eyes")).to_have_attribute("data-status", "rejected")
        await expect(chip(page, "long hair")).to_be_focused()
        await page.keyboard.press("k")
        await page.keyboard.press("a")
        await expect(chip(page, "smile")).to_have_attribute("data-status", "approved")
    assert await desk.board.statuses(image_id) == {
        "smile": "approved",
        "blue eyes": "rejected",
        "long hair": "pending",
    }


async def test_a_decision_is_taken_back_by_one_key(desk: Desk) -> None:
    """Given a decision with a cascade, when u is pressed, then all of it is as before, and again nothing."""
    image_id = await desk.portrait({"hair": 9000, "long_hair": 8000, "smile": 7000})
    async with desk.signed_in(desk.board.tagger) as page:
        await page.goto(f"/desk/images/{image_id}")
        await page.get_by_role("button", name="Approve long hair").click()
        await expect(chip(page, "hair")).to_have_attribute("data-status", "cleared")
        await expect(page.get_by_role("button", name="Undo 1 decision")).to_be_visible()
        await page.keyboard.press("u")
        await expect(chip(page, "long hair")).to_have_attribute("data-status", "pending")
        await expect(chip(page, "hair")).to_have_attribute("data-status", "pending")
        await expect(page.locator("[data-said]")).to_contain_text("Took back")
        await expect(page.locator("[data-decided]")).to_have_text("0")
        await expect(page.get_by_role("button", name="Undo")).to_have_count(0)
        await page.keyboard.press("u")
        await expect(page.locator("[data-said]")).to_contain_text("nothing of yours")
    assert await desk.board.linked(image_id) == set()
    await desk.board.assert_counters_equal_recount()


async def test_decisions_are_taken_back_without_scripts_as_well(desk: Desk) -> None:
    image_id = await desk.portrait({"smile": 9000, "blue_eyes": 8000})
    async with desk.signed_in(desk.board.tagger, java_script_enabled=False) as page:
        await page.goto(f"/desk/images/{image_id}")
        await page.get_by_role("button", name="Approve smile").click()
        await expect(chip(page, "smile")).to_have_attribute("data-status", "approved")
        await page.get_by_role("button", name="Undo 1 decision").click()
        await expect(page.get_by_role("alert").first).to_contain_text("Took back the decision on “smile”.")
        await expect(chip(page, "smile")).to_have_attribute("data-status", "pending")


async def test_the_keys_are_explained(desk: Desk) -> None:
    image_id = await desk.portrait(SCORES)
    async with desk.signed_in(desk.board.tagger) as page:
        await page.goto(f"/desk/images/{image_id}")
        await page.keyboard.press("?")
        await expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        await page.keyboard.press("a")
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("dialog")).to_be_hidden()
    assert await desk.board.linked(image_id) == set()


async def test_reject_for_a_reason(desk: Desk) -> None:
    image_id = await desk.portrait(SCORES)
    async with desk.signed_in(desk.board.tagger) as page:
        await page.goto(f"/desk/images/{image_id}")
        await page.keyboard.press("x")
        first = chip(page, "smile")
        await expect(first.get_by_role("cell", name="wd14 1")).to_be_visible()
        await first.get_by_label("Reject because").select_option("other")
        await first.get_by_role("button", name="Reject for this reason").click()
        await expect(page.locator("[data-said]")).to_contain_text("needs a note")
        await first.get_by_label("Note").fill("That is a smirk.")
        await first.get_by_role("button", name="Reject for this reason").click()
        await expect(first).to_have_attribute("data-status", "rejected")
    row = await desk.board.store.read(lambda tx: tx.fetch_one("SELECT reason, note FROM verdicts"))
    assert row == {"reason": "other", "note": "That is a smirk."}


async def test_approve_all_goes_on_to_the_next_image_and_at_last_to_an_empty_queue(desk: Desk) -> None:
    """Given two images, when all is approved on each, then the desk walks through them to the end."""
    older = await desk.portrait({"blue_eyes": 6000})
    newer = await desk.portrait(SCORES)
    async with desk.signed_in(desk.board.tagger) as page:
        await page.goto(f"/desk/images/{newer}")
        await page.keyboard.press("A")
        await expect(page.get_by_role("button", name="Approve 3")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/desk/images/{older}")
        await page.get_by_role("button", name="Approve blue eyes").click()
        await page.wait_for_url("**/desk")
        await expect(page.get_by_role("heading", name="Nothing is waiting")).to_be_visible()
    assert await desk.board.linked(newer) == {"smile", "blue eyes", "long hair"}
    assert await desk.board.linked(older) == {"blue eyes"}


async def test_reject_all_asks_first(desk: Desk) -> None:
    image_id = await desk.portrait(SCORES)
    async with desk.signed_in(desk.board.tagger) as page:
        await page.goto(f"/desk/images/{image_id}")
        await page.get_by_text("Reject all", exact=True).click()
        assert set((await desk.board.statuses(image_id)).values()) == {"pending"}
        await page.get_by_label("Because", exact=True).select_option("not_wanted")
        await page.get_by_role("button", name="Reject 3").click()
        await page.wait_for_url("**/desk")
    assert set((await desk.board.statuses(image_id)).values()) == {"rejected"}


async def test_a_narrower_tag_clears_the_broader_one(desk: Desk) -> None:
    image_id = await desk.portrait({"very_long_hair": 9000, "hair": 8000, "smile": 7000})
    async with desk.signed_in(desk.board.tagger) as page:
        await page.goto(f"/desk/images/{image_id}")
        await page.keyboard.press("a")
        await expect(chip(page, "very long hair")).to_have_attribute("data-status", "approved")
        await expect(chip(page, "hair")).to_have_attribute("data-status", "cleared")
        await expect(page.locator("[data-said]")).to_contain_text("1 broader tag no longer needed")
        await expect(chip(page, "smile")).to_be_focused()


async def test_who_was_faster_is_said_in_words(desk: Desk) -> None:
    """Given a tag that a moderator rejected meanwhile, when it is approved, then it says who did what."""
    image_id = await desk.portrait(SCORES)
    async with desk.signed_in(desk.board.tagger) as page:
        await page.goto(f"/desk/images/{image_id}")
        await decided_elsewhere(desk, image_id, "smile", Decision.REJECT)
        await page.keyboard.press("a")
        said = page.locator("[data-said]")
        await expect(said).to_contain_text(f"{desk.board.moderator.name} rejected “smile”")
        await expect(page.locator("[data-alert]")).to_contain_text("Not done")
        await expect(chip(page, "smile")).to_have_attribute("data-status", "rejected")
        await expect(chip(page, "smile")).to_contain_text(desk.board.moderator.name)
    assert await desk.board.linked(image_id) == set()


async def test_the_next_and_the_previous_image_by_key(desk: Desk) -> None:
    older, newer = await desk.portrait(SCORES), await desk.portrait(SCORES)
    async with desk.signed_in(desk.board.tagger) as page:
        await page.goto(f"/desk/images/{newer}")
        await page.keyboard.press("n")
        await page.wait_for_url(f"**/desk/images/{older}")
        await page.keyboard.press("n")
        await expect(page.locator("[data-said]")).to_contain_text("last image")
        await page.keyboard.press("p")
        await page.wait_for_url(f"**/desk/images/{newer}")


async def test_without_scripts_the_forms_do_the_same(desk: Desk) -> None:
    """Given a browser without scripts, when one approves, rejects and is late, then all is said and done."""
    image_id = await desk.portrait(SCORES)
    async with desk.signed_in(desk.board.tagger, java_script_enabled=False) as page:
        await page.goto(f"/desk/images/{image_id}")
        await page.get_by_role("button", name="Approve smile").click()
        await expect(chip(page, "smile")).to_have_attribute("data-status", "approved")
        await page.get_by_role("button", name="Reject blue eyes").click()
        await expect(chip(page, "blue eyes")).to_have_attribute("data-status", "rejected")
        await decided_elsewhere(desk, image_id, "long hair", Decision.REJECT)
        await page.get_by_role("button", name="Approve long hair").click()
        await expect(page.get_by_role("alert").first).to_contain_text(f"{desk.board.moderator.name} rejected")
        await expect(page.get_by_role("link", name="Back to the queue")).to_be_visible()
    assert await desk.board.linked(image_id) == {"smile"}


async def test_what_was_shown_is_noted_in_the_order_of_the_page(desk: Desk) -> None:
    image_id = await desk.portrait(SCORES)
    async with desk.signed_in(desk.board.tagger) as page:
        await page.goto(f"/desk/images/{image_id}")
        shown = await page.locator(".chip").evaluate_all("chips => chips.map(chip => +chip.dataset.id)")
    rows = await desk.board.store.read(
        lambda tx: tx.fetch_rows("SELECT suggestion_id, place, position FROM exposures ORDER BY id")
    )
    assert rows == [(key, "desk", position) for position, key in enumerate(shown)]
