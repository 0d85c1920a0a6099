"""Runs, fits, SQL and a sweep as it runs, in a real browser."""

import pytest

from planner.store import claims
from planner.store.engine import open_store
from tests.http.conftest import serve
from tests.page.conftest import Page
from tests.store.samples import LEASE, WORKER, claim_any, finished, sweep_of

WIDTHS = (390, 768, 1280)
SHOWN = {
    "plan": ("/?task=asr&flops=30G&latency_ms=60ms", "#frontier svg"),
    "runs": ("/runs", "#list table"),
    "fits": ("/fits", "#list table, #list .trouble"),
    "sweeps": ("/sweeps", "#list table, #list .trouble"),
    "studies": ("/studies", "#list .trouble"),
    "sql": ("/sql", "#result table"),
}


@pytest.mark.parametrize("name", SHOWN)
def test_a_page_is_no_wider_than_its_window_in_light_and_in_dark(page, name):
    path, ready = SHOWN[name]
    page.open(path, wait_for=ready)
    for width in WIDTHS:
        page.size(width, 900)
        for scheme in ("light", "dark"):
            page.scheme(scheme)
            assert page.run("return document.documentElement.scrollWidth") <= width
            page.shoot(f"{name}-{width}-{scheme}")


def test_runs_are_listed_filtered_and_shown_in_full(page):
    page.open("/runs", wait_for="#list table")
    assert page.run("return document.querySelectorAll('#list tbody tr').length") == 35
    page.run(
        "const s = document.querySelector('#source'); s.value = 'imported'; s.dispatchEvent(new Event('change'))"
    )
    page.wait(lambda: page.run("return document.querySelectorAll('#list tbody tr').length") == 18)
    page.click("#list tbody button")
    page.wait(lambda: page.text("#detail dl"))
    assert "whisper-tiny" in page.text("#detail")
    assert "run=" in page.driver.current_url
    page.shoot("runs")


def test_a_run_shows_how_its_latency_was_taken(scored_page):
    page = scored_page
    page.open("/runs?run=1", wait_for="#latencies table")
    shown = page.text("#latencies")
    for words in ("requests p50", "above p95", "A against A"):
        assert words in shown
    assert page.run("return document.querySelectorAll('#latencies tbody tr').length") >= 1


def test_ticked_runs_are_compared_with_what_was_said_and_heard(scored_page):
    page = scored_page
    page.open("/runs", wait_for="#list table")
    assert page.run("return document.querySelector('#compare').disabled")
    for run_id in (1, 4, 5):
        page.click(f"input[aria-label='Compare run {run_id}']")
    page.click("#compare")
    page.wait(lambda: page.text("#comparison h2"))
    assert "Run 4 makes more errors than run 1: 1.93 points" in page.text("#comparison .verdicts")
    told = page.run("return document.querySelector('#comparison .deciding').textContent")
    assert "said pound heard as town" in told
    assert "compare=1%2C4%2C5" in page.driver.current_url
    page.shoot("compare")
    page.click("#comparison button")
    assert page.run("return document.querySelector('#comparison').hidden")
    assert "compare" not in page.driver.current_url
    assert page.complaints() == []


def test_a_comparison_has_an_address_and_fits_a_phone(scored_page):
    page = scored_page
    page.size(390, 800)
    page.open("/runs?compare=1,4", wait_for="#comparison h2")
    assert page.run("return document.documentElement.scrollWidth <= innerWidth")
    assert page.run("return document.querySelectorAll('#list input:checked').length") == 2
    page.shoot("compare-phone")


def seen(page):
    """Rows of the list that are not hidden."""
    return page.run("return document.querySelectorAll('#list tbody tr:not([hidden])').length")


def test_a_search_leaves_the_rows_that_have_each_word_and_holds_while_they_are_sorted(page):
    page.open("/runs", wait_for="#list table")
    page.slide("#search", "base STEM:2")
    assert seen(page) == 3
    assert page.text("#found") == "3 of 35 rows have all of it"
    page.run("document.querySelectorAll('#list thead button')[6].click()")
    assert seen(page) == 3
    page.slide("#search", "no such word")
    assert seen(page) == 0
    page.slide("#search", "")
    assert (seen(page), page.text("#found")) == (35, "")


def test_runs_without_utterances_say_why_they_cannot_be_compared(page):
    page.open("/runs?compare=1,2", wait_for="#comparison h2")
    assert "no utterances, so nothing can be paired" in page.text("#comparison")


def test_a_heading_sorts_the_table_both_ways(page):
    page.open("/runs", wait_for="#list table")
    errors = (
        "return [...document.querySelectorAll('#list tbody tr td:nth-child(8)')]"
        ".map((t) => parseFloat(t.innerText))"
    )
    for order in (sorted, lambda v: sorted(v, reverse=True)):
        page.run("document.querySelectorAll('#list thead button')[6].click()")
        found = page.run(errors)
        assert found == order(found)


