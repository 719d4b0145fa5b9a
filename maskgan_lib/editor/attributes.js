// Attributes that a mask is given or loses: the kernel makes a preview of it, which is then applied or dropped.

import { button, make, panel, slider, within } from "./elements.js";
import { ATTRIBUTES } from "./words.js";

/**
 * isIdle()      whether the kernel's state is what has been asked for last
 * onDrop()      what is previewed is not wanted any more
 * hasEffect()   whether the preview that has come differs from the mask
 */
export function makeAttributes({ state, isIdle, onDrop, hasEffect, command, say }) {
  const controls = state().attributes.map((name) => {
    const title = name.replaceAll("_", " ");
    const { input } = slider("attribute", title, { min: -100, max: 100 });
    input.dataset.attribute = name;
    input.oninput = preview;
    const ends = [-100, 100].map((value, i) => {
      const does = i ? "Give the face this attribute" : "Take this attribute away";
      const node = button("end", ATTRIBUTES[name][i], `${does} (${title}); once more: leave it as it is`, () => {
        input.value = Number(input.value) === value ? 0 : value;
        preview();
      });
      Object.assign(node.dataset, { attribute: name, value });
      return node;
    });
    const [less, more] = ends;
    const node = within(make("div", "attribute-field", "", { role: "group", "aria-label": title }), less, input, more);
    return { name, input, ends, node };
  });
  const applyButton = button("apply", "Apply", "Make the preview the mask, and its picture (Enter)", apply);
  const cancelButton = button("action", "Cancel", "Leave the mask as it was (Esc)", cancel);
  const node = panel(
    "attributes",
    "Attributes (SeCGAN)",
    true,
    make("p", "note", "Press what the face should be, or drag: the mask shows a preview. Several can be moved at once."),
    within(make("div", "attribute-fields"), ...controls.map((one) => one.node)),
    within(make("div", "below"), applyButton, cancelButton),
  );

  const moved = () => controls.filter(({ input }) => Number(input.value));
  const amounts = () => Object.fromEntries(moved().map(({ name, input }) => [name, input.value / 100]));
  const isMoved = () => moved().length > 0;
  /** "80% smiling", or that nothing changes. */
  function inWords({ name, input }) {
    const value = Number(input.value);
    return value ? `${Math.abs(value)}% ${ATTRIBUTES[name][Number(value > 0)]}` : "as it is";
  }

  function showPlaces() {
    for (const one of controls) {
      one.input.setAttribute("aria-valuetext", inWords(one));
      for (const end of one.ends) end.setAttribute("aria-pressed", end.dataset.value === one.input.value);
    }
    applyButton.disabled = cancelButton.disabled = !isMoved();
  }
  function put(places) {
    for (const { name, input } of controls) input.value = Math.round(100 * (places[name] ?? 0));
    showPlaces();
  }

  function preview() {
    showPlaces();
    if (!isMoved()) return cancel();
    command("preview_attributes", { amounts: amounts() }, { replace: "preview", after: sayPreview });
  }
  function sayPreview() {
    const words = moved().map(inWords).join(", ");
    if (!words) return;
    if (hasEffect()) say(`Preview: ${words}. Apply (Enter) makes it the mask, Cancel (Esc) leaves the mask as it was.`);
    else say(`The mask stays as it is with ${words}: there may be no more of it to change.`);
  }
  /** Makes what is previewed the mask; nothing if nothing is. */
  function apply() {
    if (!isMoved()) return;
    command("move_attributes", { amounts: amounts() });
    put({});
  }
  function cancel() {
    put({});
    onDrop();
    const after = () => say("The mask is as it was.");
    command("preview_attributes", { amounts: {} }, { replace: "preview", after });
  }
  showPlaces();

  return {
    node: controls.length ? node : null,
    isMoved,
    apply,
    cancel,
    /** The controls at rest: the mask has got, or lost, what they asked for. */
    rest: () => put({}),
    show: () => isIdle() && put(state().amounts),
  };
}
