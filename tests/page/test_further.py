"""Questions beside the plan, in a real browser: the least for an error, the next runs, a device of a data sheet."""

import math
from urllib.parse import quote

from planner.service import fitting
from tests.http import worlds
from tests.http.conftest import serve
from tests.page.conftest import Page
from tests.page.test_planner import address, opened

LIMITED = "task=asr&flops=20G"
FORM = "#further details:nth-of-type({})"


def ask(page, which, text):
    """Type into the first field of a question, send it, and wait for what it says."""
    form = FORM.format(which)
    page.run("document.querySelector(arguments[0]).open = true", form)
    page.type(f"{form} input", text)
    page.click(f"{form} button[type=submit]")
    page.wait(lambda: page.text(f"{form} [role=status]") not in ("", "asking…"))
    return page.text(f"{form} [role=status]")


def test_the_least_that_buys_an_error_is_what_the_service_answers(scored_page, scored_json):
    page = scored_page
    page.open(f"/?{LIMITED}", wait_for="#further summary")
    said = ask(page, 1, "8%")
    found = scored_json(f"/v1/plan/target?{LIMITED}&error={quote('8%')}&minimise=flops")
    assert found["best"]["label"] in said
    assert f"at most 8% with probability {found['best']['p_error']:.2f}" in said
    assert all(reason in said for reason in found["reasons"])
    assert ask(page, 1, "lots") != said


def test_an_answer_to_limits_that_have_moved_is_taken_away(scored_page):
    page = scored_page
    page.open(f"/?{LIMITED}", wait_for="#further summary")
    ask(page, 1, "8%")
    page.type("#limit-flops", "15G")
    page.wait(lambda: address(page).get("flops") == "15G")
    page.wait(lambda: page.text(f"{FORM.format(1)} [role=status]") == "")


def test_the_runs_to_do_next_are_what_the_service_suggests(scored_page, scored_json):
    page = scored_page
    page.open(f"/?{LIMITED}", wait_for="#further summary")
    said = ask(page, 2, "1")
    found = scored_json(f"/v1/suggest?{LIMITED}&hours=1")
    assert said.startswith(f"{found['verdict']}.")
    assert all(one["label"] in said for one in found["suggestions"])
    assert "hours" in ask(page, 2, "-1")


def test_a_point_outside_its_band_is_named_beside_the_curves(page, client_json):
    opened(page)
    config = client_json("/v1/plan?task=asr&flops=30G&latency_ms=60ms")["best"]["config"]
    query = "&".join(
        f"{k}={quote(str(config[k]))}" for k in ("backbone", "audio_seconds", "reduction")
    )
    outside = set()
    for axis in client_json(f"/v1/curves?task=asr&{query}")["axes"]:
        for run in axis["measured"] if axis["points"] else ():
            near = min(axis["points"], key=lambda p: abs(math.log(p["x"] / run["x"])))
            if not near["low"] <= run["error"] <= near["high"]:
                outside.add(run["run_id"])
    page.wait(lambda: "90 % interval" in page.text("#axes-note"))
    named = page.text("#axes-note").partition("Outside it: run ")[2].rstrip(".")
    assert {int(n) for n in named.split(", ") if n} == outside


def test_the_first_task_is_that_of_own_runs_and_its_errors_are_called_by_a_name(driver, tmp_path):
    db = str(tmp_path / "own.db")
    fitting.import_results(db, "same2026")
    own = [row | {"dataset": "calls"} for row in worlds.rows("emotion")[:9]]
    fitting.import_results(db, str(worlds.write_table(tmp_path / "own.csv", own)))
    found = serve(db, "--log", "none", log=tmp_path / "log")
    try:
        page = Page(driver, found.url, tmp_path)
        page.size(1280, 900)
        page.open("/", wait_for="#sentence")
        assert address(page)["task"] == "emotion"
        assert "errors in emotion (1 − mean recall)" in page.text("#sentence")
        page.open("/?task=emotion&flops=300G&source=published", wait_for="#sentence")
        assert "errors in emotion (1 − macro-F1)" in page.text("#sentence")
    finally:
        found.stop()


def test_a_device_of_a_data_sheet_can_be_chosen_and_its_latency_says_where_it_is_from(page):
    opened(page)
    sheet = page.run("return document.querySelector('#device optgroup option').value")
    page.type("#device", sheet)
    page.wait(lambda: address(page).get("device") == sheet)
    page.wait(lambda: f"on {sheet}, datasheet" in page.text("#answer .bars"))
    assert page.complaints() == []
