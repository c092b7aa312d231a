"""The page in plain JavaScript, docs/examples/browser.html: from a job handed in to its picture, and what goes wrong."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ROOT, served


@pytest.fixture
def opened(page, up):
    """The page as a person has filled it in."""
    with served() as address:
        page.goto(address)
        page.get_by_label("Address of the API").fill(up.api)
        page.get_by_label("Access key").fill(up.key)
        yield page


def render(page, **values):
    for label, value in values.items():
        page.get_by_label(label.capitalize()).fill(str(value))
    page.get_by_role("button", name="Render").click()


def test_a_job_is_handed_in_watched_and_its_picture_shown(opened, up, pictures):
    opened.screenshot(path=pictures / "1-form.png")
    render(opened, prompt="a red fox in the snow", seed=11, steps=120)
    expect(opened.locator("#status")).to_contain_text("Rendering on standin-1")
    expect(opened.locator("#tag")).to_have_text("Preview")
    seen = [percent(opened)]
    expect(opened.locator("#percent")).not_to_have_text(f"{seen[0]} %")
    seen.append(percent(opened))
    opened.screenshot(path=pictures / "2-preview.png")
    assert 0 < seen[0] < seen[1] <= 100
    preview = opened.locator("#picture").get_attribute("src")
    assert preview.startswith("blob:")
    expect(opened.locator("#picture")).not_to_have_attribute("src", preview)

    expect(opened.locator("#status")).to_have_text("Done")
    expect(opened.locator("#facts")).to_contain_text("on standin-1")
    picture = opened.locator("#picture")
    assert picture.evaluate("shown => [shown.naturalWidth, shown.naturalHeight]") == [512, 512]
    assert picture.get_attribute("src").startswith("http")
    assert up.key not in opened.content() + picture.get_attribute("src")
    opened.screenshot(path=pictures / "3-picture.png")


def test_what_the_api_refuses_is_told_with_its_place_and_its_mend(opened, pictures):
    render(opened, steps=0)
    problem = opened.get_by_role("alert")
    expect(problem).to_contain_text("A value does not fit its input")
    expect(problem).to_contain_text("input steps: 0 is too small; it takes 1 to 10000")
    opened.screenshot(path=pictures / "4-refused.png")
    opened.get_by_label("Access key").fill("cfk_of-nobody")
    render(opened, steps=20)
    expect(problem).to_contain_text("The access key is missing or not valid")
    expect(opened.get_by_role("button", name="Render")).to_be_enabled()


def test_a_lost_connection_is_told_and_the_job_is_followed_on(opened, up, pictures):
    render(opened, seed=12, steps=200)
    expect(opened.locator("#status")).to_contain_text("Rendering")
    up.kill_api()
    expect(opened.locator("#lost")).to_contain_text("The connection is lost; trying again")
    opened.screenshot(path=pictures / "5-lost.png")
    expect(opened.locator("#lost")).to_be_hidden()
    expect(opened.locator("#status")).to_have_text("Done")
    expect(opened.get_by_role("alert")).to_be_hidden()


def test_a_job_is_cancelled(opened):
    render(opened, seed=13, steps=2000)
    expect(opened.locator("#status")).to_contain_text("Rendering")
    opened.get_by_role("button", name="Cancel").click()
    expect(opened.locator("#status")).to_have_text("Cancelled")


def test_a_page_of_an_origin_that_is_not_allowed_is_told_what_to_do(page, up, pictures):
    with served("127.0.0.2") as address:
        page.goto(address)
        page.get_by_label("Address of the API").fill(up.api)
        page.get_by_label("Access key").fill(up.key)
        render(page)
        expect(page.get_by_role("alert")).to_contain_text("COMFYFLEET_API_ALLOWED_ORIGINS")
        expect(page.get_by_role("alert")).to_contain_text(address.rpartition("/")[0])
        page.screenshot(path=pictures / "6-not-allowed.png")


def test_it_looks_right_on_a_phone_and_in_the_dark(browser, pictures):
    page = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme="dark")
    with served() as address:
        page.goto(address)
        page.screenshot(path=pictures / "7-phone.png", full_page=True)
        width = page.evaluate("document.documentElement.scrollWidth")
    page.close()
    assert width <= 390


def test_its_graph_is_the_sample_of_the_repository(page):
    with served() as address:
        page.goto(address)
        graph = page.evaluate("GRAPH")
    sample = json.loads((ROOT / "infra/samples/text_to_image.json").read_text())
    for node in sample.values():
        del node["_meta"]
    sample["6"]["inputs"]["text"] = ""
    assert graph == sample


def percent(page) -> int:
    expect(page.locator("#percent")).to_contain_text("%")
    return int(re.match(r"\d+", page.locator("#percent").text_content())[0])
