"use strict";
// Attention maps over an image, and what is measured on them: the drawings of the panels that need a kernel.
//
// The data come from Python, either one state at a time (`state.data`) or, in a page without a kernel, all
// states of a few images at once (`given.answers`). What needs no network is done here: opacity, pointing at
// a position to read its value in all networks, clicking a network to compare it.

// ---------- images ----------

const colorAt = (palette, share) => palette[Math.round(clamp(share, 0, 1) * (palette.length - 1))];
const made = new WeakMap(); // values -> { what, url }: an image is made once, not at every redraw

function imageOf(values, height, width, what, color) {
  // `color` gives a pixel's color; `what` tells images of the same values apart
  const known = made.get(values);
  if (known && known.what === what) return known.url;
  const canvas = html("canvas", { width, height }),
    context = canvas.getContext("2d"),
    image = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) image.data.set([...color(i), 255], 4 * i);
  context.putImageData(image, 0, 0);
  const url = canvas.toDataURL();
  made.set(values, { what, url });
  return url;
}

const picture = (x, y, side, href, more = {}) =>
  svg("image", {
    x,
    y,
    width: side,
    height: side,
    href,
    preserveAspectRatio: "none",
    class: "pixels",
    ...more,
  });

function viridis({ map, side }, top, given) {
  return imageOf(map, side, side, `viridis ${top}`, i => colorAt(given.viridis, map[i] / top));
}
function signed(values, side, top, given) {
  return imageOf(values, side, side, `signed ${top}`, i =>
    colorAt(given.signed, 0.5 + values[i] / (2 * top)),
  );
}
const inColor = ({ pixels, side }) =>
  imageOf(pixels, side, side, "color", i => pixels.slice(3 * i, 3 * i + 3));
const GRAY = new WeakMap(); // pixels -> the same image in gray
function inGray({ pixels, side }) {
  if (!GRAY.has(pixels)) {
    const mean = Array.from({ length: side * side }, (_, i) =>
      Math.floor((pixels[3 * i] + pixels[3 * i + 1] + pixels[3 * i + 2]) / 3),
    );
    GRAY.set(
      pixels,
      imageOf(mean, side, side, "gray", i => [mean[i], mean[i], mean[i]]),
    );
  }
  return GRAY.get(pixels);
}

// The outline of a mask, given as a text of 0 and 1, row by row.
function outline(mask, x, y, size) {
  if (!mask) return null;
  const side = Math.sqrt(mask.length),
    step = size / side,
    inside = (row, col) => row >= 0 && col >= 0 && row < side && col < side && mask[row * side + col] === "1";
  let path = "";
  for (let row = 0; row <= side; row++)
    for (let col = 0; col <= side; col++) {
      const at = `M${(x + col * step).toFixed(1)} ${(y + row * step).toFixed(1)}`;
      if (inside(row, col) !== inside(row - 1, col)) path += `${at}h${step.toFixed(2)}`;
      if (inside(row, col) !== inside(row, col - 1)) path += `${at}v${step.toFixed(2)}`;
    }
  return [svg("path", { d: path, class: "rim dark" }), svg("path", { d: path, class: "rim" })];
}

const MARKS = { x: "M-5 -5L5 5M-5 5L5 -5", "+": "M-6 0H6M0 -6V6", "−": "M-6 0H6" };
const mark = (sign, x, y) =>
  ["rim dark", "rim"].map(kind =>
    svg("path", { d: MARKS[sign], transform: `translate(${x} ${y})`, class: kind }),
  );
function markAt(sign, index, side, x, y, size) {
  const row = Math.floor(index / side),
    col = index % side;
  return mark(sign, x + ((col + 0.5) / side) * size, y + ((row + 0.5) / side) * size);
}
const largest = values => values.reduce((best, v, i) => (v > values[best] ? i : best), 0);

// ---------- what all drawings share ----------

const DIFFERENCES = new WeakMap(); // map -> its difference from the first row's
function difference(row, first) {
  if (row.side !== first.side) return null;
  if (!DIFFERENCES.has(row.map))
    DIFFERENCES.set(
      row.map,
      row.map.map((v, i) => v - first.map[i]),
    );
  return DIFFERENCES.get(row.map);
}

const topOf = rows => Math.max(...rows.map(row => Math.max(...row.map)));
const short2 = v => short(v, 2);

