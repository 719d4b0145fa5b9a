"""The book in a real browser, read from the disk: no page is wider than the screen, and equations are set."""

from browser.page import new_page


def test_pages_fit_on_desktop_and_phone_with_every_equation_set_and_nothing_from_elsewhere(browser, book):
    with new_page(browser) as page:
        for path in sorted(book.glob("*.html")):
            page.goto(path.as_uri())
            page.evaluate("window.MathJax?.startup.promise")
            for width, height in ((1366, 768), (420, 800)):
                page.set_viewport_size({"width": width, "height": height})
                beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert page.evaluate(beyond) <= 0, f"{path.name} is wider than {width} pixels"
            assert page.locator("mjx-container").count() == page.locator(".math").count()
            assert page.locator("mjx-merror").count() == 0, path.name
        assert all(request.startswith(("file:", "data:", "blob:")) for request in page.requests)
