"""The browser that tests of pages use."""

from __future__ import annotations

from browser import NOTICE


def test_what_a_page_shows_says_and_asks_for_is_seen(browser, tmp_path):
    path = tmp_path / "page.html"
    script = (
        "onclick = () => document.title = 'clicked'; console.error('ink'); "
        "fetch('https://example.invalid/x').catch(() => window.refused = true)"
    )
    path.write_text(f"<h1>one</h1><script>{script}</script>")
    page = browser.open(path.as_uri(), width=400, height=300)
    assert page.evaluate("document.querySelector('h1').textContent") == "one"
    page.click("h1")
    assert page.wait_for("document.title === 'clicked' && window.refused")
    assert page.errors[0] == "ink" and page.foreign_requests == ["https://example.invalid/x"]
    page.evaluate(f"console.error('{NOTICE}'), console.error('last')")
    assert not any(NOTICE in one for one in page.errors) and "last" in page.errors
    assert page.screenshot(tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
