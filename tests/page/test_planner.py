"""The planner page in a real browser: what a person does, and what they then see."""

from urllib.parse import parse_qs, urlsplit

from tests.http.conftest import serve
from tests.notebooks.conftest import quickstart_db
from tests.page.conftest import Page
from tests.service.test_other_sets import score_others
from tests.service.test_reference import score_untrained

__all__ = ["quickstart_db"]

MOST_BYTES = 400_000
SENT = (
    "return ['resource', 'navigation'].flatMap((kind) => performance.getEntriesByType(kind))"
    ".map((one) => [one.name, one.encodedBodySize])"
)
"""Bytes of the bodies as they were sent, the page's own included."""
QUESTION = "/?task=asr&flops=30G&latency_ms=60ms"


def address(page):
    return {k: v[0] for k, v in parse_qs(urlsplit(page.driver.current_url).query).items()}


def opened(page, path=QUESTION):
    page.open(path, wait_for="#sentence")
    page.wait(lambda: page.run("return document.querySelectorAll('#axes svg').length") == 3)


def diamond(page):
    """Where the recommendation stands in the chart."""
    return page.run(
        "return document.querySelector('#frontier .layer_9_marks path')?.getAttribute('transform')"
    )


def test_moving_the_latency_limit_changes_answer_chart_and_address(page):
    opened(page)
    before = (page.text("#sentence"), diamond(page))
    page.slide("#slider-latency", 60)
    page.wait(lambda: page.text("#sentence") != before[0])
    page.wait(lambda: diamond(page) != before[1])
    page.wait(lambda: address(page).get("latency_ms") != "60ms")
    assert "whisper-base" in before[0]
    assert "whisper-tiny" in page.text("#sentence")
    assert "the latency limit binds" in page.text("#answer .why")
    assert page.text("#slider-latency ~ .scale")


def test_the_address_alone_brings_the_same_answer_back(page):
    opened(page)
    before = page.text("#answer-id")
    page.slide("#slider-flops", 150)
    page.wait(lambda: address(page).get("flops") != "30G")
    # The id names the question too: until it changes the old answer is still shown.
    page.wait(lambda: page.text("#answer-id") not in ("", before))
    link, said = page.driver.current_url, page.text("#answer-id")
    opened(page, link.removeprefix(page.server))
    page.wait(lambda: page.text("#answer-id") == said)


def test_the_page_shows_what_the_service_answers(page, client_json):
    opened(page)
    answer = client_json("/v1/plan?task=asr&flops=30G&latency_ms=60ms")
    shown = page.text("#answer")
    assert answer["answer_id"] in shown
    assert f"{100 * answer['best']['prediction']['error']:.1f} %" in shown
    assert all(reason in shown for reason in answer["reasons"])
    assert all(w["message"] in shown for w in answer["warnings"])


def test_no_request_leaves_the_host_and_nothing_is_complained_about(page):
    opened(page)
    for path, part in (
        ("/runs", "#list"),
        ("/fits", "#list"),
        ("/sweeps", "#list"),
        ("/studies", "#list"),
        ("/sql", "#result table"),
    ):
        page.open(path, wait_for=part)
    urls = page.requests()
    assert len(urls) > 20
    assert [u for u in urls if not u.startswith((page.server, "data:", "blob:", "about:"))] == []
    assert page.complaints() == []


def test_all_that_the_page_asks_for_is_less_than_400_kb_as_it_is_sent(page):
    opened(page)
    sent = page.run(SENT)
    assert len(sent) > 15
    assert 100_000 < sum(n for _, n in sent) < MOST_BYTES, sent


def test_typed_limits_take_units_and_wrong_ones_say_so(page):
    opened(page)
    page.type("#limit-flops", "8 GFLOPs")
    page.wait(lambda: address(page).get("flops") == "8G")
    page.type("#limit-latency", "0.05 s")
    page.wait(lambda: address(page).get("latency_ms") == "50ms")
    page.type("#limit-memory", "lots")
    assert "e.g. 4GiB" in page.text("#wrong-memory")
    assert "memory_bytes" not in address(page)


def test_an_impossible_limit_offers_the_smallest_relaxation_and_taking_it_helps(page):
    page.open("/?task=asr&flops=30G&latency_ms=10ms", wait_for="#answer .trouble")
    assert "Nothing meets these limits" in page.text("#answer")
    page.shoot("plan-nothing-fits")
    page.click("#answer .ways button")
    page.wait(lambda: page.text("#sentence"))
    page.wait(lambda: address(page)["latency_ms"] != "10ms")