function scaleBar(x, y, height, low, high, palette) {
  const gradient = Array.from({ length: 64 }, (_, i) => 1 - i / 63);
  if (!made.has(palette))
    made.set(palette, { url: imageOf(gradient, 64, 1, "bar", i => colorAt(palette, gradient[i])) });
  return svg(
    "g",
    {},
    svg("image", { x, y, width: 12, height, href: made.get(palette).url, preserveAspectRatio: "none" }),
    text(x + 16, y + 10, short2(high), { class: "small" }),
    text(x + 16, y + height, short2(low), { class: "small" }),
  );
}

// The cell of a map under the pointer, and its value.
function cellOf(data, row) {
  if (!data.cell) return null;
  const at = v => Math.min(row.side - 1, Math.floor(v * row.side));
  return { row: at(data.cell.y), col: at(data.cell.x) };
}
const valueAt = (data, row) => {
  const { row: r, col } = cellOf(data, row);
  return row.map[r * row.side + col];
};
function pointed(data, row, x, y, size) {
  if (!data.cell) return null;
  const cell = cellOf(data, row),
    step = size / row.side,
    box = { width: step, height: step, x: x + cell.col * step, y: y + cell.row * step };
  return [svg("rect", { ...box, class: "rim dark" }), svg("rect", { ...box, class: "rim" })];
}

// A network's map over the gray image. Pointing at it shows a value in all maps; a click chooses the network.
function mapOf(data, row, x, y, size, top, given) {
  const words = `attention map of ${row.name}, ${row.side} by ${row.side}; ${row.peak_words}`;
  return svg(
    "g",
    { "data-map": row.name, "data-box": `${x} ${y} ${size}`, tabindex: 0, role: "img", "aria-label": words },
    picture(x, y, size, inGray(data.image)),
    picture(x, y, size, viridis(row, top, given), { opacity: data.opacity }),
    outline(data.mask, x, y, size),
    mark("x", x + size * row.peak.x, y + size * row.peak.y),
    pointed(data, row, x, y, size),
    rect(x, y, size, size, { class: row.name === data.network ? "frame chosen" : "frame" }),
  );
}

function heading(row, x) {
  const said = { true: ", right", false: ", WRONG" }[row.right] || "";
  return [
    text(x, 14, row.name, { class: "title" }),
    text(x, 30, row.predicted + said, { class: row.right === false ? "wrong" : "small" }),
  ];
}

function imageAt(data, x, y, size) {
  return svg(
    "g",
    {},
    text(x, 14, "image", { class: "title" }),
    picture(x, y, size, inColor(data.image)),
    outline(data.mask, x, y, size),
  );
}

// The columns of a row of maps: an image and `count` maps, and space for the color scale.
function columns(width, count) {
  const step = Math.min((width - 52) / (count + 1), 190);
  return { x: i => 2 + step * i, size: step - 10, bar: 2 + step * (count + 1) };
}
const TOP = 40; // the y of maps

