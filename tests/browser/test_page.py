"""The harness itself: what a view sets reaches the widget behind it, and back."""

import anywidget
import traitlets

from browser.page import mount, new_page

ECHO = """
export default { render({ model, el }) {
  model.on("change:answer", () => (el.textContent = model.get("answer")));
  model.set("data", new DataView(Uint8Array.from([1, 2, 255]).buffer));
  model.set("count", 7);
  model.save_changes();
} };
"""


class Echo(anywidget.AnyWidget):
    _esm, _css = ECHO, ""
    data = traitlets.Bytes().tag(sync=True, from_json=lambda value, _widget: bytes(value))
    count = traitlets.Int().tag(sync=True)
    answer = traitlets.Unicode().tag(sync=True)

    @traitlets.observe("count")
    def _respond(self, change):
        self.answer = f"{change['new']} and {list(self.data)}"


def test_traits_go_both_ways(browser):
    with new_page(browser) as page:
        mounted = mount(page, Echo())
        assert mounted.widget.count == 0
        mounted.deliver()
        assert mounted.widget.count == 7 and page.inner_text("body") == "7 and [1, 2, 255]"
        assert page.errors == []