def test_where_no_limit_alone_can_be_relaxed_one_click_relaxes_them_together(page):
    page.open("/?task=asr&flops=1G&latency_ms=10ms", wait_for="#answer .trouble")
    assert page.text("#answer .ways").count("Allow ") == 1
    assert " and " in page.text("#answer .ways button")
    page.click("#answer .ways button")
    page.wait(lambda: page.text("#sentence"))
    assert {"flops", "latency_ms"} <= set(address(page))


def test_a_click_on_a_point_asks_what_if_and_the_address_remembers(page):
    opened(page)
    page.run(
        "const points = document.querySelectorAll('#frontier .layer_6_marks path');"
        "const at = points[0].getBoundingClientRect();"
        "for (const kind of ['mousedown', 'mouseup', 'click']) points[0].dispatchEvent("
        "new MouseEvent(kind, {bubbles: true, clientX: at.x + at.width / 2, clientY: at.y + at.height / 2}))"
    )
    page.wait(lambda: page.text("#whatif-card"))
    assert "What if" in page.text("#whatif-card")
    page.wait(lambda: "whisper-" in address(page).get("pick", ""))
    page.wait(lambda: "look at" in page.text("#axes-of"))
    top, bottom, height = page.run(
        "const r = document.querySelector('#whatif').getBoundingClientRect(); return [r.top, r.bottom, innerHeight]"
    )
    assert top >= 0
    assert bottom <= height + 1
    page.shoot("plan-what-if")


def test_the_cost_on_the_axis_can_be_changed(page):
    opened(page)
    page.click("#x button:nth-child(2)")
    page.wait(lambda: address(page).get("x") == "latency")
    page.wait(lambda: "latency per utterance" in page.text("#frontier svg"))


def test_the_answer_can_be_kept_and_is_then_stored(page, client_json):
    opened(page, "/?task=asr&flops=21G")
    page.click("#answer .actions button")
    page.wait(lambda: "kept" in page.text("#answer .actions"))
    answer_id = page.text("#answer-id").removeprefix("answer ")
    assert client_json(f"/v1/answers/{answer_id}")["answer_id"] == answer_id


def test_the_page_works_with_the_keyboard_alone(page):
    from selenium.webdriver.common.keys import Keys

    opened(page)
    before = page.text("#sentence")
    page.run("document.querySelector('#slider-flops').focus()")
    slider = page.driver.switch_to.active_element
    slider.send_keys(Keys.HOME)
    slider.send_keys(Keys.ARROW_RIGHT * 30)
    page.wait(lambda: page.text("#sentence") not in ("", before))
    reached = set()
    for _ in range(40):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(
            page.run("return document.activeElement.id || document.activeElement.textContent")
        )
    assert {"slider-latency", "limit-memory", "min-prob", "Keep this answer"} <= reached


def contrast(page, selector):
    return page.run(
        """
        const lum = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map((v) => {
            const s = v / 255; return s <= 0.03928 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
        const node = document.querySelector(arguments[0]);
        const [a, b] = [getComputedStyle(node).color, getComputedStyle(node.closest('.card')).backgroundColor]
            .map(lum).sort((p, q) => q - p);
        return (a + 0.05) / (b + 0.05);
        """,
        selector,
    )


def test_light_and_dark_are_both_readable(page):
    page.size(1280, 1080)
    for scheme in ("light", "dark"):
        page.scheme(scheme)
        opened(page)
        for part in (
            "#sentence",
            "#sentence .figure",
            ".why li",
            ".limit-head label",
            ".cost small",
        ):
            assert contrast(page, part) >= 4.5, (scheme, part)
        page.shoot(f"plan-{scheme}")


def test_the_theme_can_be_chosen_and_stays(page):
    opened(page)
    page.click("#theme")
    opened(page)
    assert page.run("return document.documentElement.dataset.theme") == "dark"
    page.run("localStorage.clear()")