const DRAWINGS = {
  // ---------- the attention explorer ----------
  attention: {
    height: ({ size }, data) => TOP + size + 34 + (data.view === "one" ? 0 : size + 22) + 100,

    columns: (width, data) => columns(width, data.view === "one" ? 3 : data.rows.length),

    draw(data, view, given) {
      const { x, size, bar } = view.grid,
        one = data.view === "one",
        first = data.rows[0],
        rows = one
          ? [...data.rows].sort((a, b) => (b.name === data.network) - (a.name === data.network))
          : data.rows,
        top = topOf(rows),
        spread = Math.max(
          1e-9,
          ...rows.map(row => Math.max(0, ...(difference(row, first) || []).map(Math.abs))),
        ),
        strongest = Math.max(...rows.map(row => Math.max(...row.channels)));
      const low = one ? TOP + size + 30 : TOP + 2 * size + 56; // of the channels
      const maps = rows.map((row, i) => [
        heading(row, x(i + 1)),
        mapOf(data, row, x(i + 1), TOP, size, top, given),
        this.value(data, row, x(i + 1), TOP + size + 14),
        this.channels(row, x(i + 1), low, size, strongest),
      ]);
      const below = one
        ? [
            text(x(3), 14, `${rows[0].name} minus ${data.teacher}`, { class: "title" }),
            text(x(3), 30, "+ maximum, − minimum", { class: "small" }),
            this.difference(data, rows[0], first, x(3), TOP, size, spread, given),
            this.losses(rows[0], first, x(3), TOP + size + 30, true),
            scaleBar(bar, TOP, size, -spread, spread, given.signed),
          ]
        : [
            ["this network's", "map minus the", "teacher's:", "+ maximum,", "− minimum"].map((words, i) =>
              text(x(0), TOP + size + 60 + 16 * i, words, { class: "small" }),
            ),
            rows.map((row, i) => [
              row === first
                ? null
                : this.difference(data, row, first, x(i + 1), TOP + size + 34, size, spread, given),
              this.losses(row, first, x(i + 1), [TOP + size + 28, low + 84], false),
            ]),
            scaleBar(bar, TOP, size, 0, top, given.viridis),
            scaleBar(bar, TOP + size + 34, size, -spread, spread, given.signed),
          ];
      return [
        imageAt(data, x(0), TOP, size),
        maps,
        below,
        text(x(0), low + 30, "strength of", { class: "small" }),
        text(x(0), low + 45, "each channel", { class: "small" }),
      ];
    },

    value: (data, row, x, y) =>
      text(x, y, data.cell ? `here ${short2(valueAt(data, row))}` : "", { class: "small" }),

    difference(data, row, first, x, y, size, spread, given) {
      const values = difference(row, first);
      if (!values) return text(x, y + size / 2, "another size", { class: "small" });
      if (values.every(v => v === 0)) return picture(x, y, size, signed(values, row.side, spread, given));
      const least = largest(values.map(v => -v));
      return [
        picture(x, y, size, signed(values, row.side, spread, given)),
        markAt("+", largest(values), row.side, x, y, size),
        markAt("−", least, row.side, x, y, size),
        pointed(data, row, x, y, size),
      ];
    },

    losses(row, first, x, y, together) {
      if (row === first || row.at_loss === null) return null;
      const [above, below] = together ? [y, y + 16] : y;
      return [
        text(x, above, `AT loss ${row.at_loss.toFixed(5)}`, { class: "small" }),
        row.squared_error === null
          ? null
          : text(x, below, `sq. error ${row.squared_error.toFixed(2)}`, { class: "small" }),
      ];
    },

    channels(row, x, y, size, strongest) {
      const step = size / row.channels.length;
      const bars = row.channels.map((v, i) => {
        const tall = (70 * v) / strongest;
        const [from, up] = [x + i * step, tall].map(each => each.toFixed(1));
        return `M${from} ${y + 70}v-${up}h${step.toFixed(2)}v${up}z`;
      });
      return svg("path", { d: bars.join(""), class: "bars" });
    },
  },

  // ---------- one image among a thousand ----------
  where: {
    height: () => 432,

    columns: () => ({ size: 176 }),

    draw(data, { width }, given) {
      const size = 176,
        left = 266,
        wide = Math.max((width - left - 62) / 2, 110),
        right = left + wide + 50;
      const row = data.rows.find(each => each.name === data.network);
      return [
        text(2, 14, `image ${data.number}: a ${data.label}`, { class: "title" }),
        picture(2, 22, size, inColor(data.image)),
        outline(data.mask, 2, 22, size),
        text(2, 216, `${row.name}, group ${data.group}`, { class: "title" }),
        text(2, 232, `predicts ${row.predicted}${row.right ? ", right" : ", WRONG"}`, {
          class: row.right ? "small" : "wrong",
        }),
        mapOf(data, row, 2, 240, size, topOf([row]), given),
        data.cell ? text(2, 428, `here ${short2(valueAt(data, row))}`, { class: "small" }) : null,
        this.histograms(data, left, wide),
        this.scatter(data, right, wide),
      ];
    },

    histograms(data, left, wide) {
      const at = linear(0, 0.9, left, left + wide),
        names = Object.keys(data.histograms),
        step = 70;
      return svg(
        "g",
        {},
        text(left, 14, "energy on the object", { class: "title" }),
        names.map((name, i) => {
          const { counts, mean, here } = data.histograms[name],
            base = 30 + step * (names.length - i) - 10,
            top = Math.max(...counts),
            bin = 1 / counts.length;
          const steps = counts.map(
            (n, k) => `V${(base - (52 * n) / top).toFixed(1)}H${at(Math.min((k + 1) * bin, 0.9)).toFixed(1)}`,
          );
          return svg(
            "g",
            name === "chance" ? {} : { "data-network": name, class: "choice" },
            rect(left - 60, base - 54, wide + 60, 64, { class: "hit" }),
            text(left - 8, base - 14, name, {
              "text-anchor": "end",
              class: name === data.network ? "title" : "",
            }),
            svg("path", {
              d: `M${left} ${base}${steps.join("")}V${base}z`,
              class: name === "chance" ? "chance" : "energy",
              opacity: name === data.network ? 1 : 0.6,
            }),
            svg("path", { d: `M${at(mean)} ${base + 1}l5 8h-10z`, class: "mean" }),
            svg("path", { d: `M${at(here)} ${base}v-52`, class: "here" }),
          );
        }),
        line(left, 372, left + wide, 372),
        [0, 0.4, 0.8].map(tick => text(at(tick), 388, tick, { "text-anchor": "middle", class: "tick" })),
        text(left, 404, "line: this image", { class: "small" }),
        text(left, 419, "triangle: mean", { class: "small" }),
      );
    },

    scatter(data, left, wide) {
      const side = Math.min(wide, 320),
        x = linear(0, 0.9, left, left + side),
        y = linear(0, 0.9, 372, 372 - side),
        { against, points, here } = data.scatter;
      const dots = points.filter(p => p[2]).map(p => `M${x(p[0]).toFixed(1)} ${y(p[1]).toFixed(1)}h0`),
        crosses = points
          .filter(p => !p[2])
          .map(p => `M${(x(p[0]) - 3).toFixed(1)} ${(y(p[1]) - 3).toFixed(1)}l6 6m-6 0l6 -6`);
      return svg(
        "g",
        {},
        text(left + side, 372 - side - 14, `${data.network} against ${against}`, {
          class: "title",
          "text-anchor": "end",
        }),
        line(x(0), y(0), x(0.9), y(0.9), "grid"),
        line(left, 372, left + side, 372),
        line(left, 372, left, 372 - side),
        svg("path", { d: dots.join(""), class: "dots" }),
        svg("path", { d: crosses.join(""), class: "crosses" }),
        svg("circle", { cx: x(here[0]), cy: y(here[1]), r: 7, class: "ring" }),
        [0, 0.4, 0.8].map(tick => [
          text(x(tick), 388, tick, { "text-anchor": "middle", class: "tick" }),
          text(left - 6, y(tick) + 4, tick, { "text-anchor": "end", class: "tick" }),
        ]),
        text(left, 404, "×: error", { class: "small" }),
        text(left, 419, "ring: this image", { class: "small" }),
      );
    },
  },

  // ---------- the energy in a box ----------
  box: {
    height: ({ size }, data) => TOP + size + 46 + 26 * data.rows.length + 20,

    columns: (width, data) => columns(width, data.rows.length),

    draw(data, view, given) {
      const { x, size, bar } = view.grid,
        top = topOf(data.rows),
        start = TOP + size + 46,
        at = linear(0, 1, 70, view.width - 60),
        tall = 26 * data.rows.length;
      return [
        imageAt(data, x(0), TOP, size),
        data.rows.map((row, i) => [
          heading(row, x(i + 1)),
          mapOf(data, row, x(i + 1), TOP, size, top, given),
          data.cell
            ? text(x(i + 1), TOP + size + 14, `here ${short2(valueAt(data, row))}`, { class: "small" })
            : null,
        ]),
        scaleBar(bar, TOP, size, 0, top, given.viridis),
        text(
          70,
          start - 8,
          `energy in the box; line: chance, ${fixed(100 * data.chance)} %, the box's share of the area`,
          { class: "title" },
        ),
        data.rows.map((row, i) => [
          text(62, start + 26 * i + 15, row.name, { "text-anchor": "end" }),
          rect(70, start + 26 * i, at(row.inside) - 70, 20, { class: "energy" }),
          text(at(row.inside) + 6, start + 26 * i + 15, `${fixed(100 * row.inside)} %`, { class: "halo" }),
        ]),
        line(at(data.chance), start - 2, at(data.chance), start + tall, "here"),
      ];
    },
  },
};

