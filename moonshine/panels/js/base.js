"use strict";
// What all live panels share: a state, controls, a drawing that follows them, and a line of text.
//
// A panel's own file defines `panel`:
//   compute(state, given) -> data       pure; the same numbers as the Python function of the panel
//   describe(data, given) -> text       pure; the same words as in Python
//   layout(width, data, given) -> view  the scales of the drawing, in pixels
//   draw(view, data, ui, given) -> list of SVG elements; `ui.ghost` is the data before the last action
//   drag(what, x, y, view, state, given) -> changes of the state; `what` is an element's data-drag
//   step(what, steps, state, given, key) -> changes of the state, for the arrow keys on that element
//   impossible(name, value, state, given) -> why a value can't be chosen, or ""
//   unused(name, state, given) -> is a control without meaning at present?
// Everything but compute, describe, layout and draw may be missing. `given` comes from Python.

// ---------- numbers in words, as in moonshine/panels/live.py ----------

const grouped = n => Math.round(n).toLocaleString("en-US");

function fixed(x, digits = 0) {
  // ties go to the even digit, as in Python
  const scaled = x * 10 ** digits,
    low = Math.floor(scaled);
  const tie = scaled - low === 0.5 && Number.isInteger(x * 2 ** (digits + 1));
  return tie ? ((low + (low % 2)) / 10 ** digits).toFixed(digits) : x.toFixed(digits);
}

function short(x, digits = 3) {
  // never an exponent
  const size = Math.abs(x);
  if (size < 5e-5) return "0";
  return (x < 0 ? "−" : "") + (size >= 999.5 ? grouped(size) : String(Number(size.toPrecision(digits))));
}

function countWords(n) {
  // 9,344; 2.36 million; 1,208 million
  if (n < 1e6) return grouped(n);
  return (n < 1e8 ? String(Number((n / 1e6).toPrecision(3))) : grouped(n / 1e6)) + " million";
}

// ---------- elements ----------

const SVG = "http://www.w3.org/2000/svg";

function element(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== null && value !== false) made.setAttribute(name, value);
  made.append(
    ...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== ""),
  );
  return made;
}
const html = (tag, attributes = {}, ...children) =>
  element(document.createElement(tag), attributes, children);
const svg = (tag, attributes = {}, ...children) =>
  element(document.createElementNS(SVG, tag), attributes, children);

const text = (x, y, words, more = {}) => svg("text", { x, y, ...more }, String(words));
const line = (x1, y1, x2, y2, kind = "axis") => svg("line", { x1, y1, x2, y2, class: kind });
const rect = (x, y, width, height, more = {}) =>
  // a negative width or height extends to the other side
  svg("rect", {
    x: Math.min(x, x + width),
    y: Math.min(y, y + height),
    width: Math.abs(width),
    height: Math.abs(height),
    ...more,
  });