def test_at_phone_width_nothing_is_cut_off(page):
    page.size(390, 844)
    opened(page)
    assert page.run("return document.documentElement.scrollWidth") == 390
    wide = page.run(
        "return [...document.querySelectorAll('main .card, main h2, main p, main svg, main button')]"
        ".filter((n) => n.offsetParent && !n.closest('.table-scroll'))"
        ".filter((n) => n.getBoundingClientRect().right > 391).map((n) => n.outerHTML.slice(0, 80))"
    )
    assert wide == []
    boxes = page.run(
        "return [...document.querySelectorAll('main table')].map((t) => t.parentElement)"
        ".map((b) => [b.className, getComputedStyle(b).backgroundImage, b.scrollWidth > b.clientWidth])"
    )
    assert any(scrolls for _, _, scrolls in boxes)
    assert all(name == "table-scroll" and "gradient" in hint for name, hint, _ in boxes)
    page.shoot("plan-phone")


def test_an_empty_database_shows_how_to_begin(driver, screenshots, tmp_path):
    from planner.store.engine import upgrade

    upgrade(str(tmp_path / "empty.db"))
    found = serve(str(tmp_path / "empty.db"), "--log", "none", log=tmp_path / "log")
    try:
        page = Page(driver, found.url, screenshots)
        page.size(1280, 900)
        page.open("/", wait_for="#answer .trouble")
        assert "soundscale quickstart" in page.text("#answer")
        assert not page.run("return document.querySelector('#trade').offsetParent")
        page.shoot("plan-empty")
        for path, said in (
            ("/runs", "No run"),
            ("/fits", "No fit"),
            ("/sweeps", "No sweep"),
            ("/studies", "No study"),
        ):
            page.open(path)
            page.wait(lambda said=said: said in page.text("#list"))
    finally:
        found.stop()


def test_a_service_that_goes_away_is_said_and_can_be_tried_again(
    driver, screenshots, structured_db, tmp_path
):
    found = serve(structured_db, "--log", "none", log=tmp_path / "log")
    page = Page(driver, found.url, screenshots)
    page.size(1280, 900)
    opened(page)
    found.stop()
    page.slide("#slider-flops", 100)
    page.wait(lambda: "does not answer" in page.text("#banner"))
    assert page.run("return document.querySelector('#banner button')")
    page.shoot("plan-no-service")


def test_where_a_token_is_needed_the_page_asks_for_it(driver, screenshots, structured_db, tmp_path):
    import sqlite3

    from planner.store import api_tokens
    from planner.store.engine import open_store

    copy = tmp_path / "own.db"
    with sqlite3.connect(structured_db) as source, sqlite3.connect(copy) as target:
        source.backup(target)
    engine = open_store(str(copy))
    token = api_tokens.new_token()
    api_tokens.add(engine, "page", token, ["plan"])
    engine.dispose()
    found = serve(str(copy), "--log", "none", log=tmp_path / "log")
    try:
        page = Page(driver, found.url, screenshots)
        page.open("/")
        page.wait(lambda: page.run("return document.querySelector('dialog[open] input')"))
        page.run("document.querySelector('dialog input').value = arguments[0]", token)
        page.click("dialog button")
        page.wait(lambda: page.text("#sentence"))
        assert token not in page.driver.current_url
    finally:
        found.stop()


def test_the_form_is_made_from_the_description_of_a_question(page):
    from planner.words.asked import named
    from planner.words.question import STUDY

    opened(page)
    for name in ("task", "device", "source", "per", "quantile", "convention"):
        label = f"document.querySelector('#question [data-field={name}]')"
        field = named(STUDY, name)
        assert field.title in page.run(f"return {label}.textContent")
        assert page.run(f"return {label}.title") == field.help
    for name in ("per", "quantile", "convention"):
        values = page.run(
            f"return [...document.getElementById('{name}').options].map((o) => o.value)"
        )
        assert values == list(named(STUDY, name).choices)
    page.type("#limit-flops", "0.5")
    assert "between 1" in page.text("#wrong-flops")


def test_a_price_brings_money_and_speed_and_none_of_it_without(page, client_json):
    shown = "return document.getElementById('slider-cost-per-1000h').offsetParent !== null"
    opened(page)
    assert not page.run(shown)
    opened(page, "/?task=asr&flops=30G&latency_ms=60ms&price=2.5/h&engine=any")
    assert page.run(shown)
    assert page.run("return document.getElementById('price').value") == "2.5/h"
    answer = client_json("/v1/plan?task=asr&flops=30G&latency_ms=60ms&price=2.5/h&engine=any")
    assert answer["answer_id"] in page.text("#answer")
    assert "money for 1,000 h" in page.text("#answer")
    assert "x real time" in page.text("#answer")