def test_a_fit_shows_its_formula_parameters_and_what_it_cannot_say(page, client_json):
    client_json("/v1/plan?task=asr&flops=30G")
    page.open("/fits", wait_for="#list table")
    page.click("#list tbody button")
    page.wait(lambda: page.text("#detail pre"))
    assert "wer =" in page.text("#detail pre")
    assert "not resolved" in page.text("#detail .notes")
    assert "law of word errors" in page.text("#detail h2")
    page.shoot("fits")


def test_a_select_gives_rows_and_anything_else_is_refused(page):
    page.open("/sql", wait_for="#result table")
    page.shoot("sql")
    for text, said in (("SELECT count(*) AS n FROM runs", "35"), ("DELETE FROM runs", "refused")):
        page.run("document.querySelector('#sql').value = arguments[0]", text)
        page.click("#run")
        page.wait(lambda said=said: said in page.text("#result"))
    page.run("document.querySelector('#sql').value = 'SELECT count(*) AS n FROM runs'")
    page.click("#run")
    page.wait(lambda: "35" in page.text("#result"))


def test_the_columns_of_a_view_stand_beside_the_statement_and_go_into_it(page, client_json):
    page.open("/sql", wait_for="#schema summary")
    page.run("document.querySelectorAll('#schema details')[0].open = true")
    page.wait(lambda: page.text("#schema .columns"))
    told = page.text("#schema .columns").split(" · ")
    query = "SELECT%20*%20FROM%20v_results%20LIMIT%200"
    assert told == ["v_results", *client_json(f"/v1/sql?sql={query}")["columns"]]
    words = "[...document.querySelectorAll('#schema .columns button')]"
    for before, word in (("SELECT ", "backbone"), ("SELECT backbone, ", "error")):
        page.run(
            "const s = document.querySelector('#sql'); s.value = arguments[0];"
            "s.setSelectionRange(s.value.length, s.value.length);"
            f"{words}.find((b) => b.textContent === arguments[1]).click()", before, word,
        )  # fmt: skip
    assert page.run("return document.querySelector('#sql').value") == "SELECT backbone, error"


def test_a_stored_text_never_becomes_markup(page):
    page.open("/sql", wait_for="#result table")
    page.run(
        "document.querySelector('#sql').value = \"SELECT '<img src=x onerror=alert(1)>' AS a\""
    )
    page.click("#run")
    page.wait(lambda: "onerror" in page.text("#result"))
    assert page.run("return document.querySelectorAll('#result img').length") == 0


def test_a_sweep_is_followed_while_it_runs(driver, screenshots, tmp_path):
    engine = open_store(str(tmp_path / "live.db"))
    sweep_id = sweep_of(engine, 2, name="live")
    found = serve(str(tmp_path / "live.db"), "--log", "none", log=tmp_path / "log")
    try:
        page = Page(driver, found.url, screenshots)
        page.size(1280, 900)
        page.open("/sweeps?sweep=live", wait_for="#live table")
        assert "0 of 2 finished" in page.text("#live .totals")
        claim = claim_any(engine, sweep_id, WORKER, LEASE)
        step = claims.RunProgress(phase="train", step=3, n_steps=12, loss=2.5)
        claims.heartbeat(engine, claim, LEASE, step)
        page.wait(lambda: "train 3 of 12" in page.text("#live"))
        page.shoot("sweeps")
        assert claims.finish(engine, claim, finished())
        page.wait(lambda: "1 of 2 finished" in page.text("#live .totals"))
    finally:
        found.stop()
        engine.dispose()


def test_a_run_is_told_in_words_and_units(scored_page):
    page = scored_page
    page.open("/runs?run=1", wait_for="#detail dl")
    shown = page.text("#detail dl")
    assert "training took" in shown
    assert "_" not in " ".join(
        page.run("return [...document.querySelectorAll('#detail dt')].map((n) => n.innerText)")
    )
    assert not page.run(
        "return /[0-9a-f]{40}/.test(document.querySelector('#detail dl').innerText)"
    )
    artifact = (
        "[...document.querySelectorAll('#detail dl div')]"
        ".find((n) => n.querySelector('dt').innerText === 'artifact').querySelector('dd')"
    )
    whole = str(page.run(f"return {artifact}.querySelector('span').title"))
    assert whole == f"/srv/sweeps/{'0f' * 32}"
    assert page.run(f"return {artifact}.innerText") == "…/sweeps/0f0f0f0f0f0f…"


def test_runs_side_by_side_show_how_they_learned(scored_page):
    page = scored_page
    page.open("/runs?compare=1,4", wait_for="#comparison h2")
    page.wait(
        lambda: page.run("return document.querySelector('#comparison .drawing svg') !== null")
    )


def test_a_refused_statement_is_called_what_it_is(page):
    page.open("/sql", wait_for="#result table")
    page.run("document.querySelector('#sql').value = 'DELETE FROM runs'")
    page.click("#run")
    page.wait(lambda: page.text("#result .trouble"))
    assert "not one SELECT" in page.text("#result h2")
