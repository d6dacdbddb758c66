"use strict";
// Group wiring: which outputs of a grouped convolution change with one input channel?

// A small convolution with random weights is really run, on images in which one channel is not zero.
const SIDE = 5;

function randomNumbers(seed) {
  // between -1 and 1; a linear congruential generator
  return () => (seed = (1664525 * seed + 1013904223) % 4294967296) / 2147483648 - 1;
}

function convolve(image, weights, x, y) {
  // one output of a 3×3 convolution with zeros outside
  let sum = 0;
  for (let dy = -1; dy <= 1; dy++)
    for (let dx = -1; dx <= 1; dx++) {
      const row = y + dy,
        column = x + dx;
      if (row >= 0 && row < SIDE && column >= 0 && column < SIDE)
        sum += weights[3 * (dy + 1) + dx + 1] * image[SIDE * row + column];
    }
  return sum;
}

function influences(groups, pointwise, N) {
  // [out][in], >= 0, after each layer
  const random = randomNumbers(0),
    many = n => Array.from({ length: n }, random),
    share = N / groups;
  const images = Array.from({ length: N }, () => many(SIDE * SIDE)); // image i: only channel i
  const kernels = Array.from({ length: N }, () => Array.from({ length: share }, () => many(9)));
  const mixing = Array.from({ length: N }, () => many(N));
  const silent = new Array(SIDE * SIDE).fill(0);
  const group = channel => Math.floor(channel / share);
  const after = images.map((image, i) =>
    kernels.map((kernel, o) =>
      // [in][out] -> values at all positions
      group(i) !== group(o)
        ? silent
        : image.map((_, at) => convolve(image, kernel[i % share], at % SIDE, Math.floor(at / SIDE))),
    ),
  );
  const size = stage =>
    Array.from({ length: N }, (_, o) => stage.map(row => row[o].reduce((sum, v) => sum + Math.abs(v), 0)));
  if (!pointwise) return [size(after)];
  const mixed = after.map(row =>
    mixing.map(weights => silent.map((_, at) => weights.reduce((sum, w, i) => sum + w * row[i][at], 0))),
  );
  return [size(after), size(mixed)];
}

const known = {}; // the convolution is run once for each layer that a reader asks for