function hatch(name, color) {
  // stripes, so that color is never the only cue
  return svg(
    "pattern",
    { id: name, width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
    svg("rect", { width: 6, height: 6, fill: color }),
    svg("rect", { width: 2, height: 6, fill: "var(--bg)" }),
  );
}
const HATCHES = ["blue", "orange", "green", "red"];

function legend(x, y, entries) {
  // [[a swatch drawn at (x, y), words], ...] in a row
  return entries.map(([swatch, words]) => {
    const made = svg("g", {}, swatch(x, y), text(x + 22, y + 9, words, { class: "small" }));
    x += 36 + 6.1 * words.length;
    return made;
  });
}
const swatch = more => (x, y) => rect(x, y, 16, 10, more);

// Make `shown` like `wanted`, element by element, so that focus and a running drag survive.
function morph(shown, wanted) {
  for (const { name } of [...shown.attributes]) if (!wanted.hasAttribute(name)) shown.removeAttribute(name);
  for (const { name, value } of wanted.attributes)
    if (shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  const before = [...shown.childNodes],
    after = [...wanted.childNodes];
  after.forEach((node, i) => {
    const old = before[i];
    if (!old) shown.append(node);
    else if (old.nodeName !== node.nodeName) old.replaceWith(node);
    else if (node.nodeType === Node.TEXT_NODE) {
      if (old.data !== node.data) old.data = node.data;
    } else morph(old, node);
  });
  before.slice(after.length).forEach(node => node.remove());
}

// ---------- scales ----------

const linear = (low, high, from, to) => x => from + ((x - low) / (high - low)) * (to - from);
const logarithmic = (low, high, from, to) => x =>
  linear(Math.log(low), Math.log(high), from, to)(Math.log(x));
const clamp = (x, low, high) => Math.min(Math.max(x, low), high);

// ---------- a panel ----------

function start(panel, given) {
  const state = structuredClone(given.state),
    ui = { ghost: null, over: null };
  const root = document.documentElement,
    picture = svg("svg", { role: "group" });
  const status = html("div", { role: "status" });
  let data = null,
    anchor = null,
    view = null,
    waiting = null,
    drawn = 0;

  // Draw at most once per frame: states in between are dropped, never queued.
  function redraw(event) {
    if (waiting) return;
    waiting = { time: event ? event.timeStamp : null };
    requestAnimationFrame(() => {
      const { time } = waiting;
      waiting = null;
      show();
      root.dataset.n = ++drawn;
      if (time) root.dataset.ms = (performance.now() - time).toFixed(1);
      fitFrame();
    });
  }

  function show() {
    data = panel.compute(state, given);
    ui.ghost = anchor && JSON.stringify(anchor) !== JSON.stringify(data) ? anchor : null;
    view = panel.layout(Math.max(picture.parentNode.clientWidth, 300), data, given);
    const defs = svg(
      "defs",
      {},
      HATCHES.map(name => hatch(`hatch-${name}`, `var(--${name})`)),
    );
    const wanted = svg(
      "svg",
      {
        role: "group",
        "aria-label": given.title,
        viewBox: `0 0 ${view.width} ${view.height}`,
        height: view.height,
        class: picture.getAttribute("class"),
      },
      defs,
      panel.draw(view, data, ui, given),
    );
    morph(picture, wanted);
    status.textContent = panel.describe(data, given);
    controls.forEach(control => control.update());
  }

  function change(changes, event) {
    Object.assign(state, changes);
    redraw(event);
  }

  // ----- controls -----

  const impossible = (name, value) => (panel.impossible ? panel.impossible(name, value, state, given) : "");
  const unused = name => Boolean(panel.unused && panel.unused(name, state, given));

  function slider(name, { label, options, scale }) {
    const input = html("input", {
      type: "range",
      min: 0,
      max: options.length - 1,
      step: 1,
      "aria-label": label,
      name,
    });
    const shown = html("output"),
      ticks = options.map(([words]) => html("span", {}, words));
    const nearest = () => {
      // a drag in the drawing may leave the listed values
      const exact = options.findIndex(([, value]) => value === state[name]);
      if (exact >= 0 || typeof state[name] !== "number") return exact;
      const gaps = options.map(([, value]) => Math.abs(value - state[name]));
      return gaps.indexOf(Math.min(...gaps));
    };
    input.addEventListener("input", event => {
      const now = nearest(),
        wanted = Number(input.value),
        step = wanted < now ? -1 : 1;
      let i = wanted;
      while (options[i] && impossible(name, options[i][1])) i += step; // jump over values that can't be built
      if (!options[i]) i = now;
      input.value = i;
      change({ [name]: options[i][1] }, event);
    });
    const update = () => {
      const i = nearest(),
        words = panel.value ? panel.value(name, state, options[i][0]) : options[i][0];
      input.value = i;
      input.disabled = unused(name);
      input.setAttribute("aria-valuetext", words);
      shown.textContent = words;
      ticks.forEach((tick, k) => {
        const why = impossible(name, options[k][1]);
        tick.className = why ? "impossible" : k === i ? "chosen" : "";
        tick.title = why;
        tick.style.left = `calc(8px + ${k / (options.length - 1)} * (100% - 16px))`;
      });
    };
    const body = scale
      ? html("span", {}, input, html("span", { class: "scale", "aria-hidden": "true" }, ticks))
      : input;
    return {
      update,
      made: html("label", { class: scale ? "control scaled" : "control" }, label, body, shown),
    };
  }

  function words(name, { label, options }) {
    const inputs = options.map(([, value], i) => html("input", { type: "radio", name, value: i }));
    inputs.forEach((input, i) =>
      input.addEventListener("change", event => change({ [name]: options[i][1] }, event)),
    );
    const update = () =>
      inputs.forEach((input, i) => {
        input.checked = options[i][1] === state[name];
        input.disabled = unused(name);
      });
    const rows = inputs.map((input, i) => html("label", {}, input, options[i][0]));
    return {
      update,
      made: html(
        "div",
        { class: "control", role: "radiogroup", "aria-label": label },
        html("span", {}, label),
        html("span", { class: "words" }, rows),
      ),
    };
  }

  function menu(name, { label, options }) {
    const own = html("option", { value: -1, hidden: "" }, "your own");
    const select = html(
      "select",
      { name },
      own,
      options.map(([words], i) => html("option", { value: i }, words)),
    );
    select.addEventListener("change", event => {
      const value = options[Number(select.value)][1];
      change(panel.choose ? panel.choose(name, value, given) : { [name]: value }, event);
    });
    const update = () => {
      select.value = options.findIndex(([, value]) => value === state[name]);
    };
    return { update, made: html("label", { class: "control" }, label, select) };
  }

  function checkbox(name, { label }) {
    const input = html("input", { type: "checkbox", name });
    input.addEventListener("change", event => change({ [name]: input.checked }, event));
    return {
      update: () => {
        input.checked = state[name];
      },
      made: html("label", { class: "control" }, input, label),
    };
  }

  const makers = { slider, buttons: words, menu, checkbox };
  const controls = Object.entries(given.controls).map(([name, control]) => {
    const made = makers[control.kind](name, control);
    return {
      ...made,
      update: () => {
        made.made.classList.toggle("unused", unused(name));
        made.update();
      },
    };
  });
  const presets = Object.entries(given.presets).map(([label, whole]) => {
    const button = html("button", { type: "button" }, label);
    button.addEventListener("click", event => change(structuredClone(whole), event));
    return button;
  });

  // ----- pointer and keyboard on the drawing -----

  let dragged = null;
  const drag = event => {
    const box = picture.getBoundingClientRect();
    change(panel.drag(dragged, event.clientX - box.left, event.clientY - box.top, view, state, given), event);
  };
  picture.addEventListener("pointerdown", event => {
    const target = event.target.closest("[data-drag]");
    if (!target || event.button) return;
    event.preventDefault(); // no selection of text
    (target.closest("[tabindex]") || target).focus({ preventScroll: true });
    dragged = target.dataset.drag;
    picture.setPointerCapture(event.pointerId);
    picture.classList.add("dragging");
    drag(event);
  });
  picture.addEventListener("pointermove", event => {
    if (dragged) return drag(event);
    point(event.target.closest("[data-point]"), event);
  });
  picture.addEventListener("pointerleave", event => dragged || point(null, event));
  for (const end of ["pointerup", "pointercancel"])
    picture.addEventListener(end, () => {
      dragged = null;
      picture.classList.remove("dragging");
    });
  const point = (target, event) => {
    // hover or focus: nothing but the drawing changes
    const over = target ? target.dataset.point : null;
    if (over !== ui.over) {
      ui.over = over;
      redraw(event);
    }
  };
  picture.addEventListener("focusin", event => point(event.target.closest("[data-point]"), event));
  picture.addEventListener("focusout", event => point(null, event));

  const STEPS = {
    ArrowUp: 1,
    ArrowRight: 1,
    ArrowDown: -1,
    ArrowLeft: -1,
    PageUp: 5,
    PageDown: -5,
    Home: -1000,
    End: 1000,
  };
  picture.addEventListener("keydown", event => {
    const target = event.target.closest("[data-drag], [data-point]"),
      steps = STEPS[event.key];
    if (!target || !steps) return;
    event.preventDefault();
    if (target.dataset.drag)
      return change(panel.step(target.dataset.drag, steps, state, given, event.key), event);
    const others = [...picture.querySelectorAll("[data-point]")],
      at = others.indexOf(target);
    others[clamp(at + steps, 0, others.length - 1)].focus();
  });
  for (const begin of ["pointerdown", "keydown"])
    addEventListener(
      begin,
      () => {
        anchor = data;
      },
      true,
    );

  // ----- the page around it -----

  function fitFrame() {
    // as high as the panel; an image below it, for readers without scripts, is hidden
    const frame = window.frameElement;
    if (!frame) return;
    const height = `${Math.ceil(document.body.getBoundingClientRect().height) + 2}px`;
    if (frame.style.height !== height) frame.style.height = height;
    frame.parentElement.dataset.alive = "yes";
  }

  document.body.append(
    html(
      "main",
      { class: `moonshine-${given.name}` },
      html(
        "div",
        { class: "controls" },
        controls.map(control => control.made),
      ),
      html("div", { class: "presets", role: "group", "aria-label": "presets" }, presets),
      html("div", {}, picture),
      status,
    ),
  );
  followTheme(root);
  new ResizeObserver(() => redraw()).observe(picture.parentNode);
  window.live = { state, change, panel, given };
}

// Dark or light as the page around it: JupyterLab's theme, Furo's, or else the reader's own preference.
function followTheme(root) {
  const prefers = matchMedia("(prefers-color-scheme: dark)");
  let body = null;
  try {
    body = window.frameElement && parent.document.body;
  } catch (error) {
    /* a page of another site */
  }
  const set = () => {
    const lab = body && body.dataset.jpThemeLight,
      furo = body && body.dataset.theme;
    const dark = lab
      ? lab === "false"
      : furo === "dark" || furo === "light"
        ? furo === "dark"
        : prefers.matches;
    root.dataset.theme = dark ? "dark" : "light";
  };
  set();
  prefers.addEventListener("change", set);
  if (body) new MutationObserver(set).observe(body, { attributes: true });
}