def test_a_least_speed_can_be_asked_for_as_the_command_asks(page, client_json):
    opened(page, "/?task=asr&flops=30G&price=2.5/h&engine=any&rtfx=50")
    assert page.run("return document.getElementById('limit-rtfx').value") == "50"
    answer = client_json("/v1/plan?task=asr&flops=30G&price=2.5/h&engine=any&rtfx=50")
    assert answer["answer_id"] in page.text("#answer-id")
    page.type("#limit-rtfx", "20x")
    page.wait(lambda: address(page).get("rtfx") == "20")
    page.type("#limit-rtfx", "fast")
    assert "not a quantity" in page.text("#wrong-rtfx")
    page.type("#limit-rtfx", "")
    page.wait(lambda: "rtfx" not in address(page))


def test_money_and_energy_can_be_the_axis_of_the_frontier(page):
    opened(page, "/?task=asr&flops=30G&price=2.5/h&power_watts=45W&engine=any&x=energy")
    page.wait(lambda: "energy of an hour" in page.text("#frontier svg"))
    pressed = "return document.querySelector('#x button[aria-pressed=true]').textContent"
    assert page.run(pressed) == "energy of an hour"
    assert page.run("return document.getElementById('power-watts').value") == "45W"
    assert "money for 1,000 h" in page.text("#x")


def test_an_answer_from_models_that_were_trained_here_says_how_to_use_them(
    driver, screenshots, quickstart_db, tmp_path
):
    import json
    from urllib.request import urlopen

    found = serve(str(quickstart_db), "--log", "none", log=tmp_path / "log")
    try:
        page = Page(driver, found.url, screenshots)
        page.size(1280, 900)
        question = "/?task=asr&flops=20G"
        page.open(question, wait_for="#use")
        with urlopen(found.url + question.replace("/?", "/v1/plan?"), timeout=60) as answer:
            (run_id, *_) = json.load(answer)["best"]["prediction"]["run_ids"]
        page.click("#use summary")
        said = page.text("#use")
        assert f"soundscale export {run_id} --to onnx model" in said
        assert "soundscale transcribe speech.wav --model model" in said
        page.run("document.querySelector('#answer').scrollIntoView()")
        page.shoot("plan-use-it")
    finally:
        found.stop()


def test_a_published_table_has_no_models_to_use(page):
    opened(page)
    assert page.run("return document.querySelector('#use')") is None


def test_what_almost_fits_is_likeliest_first_and_says_how_likely(page, client_json):
    question = "task=asr&flops=30G&latency_ms=60ms"
    almost = client_json(f"/v1/plan?{question}")["almost"]
    assert almost
    chances = [one["joint_probability"] for one in almost]
    assert chances == sorted(chances, reverse=True)
    assert all(0.01 <= p < 0.9 for p in chances)
    opened(page, f"/?{question}")
    assert "almost fits" in page.text("#alternatives")


def test_the_length_of_an_utterance_is_said_and_can_be_asked_for(page):
    opened(page, "/?task=asr&flops=300G")  # room for longer utterances
    page.run("document.getElementById('more').open = true")
    page.type("#utterance-seconds", "25")
    page.wait(lambda: address(page).get("utterance_seconds") == "25")
    page.wait(lambda: "an utterance of 25 s" in page.text("#answer .sure"))


def test_a_link_is_copied_without_the_clipboards_permission(page):
    opened(page)
    page.run("navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed'))")
    page.run(
        "[...document.querySelectorAll('#answer .actions button')].find((b) => b.textContent === 'Copy link').click()"
    )
    page.wait(
        lambda: (
            "copied" in page.text("#answer .actions") or "copy it" in page.text("#answer .actions")
        )
    )