const panel = {
  compute({ groups, pointwise, channel }, given) {
    const N = given.channels,
      key = `${groups} ${pointwise}`;
    known[key] =
      known[key] || influences(groups, pointwise, N).map(stage => stage.map(row => row.map(v => v > 0)));
    const grouped = known[key][0],
      influence = known[key].at(-1);
    const moved = [...influence.keys()].filter(o => influence[o][channel]);
    return { groups, pointwise, channel, channels: N, influence, grouped, moved };
  },

  describe({ groups, pointwise, channel, channels, moved }) {
    const which =
      moved.length === channels
        ? "all of them"
        : moved.length === 1
          ? `only number ${moved[0]}`
          : `those of its own group, ${moved[0]} to ${moved.at(-1)}`;
    const layer = groups > 1 ? `a 3×3 convolution in ${groups} groups` : "a full 3×3 convolution";
    const said =
      `Channel ${channel} disturbed, ${layer}${pointwise ? ", then a 1×1" : ""}: ` +
      `${moved.length} of ${channels} outputs change, ${which}.`;
    if (groups === 1) return said;
    return (
      said +
      (pointwise
        ? " The 1×1 convolution mixes what the groups keep separate."
        : " A grouped convolution does not mix all channels, and neither would a stack of them with the same groups.")
    );
  },

  layout(width, data) {
    const N = data.channels,
      row = 19,
      top = 52,
      plan = Math.min(0.56 * width, 520);
    const side = clamp(width - plan - 60, 120, row * N),
      columns = data.pointwise ? 3 : 2;
    return {
      width,
      height: top + row * N + 30,
      row,
      top,
      side,
      columns,
      x: linear(0, columns - 1, 48, plan - 30),
      y: i => top + row * (i + 0.5),
      left: plan + 46,
      cell: side / N,
    };
  },

  draw(view, data, ui) {
    const { channels: N, channel, grouped, moved } = data,
      all = [...Array(N).keys()];
    const middle = all.filter(o => grouped[o][channel]);
    const columns = [[channel], middle, moved].slice(0, view.columns);
    const wires = (at, connected, marked) =>
      all
        .flatMap(o => all.filter(i => connected(o, i)).map(i => [i, o]))
        .sort((a, b) => marked.includes(a[0]) - marked.includes(b[0]))
        .map(([i, o]) =>
          svg("line", {
            x1: view.x(at) + 6,
            y1: view.y(i),
            x2: view.x(at + 1) - 6,
            y2: view.y(o),
            stroke: marked.includes(i) ? "var(--red)" : "var(--wire)",
            "stroke-width": marked.includes(i) ? 1.8 : 1,
          }),
        );
    const node = (at, i, marked) =>
      marked
        ? rect(view.x(at) - 6, view.y(i) - 6, 12, 12, { fill: "var(--red)", stroke: "var(--red)" })
        : svg("circle", {
            cx: view.x(at),
            cy: view.y(i),
            r: 5.5,
            fill: "var(--bg)",
            stroke: "var(--line)",
            "stroke-width": 1.4,
          });
    const labels = ["input", "after the 3×3", "after the 1×1"];
    const inputs = svg(
      "g",
      {
        "data-drag": "channel",
        tabindex: 0,
        role: "slider",
        "aria-orientation": "vertical",
        "aria-label": "disturbed input channel",
        "aria-valuemin": 0,
        "aria-valuemax": N - 1,
        "aria-valuenow": channel,
      },
      rect(view.x(0) - 40, view.top, 58, view.row * N, { class: "hit" }),
      all.map(i => node(0, i, i === channel)),
      all.map(i =>
        text(view.x(0) - 14, view.y(i) + 4, i, {
          "text-anchor": "end",
          class: i === channel ? "" : "small",
          "font-weight": i === channel ? 700 : 400,
          style: i === channel ? "fill: var(--red-text)" : null,
        }),
      ),
    );
    return [
      svg(
        "g",
        {},
        wires(0, (o, i) => grouped[o][i], [channel]),
      ),
      svg("g", {}, data.pointwise ? wires(1, () => true, middle) : []),
      columns.map((marked, at) =>
        text(view.x(at), view.top - 10, labels[at], { "text-anchor": "middle", class: "title" }),
      ),
      inputs,
      columns.slice(1).map((marked, k) =>
        svg(
          "g",
          {},
          all.map(o => node(k + 1, o, marked.includes(o))),
        ),
      ),
      this.drawGhost(view, data, ui.ghost),
      this.drawMatrix(view, data, all),
      svg(
        "g",
        {},
        legend(8, 8, [
          [(x, y) => rect(x + 3, y - 1, 12, 12, { fill: "var(--red)" }), "changes"],
          [
            (x, y) =>
              svg("circle", {
                cx: x + 9,
                cy: y + 5,
                r: 5.5,
                fill: "var(--bg)",
                stroke: "var(--line)",
                "stroke-width": 1.4,
              }),
            "does not change",
          ],
          [(x, y) => svg("circle", { cx: x + 9, cy: y + 5, r: 9, class: "ghost" }), "changed before"],
        ]),
      ),
    ];
  },

  drawGhost(view, data, ghost) {
    // rings around the outputs that changed before the last action
    if (!ghost || ghost.pointwise !== data.pointwise) return svg("g");
    return svg(
      "g",
      {},
      ghost.moved.map(o =>
        svg("circle", { cx: view.x(view.columns - 1), cy: view.y(o), r: 9, class: "ghost" }),
      ),
    );
  },

  drawMatrix(view, data, all) {
    // dark where an output depends on an input
    const { left, top, side, cell } = view;
    const cells = all.flatMap(o =>
      all
        .filter(i => data.influence[o][i])
        .map(i =>
          rect(left + cell * i, top + cell * o, cell, cell, {
            fill: "var(--muted)",
            stroke: "var(--bg)",
            "stroke-width": 0.6,
          }),
        ),
    );
    const ticks = all.filter(i => i % 5 === 0);
    return svg(
      "g",
      {},
      text(left, top - 10, "output depends on input", { class: "title" }),
      svg("g", {}, cells),
      rect(left, top, side, side, { fill: "none", stroke: "var(--line)" }),
      rect(left + cell * data.channel, top, cell, side, {
        fill: "none",
        stroke: "var(--red)",
        "stroke-width": 2.5,
      }),
      ticks.map(i =>
        text(left + cell * (i + 0.5), top + side + 13, i, { "text-anchor": "middle", class: "tick" }),
      ),
      ticks.map(i => text(left - 6, top + cell * (i + 0.5) + 4, i, { "text-anchor": "end", class: "tick" })),
      text(left + side / 2, top + side + 27, "input channel", { "text-anchor": "middle", class: "small" }),
      svg(
        "text",
        {
          x: 0,
          y: 0,
          transform: `translate(${left - 24} ${top + side / 2}) rotate(-90)`,
          "text-anchor": "middle",
          class: "small",
        },
        "output channel",
      ),
    );
  },

  drag(what, x, y, view, state, given) {
    return { channel: clamp(Math.floor((y - view.top) / view.row), 0, given.channels - 1) };
  },

  step(what, steps, state, given, key) {
    // channel 0 is on top, so "down" goes to a higher one
    const vertical = /Up|Down/.test(key);
    return { channel: clamp(state.channel + (vertical ? -steps : steps), 0, given.channels - 1) };
  },
};