// ---------- the panel ----------

const HINT =
  "Point at a map, or focus it and use the arrow keys, to read its value in all networks; " +
  "click a network to compare it.";

const panel = {
  compute(state, given) {
    const data = given.answers ? given.answers[given.key.map(name => state[name]).join(" ")] : state.data;
    return data && { ...data, opacity: state.opacity, cell: state.cell };
  },

  describe(data, given) {
    if (!data || data.problem) return data ? data.problem : "";
    const words = given.answers ? `${data.text}\n` : "";
    if (!data.cell) return words + HINT;
    const { row, col } = cellOf(data, data.rows[0]);
    const values = data.rows.map(each => `${each.name} ${short2(valueAt(data, each))}`);
    return `${words}Row ${row + 1}, column ${col + 1} of the map: ${values.join(", ")}.`;
  },

  layout(width, data) {
    if (!data || data.problem) return { width, height: 60 };
    const drawing = DRAWINGS[data.kind],
      grid = drawing.columns(width, data);
    return { width, grid, height: drawing.height(grid, data) };
  },

  draw(view, data, ui, given) {
    if (!data) return [];
    if (data.problem) return text(2, 30, data.problem, { class: "title" });
    return DRAWINGS[data.kind].draw(data, view, given);
  },
};

// ---------- pointer and keyboard on the maps ----------