def test_charts_and_reports_leave_the_page_as_files(page, tmp_path):
    page.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    opened(page)
    for button in (
        "#exports button:nth-child(1)",
        "#exports button:nth-child(2)",
        "#answer .actions button:nth-child(3)",
    ):
        page.click(button)
    kinds = {".svg": b"<svg", ".png": b"\x89PNG", ".html": b"<!doctype html>"}
    page.wait(lambda: {p.suffix for p in tmp_path.iterdir()} == set(kinds))
    for path in tmp_path.iterdir():
        assert path.read_bytes().startswith(kinds[path.suffix])
    chart = next(tmp_path.glob("*.svg")).read_text().replace("\u00a0", " ")
    for shown in ("limit 30", "Word errors against FLOPs per utterance", "● measured", ">base · "):
        assert shown in chart
    assert (
        page.text("#answer-id").removeprefix("answer ") in next(tmp_path.glob("*.html")).read_text()
    )
    assert page.complaints() == []


def test_on_a_phone_the_answer_comes_before_the_limits(page):
    page.size(390, 844)
    opened(page)
    top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    assert page.run(top, "#answer") < page.run(top, "#question") < page.run(top, "#trade")


def test_back_takes_an_allowance_back(page):
    page.open("/?task=asr&flops=30G&latency_ms=10ms", wait_for="#answer .trouble")
    page.click("#answer .ways button")
    page.wait(lambda: page.text("#sentence"))
    page.driver.back()
    page.wait(lambda: address(page)["latency_ms"] == "10ms")
    page.wait(lambda: "Nothing meets these limits" in page.text("#answer"))


def test_limits_that_are_met_but_not_surely_can_be_met_less_surely(page, client_json):
    items = client_json("/v1/candidates?task=asr")["items"]
    quickest = min(item["costs"]["latency_ms"] for item in items)
    page.open(f"/?task=asr&latency_ms={1.001 * quickest:.5g}ms", wait_for="#answer .trouble")
    assert "surely enough" in page.text("#answer")
    page.run("[...document.querySelectorAll('#answer .ways button')].at(-1).click()")
    page.wait(lambda: page.text("#sentence"))
    assert float(address(page)["min_prob"]) < 0.9


def test_what_the_page_has_no_field_for_is_asked_as_the_address_says_it(page, client_json):
    opened(page, "/?task=asr&flops=30G&level=0.8&grid=true")
    answer = client_json("/v1/plan?task=asr&flops=30G&level=0.8&grid=true")
    assert answer["answer_id"] in page.text("#answer")
    assert {"level": "0.8", "grid": "true"}.items() <= address(page).items()


def test_a_limit_that_cannot_be_read_is_refused_and_no_other_is_asked(page):
    for wrong in ("flops=abc", "flops=1e30", "min_prob=abc&flops=30G", "flop=30G"):
        page.open(f"/?task=asr&{wrong}", wait_for="#answer .trouble")
        assert wrong.partition("=")[0] in page.text("#answer").lower()
        assert not page.text("#sentence")
    page.type("#limit-flops", "30G")
    page.open("/?task=asr&flops=abc", wait_for="#answer .trouble")
    page.type("#limit-flops", "30G")
    page.wait(lambda: page.text("#sentence"))
    assert address(page)["flops"] == "30G"


def test_a_limit_on_training_has_a_field_where_the_address_asks_for_it(page):
    page.open("/?task=asr&train_flops=1G", wait_for="#answer .trouble")
    assert "training" in page.text("#answer")
    assert address(page) == {"task": "asr", "train_flops": "1G"} | {
        k: v for k, v in address(page).items() if k == "device"
    }


def test_rules_that_nothing_keeps_can_be_asked_as_the_nearest_keeps_them(
    driver, tmp_path, quickstart_db
):
    score_untrained(str(quickstart_db), more_errors=1)
    score_others(str(quickstart_db), lambda row: 0 if row.trial.adaptation.kind == "none" else 3)
    served = serve(str(quickstart_db), log=tmp_path / "log")
    try:
        page = Page(driver, served.url, tmp_path)
        page.open("/?task=asr&flops=30G&keep=other%3C%3D-30pt", wait_for="#answer .trouble")
        assert "Nothing keeps these rules" in page.text("#answer")
        page.run("[...document.querySelectorAll('#answer .ways button')].at(-1).click()")
        page.wait(lambda: page.text("#sentence"))
        assert address(page)["keep"] != "other<=-30pt"
        assert "other<=" in page.text("#answer")
        labels = page.run(
            "return [...document.querySelectorAll('#frontier .role-axis-label text')].map((e) => e.textContent)"
        )
        errors = [text for text in labels if text.endswith("%")]
        assert len(errors) == len(set(errors)) > 2
    finally:
        served.stop()
