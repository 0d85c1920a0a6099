"""The page of studies in a real browser: the list, one that goes on, one that has ended."""

from __future__ import annotations

import json
from urllib.request import urlopen

import pytest

from tests.page.test_accessible import WIDTHS, axe, serious

__all__ = ["axe"]


def opened(page, name):
    page.open(f"/studies?study={name}", wait_for="#study .sentence")
    page.wait(lambda: page.text("#study .chart svg"))


def of_service(page, path):
    with urlopen(page.server + path) as answer:
        return json.load(answer)


@pytest.mark.parametrize("name", ["simulated", "goes-on"])
def test_it_is_no_wider_than_its_window_in_light_and_in_dark(studies_page, name):
    page = studies_page
    opened(page, name)
    for width in WIDTHS:
        page.size(width, 900)
        for scheme in ("light", "dark"):
            page.scheme(scheme)
            assert page.run("return document.documentElement.scrollWidth") <= width
            page.shoot(f"studies-{name}-{width}-{scheme}")


def test_a_study_that_has_ended_shows_what_its_report_says(studies_page):
    page = studies_page
    opened(page, "simulated")
    report = of_service(page, "/v1/studies/simulated")
    shown = page.text("#study")
    for part in (
        "The answer", "What it was spent on", "How the regret fell", "What was ruled out, and why",
        "What another hour would buy", "How to use the model",
    ):  # fmt: skip
        assert part in shown
    assert report["headline"] in shown
    assert report["answer"]["answer_id"] in shown
    assert f"soundscale transcribe FILE.wav --answer {report['answer']['answer_id']}" in shown
    assert page.complaints() == []
    here = (page.server, "data:", "blob:", "about:")
    assert [url for url in page.requests() if not url.startswith(here)] == []


def test_a_study_that_goes_on_says_what_is_next_and_why(studies_page):
    page = studies_page
    opened(page, "goes-on")
    found = of_service(page, "/v1/studies/goes-on")
    shown = page.text("#study")
    assert "so far whisper-" in shown
    assert "What is next, and why" in shown
    for run in found["next"]:
        assert run["label"] in shown
        assert run["why"] in shown


def test_the_list_leads_from_study_to_study_and_writes_the_address(studies_page):
    page = studies_page
    page.open("/studies", wait_for="#study .sentence")
    names = page.run(
        "return [...document.querySelectorAll('#list tbody button')].map((b) => b.innerText)"
    )
    assert names == ["goes-on", "simulated"]
    # The latest is shown where the address names none.
    assert "so far" in page.text("#study .sentence")
    page.run("[...document.querySelectorAll('#list tbody button')].at(-1).click()")
    page.wait(lambda: "has ended" in page.text("#study"))
    assert page.driver.current_url.endswith("/studies?study=simulated")
    assert "simulated" in page.text("#list tr.chosen")


def test_every_run_is_there_behind_a_heading(studies_page):
    page = studies_page
    opened(page, "simulated")
    found = of_service(page, "/v1/studies/simulated")
    title = "[data-title='Every run, and why']"
    assert not page.run(f'return document.querySelector("{title}").open')
    page.click(f"{title} summary")
    rows = page.run(f'return document.querySelectorAll("{title} tbody tr").length')
    assert rows == found["n_runs"]
    # What is opened stays so when the page asks again.
    page.run("dispatchEvent(new Event('themechange'))")
    page.wait(lambda: page.text("#study .chart svg"))
    assert page.run(f'return document.querySelector("{title}").open')


def test_a_study_that_is_not_there_is_said(studies_page):
    page = studies_page
    page.open("/studies?study=none", wait_for="#study .trouble")
    assert "unknown study 'none'" in page.text("#study")


def test_a_list_of_studies_is_paged_and_a_missing_one_is_404(studies_page):
    page = studies_page
    first = of_service(page, "/v1/studies?limit=1")
    assert [one["name"] for one in first["items"]] == ["simulated"]
    rest = of_service(page, f"/v1/studies?limit=1&after={first['next']}")
    assert ([one["name"] for one in rest["items"]], rest["next"]) == (["goes-on"], None)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["simulated", "goes-on"])
def test_it_has_nothing_serious_to_find(studies_page, axe, name, width, scheme):
    page = studies_page
    page.size(width, 900)
    page.scheme(scheme)
    opened(page, name)
    page.run("document.querySelectorAll('#study details').forEach((d) => { d.open = true; })")
    assert serious(page, axe) == []