function pointAt(target, event) {
  const [x, y, size] = target.dataset.box.split(" ").map(Number),
    box = target.ownerSVGElement.getBoundingClientRect();
  const share = (v, from) => clamp((v - from) / size, 0, 0.999);
  live.change(
    { cell: { x: share(event.clientX - box.left, x), y: share(event.clientY - box.top, y) } },
    event,
  );
}
document.addEventListener("pointermove", event => {
  const target = event.target.closest("[data-map]");
  if (target) pointAt(target, event);
  else if (window.live && live.state.cell) live.change({ cell: null }, event);
});
document.documentElement.addEventListener(
  "pointerleave",
  () => live.state.cell && live.change({ cell: null }),
);

function choose(name) {
  // here, and in the kernel if there is one
  if (live.tell) live.tell({ name: "network", value: name });
  else if ("network" in live.state) live.change({ network: name });
}
document.addEventListener("click", event => {
  const target = event.target.closest("[data-map], [data-network]");
  if (target) choose(target.dataset.map || target.dataset.network);
});

const MOVE = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
document.addEventListener("keydown", event => {
  const target = event.target.closest("[data-map]");
  if (!target) return;
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    return choose(target.dataset.map);
  }
  if (!MOVE[event.key]) return;
  event.preventDefault();
  const data = panel.compute(live.state, live.given),
    { side } = data.rows.find(row => row.name === target.dataset.map),
    { x, y } = live.state.cell || { x: 0.5, y: 0.5 },
    step = (v, by) => clamp((Math.floor(v * side) + by + 0.5) / side, 0.5 / side, 1 - 0.5 / side);
  live.change({ cell: { x: step(x, MOVE[event.key][0]), y: step(y, MOVE[event.key][1]) } }, event);
});

addEventListener("DOMContentLoaded", () => {
  // frames call back in order: after the drawing that was asked for before
  live.drawn = () => new Promise(requestAnimationFrame);
});

document.head.append(
  html(
    "style",
    {},
    `svg .pixels { image-rendering: pixelated; }
     svg .rim { fill: none; stroke: #fff; stroke-width: 1.3; }
     svg .rim.dark { stroke: #000; stroke-width: 3; }
     svg .frame { fill: transparent; stroke: none; cursor: pointer; }
     svg .frame.chosen { stroke: var(--text); stroke-width: 2; }
     svg .choice { cursor: pointer; }
     svg text.wrong { fill: var(--red-text); font-size: 11px; font-weight: 700; }
     svg .bars { fill: var(--muted); }
     svg .energy { fill: var(--sky); }
     svg .chance { fill: var(--line); }
     svg .mean { fill: var(--text); }
     svg .here { stroke: var(--red); stroke-width: 2; fill: none; }
     svg .dots { stroke: var(--sky); stroke-width: 3; stroke-linecap: round; fill: none; }
     svg .crosses { stroke: var(--red); stroke-width: 1.5; fill: none; }
     svg .ring { fill: none; stroke: var(--text); stroke-width: 2; }
     [role="status"] { min-height: 1.6em; }
     .presets:empty, .controls:empty { display: none; }`,
  ),
);
