"use strict";
// Pareto explorer: test error against parameters for the networks of Table 2, within a budget that you drag.

const COLORS = ["blue", "red", "green", "pink", "orange", "sky", "text"]; // as in moonshine.plots.figures
const SHAPES = [
  // paths around (0, 0): circle, square, triangle, diamond, triangle down, plus, cross
  "M -5 0 a 5 5 0 1 0 10 0 a 5 5 0 1 0 -10 0",
  "M -5 -5 h 10 v 10 h -10 z",
  "M 0 -6 L 6 5 L -6 5 z",
  "M 0 -7 L 6 0 L 0 7 L -6 0 z",
  "M 0 6 L 6 -5 L -6 -5 z",
  "M -2 -6 h 4 v 4 h 4 v 4 h -4 v 4 h -4 v -4 h -4 v -4 h 4 z",
  "M -5 -5 L 5 5 M -5 5 L 5 -5",
];
const TICKS = [
  [1e5, "100 K"],
  [2e5, "200 K"],
  [5e5, "500 K"],
  [1e6, "1 M"],
  [2e6, "2 M"],
];
const AXES = {
  cifar10: { low: 4, high: 9.5, ticks: [4, 6, 8] },
  cifar100: { low: 22, high: 38, ticks: [25, 30, 35] },
};
const LEAST = 80000,
  MOST = 2300000;

function paretoFront(points) {
  // those that no other one dominates, sorted by parameters
  const front = [],
    same = (a, b) => a && a.parameters === b.parameters && a.error === b.error;
  let best = Infinity;
  for (const point of [...points].sort((a, b) => a.parameters - b.parameters || a.error - b.error)) {
    if (point.error < best || same(front.at(-1), point)) front.push(point);
    best = Math.min(best, point.error);
  }
  return front;
}

function contest(method, other, tables) {
  // for how many students is the error lower, equal, higher?
  const pairs = tables[method].slice(1).map((point, i) => [point.error, tables[other][i + 1].error]);
  return {
    method,
    other,
    lower: pairs.filter(([a, b]) => a < b).length,
    equal: pairs.filter(([a, b]) => a === b).length,
    higher: pairs.filter(([a, b]) => a > b).length,
  };
}

const panel = {
  compute({ dataset, method, budget, blocks }, given) {
    const tables = given.tables[dataset];
    const points = tables[method].map(point => ({
      ...point,
      shown: blocks === "all" || blocks === point.family,
      fits: point.parameters <= budget,
    }));
    const front = paretoFront(points.filter(point => point.shown));
    const fitting = front.filter(point => point.fits);
    const find = label => tables[method].find(point => point.label === label),
      [rival, deep] = [find(given.rival), find(given.depthwise)];
    return {
      dataset,
      method,
      budget,
      blocks,
      points,
      front,
      best: fitting.reduce((best, point) => (best && best.error <= point.error ? best : point), null),
      teacher: points[0],
      depthwise: points.find(point => point.label === given.depthwise),
      rival: given.rival,
      lead: {
        points: Math.round(100 * (deep.error - rival.error)) / 100,
        parameters: [rival.parameters, deep.parameters],
      },
      contests: given.contests.map(([one, other]) => contest(one, other, tables)),
    };
  },

  describe(data, given) {
    const {
      best,
      teacher,
      lead,
      contests: [first, ...others],
    } = data;
    const networks = data.blocks === "all" ? "any network" : `family ${data.blocks}`;
    const choice =
      best === null
        ? "none fits."
        : `${best.label} has the lowest error, ${best.error.toFixed(2)} %, with ${grouped(best.parameters)} parameters, ` +
          `${fixed((100 * best.parameters) / teacher.parameters)} % of the teacher's (${teacher.error.toFixed(2)} %).`;
    const pair = each => `${given.methods[each.method]} against ${given.methods[each.other]}`;
    return (
      `${given.datasets[data.dataset]}, ${networks}, method ${given.methods[data.method]}, at most ${grouped(data.budget)} parameters: ${choice}\n` +
      `Depthwise is not best: G(N) has ${lead.points.toFixed(2)} points more error than ${data.rival}, ` +
      `with ${grouped(lead.parameters[0] - lead.parameters[1])} fewer parameters.\n` +
      `KD does not always help: of 25 students, its error is lower than that of scratch for ${first.lower}, equal for ${first.equal}, higher for ${first.higher}. ` +
      others.map(each => `${pair(each)}: ${each.lower}, ${each.equal}, ${each.higher}`).join("; ") +
      "."
    );
  },

  value(name, state, words) {
    // the budget may lie between the slider's values
    return name === "budget" ? `${short(state.budget / 1000)} K` : words;
  },

  layout(width, data) {
    const narrow = width < 560,
      plot = narrow ? width : width - 228,
      high = 330,
      axes = AXES[data.dataset];
    return {
      width,
      height: narrow ? high + 60 + 210 : high + 62,
      plot,
      high,
      axes,
      x: logarithmic(75000, 2800000, 34, plot - 10),
      y: linear(axes.low, axes.high, high - 6, 26),
      budgetAt: px => Math.exp(linear(34, plot - 10, Math.log(75000), Math.log(2800000))(px)),
      side: narrow ? { x: 0, y: high + 70, width } : { x: plot + 20, y: 0, width: 208 },
    };
  },

  draw(view, data, ui, given) {
    const place = point => [view.x(point.parameters), view.y(point.error)];
    return [
      this.drawAxes(view, data, given),
      this.drawFront(view, data, place),
      this.drawPoints(view, data, place, ui, given),
      this.drawBudget(view, data, ui),
      this.drawNames(view, data, place),
      this.drawContests(view, data, given),
      this.drawLegend(view, data, given),
      this.drawCard(view, data, place, ui, given),
    ];
  },

  drawAxes(view, data, given) {
    const { x, y, plot, high, axes } = view;
    return svg(
      "g",
      {},
      text(0, 14, `${given.datasets[data.dataset]}, ${given.methods[data.method]}: test error, %`, {
        class: "title",
      }),
      TICKS.map(([tick, words]) => [
        line(x(tick), 26, x(tick), high, "grid"),
        text(x(tick), high + 14, words, { "text-anchor": "middle", class: "tick" }),
      ]),
      axes.ticks.map(tick => [
        line(34, y(tick), plot - 10, y(tick), "grid"),
        text(28, y(tick) + 4, tick, { "text-anchor": "end", class: "tick" }),
      ]),
      line(34, high, plot - 10, high),
      line(34, 26, 34, high),
      text((34 + plot) / 2, high + 29, "parameters, as the paper counts them, logarithmic", {
        "text-anchor": "middle",
        class: "small",
      }),
    );
  },

  drawFront(view, data, place) {
    const steps = data.front
      .map(place)
      .map(([x, y], i) => (i ? `H ${x} V ${y}` : `M ${x} ${y}`))
      .join(" ");
    return svg("path", {
      d: steps || "M 0 0",
      fill: "none",
      stroke: "var(--text)",
      "stroke-dasharray": "2 3",
    });
  },

  look(family, given) {
    const i = Object.keys(given.families).indexOf(family);
    return { color: `var(--${COLORS[i % COLORS.length]})`, shape: SHAPES[i % SHAPES.length] };
  },

  drawPoints(view, data, place, ui, given) {
    const order = [...data.points.keys()].sort(
      (a, b) => data.points[a].parameters - data.points[b].parameters,
    );
    return svg(
      "g",
      {},
      order.map(i => {
        const point = data.points[i],
          { color, shape } = this.look(point.family, given),
          [x, y] = place(point);
        if (!point.shown) return svg("circle", { cx: x, cy: y, r: 2.5, fill: "var(--line)", opacity: 0.6 });
        return svg(
          "g",
          {
            transform: `translate(${x} ${y})`,
            "data-point": i,
            tabindex: i === order[0] || ui.over === `${i}` ? 0 : -1,
            role: "img",
            "aria-label": this.card(point, data, given).join(", "),
          },
          svg("path", {
            d: shape,
            fill: point.fits ? color : "var(--bg)",
            stroke: color,
            "stroke-width": 1.8,
          }),
          svg("circle", { r: 11, class: "hit" }),
        );
      }),
    );
  },

  drawBudget(view, data, ui) {
    const at = view.x(data.budget),
      before = ui.ghost && ui.ghost.budget !== data.budget ? view.x(ui.ghost.budget) : null;
    const left = at > view.plot - 90;
    return svg(
      "g",
      {},
      before === null
        ? svg("line")
        : svg("line", { x1: before, y1: 30, x2: before, y2: view.high, class: "ghost" }),
      svg(
        "g",
        {
          "data-drag": "budget",
          tabindex: 0,
          role: "slider",
          "aria-label": "budget of parameters",
          "aria-valuemin": LEAST,
          "aria-valuemax": MOST,
          "aria-valuenow": data.budget,
          "aria-valuetext": `${grouped(data.budget)} parameters`,
        },
        rect(at - 9, 22, 18, view.high - 18, { class: "hit" }),
        svg("line", {
          x1: at,
          y1: 26,
          x2: at,
          y2: view.high,
          stroke: "var(--text)",
          "stroke-width": 1.6,
          "stroke-dasharray": "7 4",
        }),
        svg("path", {
          d: `M ${at - 5} ${view.high - 22} v 16 m 5 -16 v 16 m 5 -16 v 16`,
          stroke: "var(--text)",
          fill: "none",
        }),
        rect(at - 9, view.high - 24, 18, 20, { rx: 5, fill: "none", stroke: "var(--text)" }),
        text(at + (left ? -8 : 8), 36, `budget ${short(data.budget / 1000)} K`, {
          "text-anchor": left ? "end" : "start",
          class: "halo",
        }),
      ),
    );
  },

  drawNames(view, data, place) {
    // the best and the depthwise one, where their names cover no point
    const { best, depthwise } = data;
    const named = best ? [[best, `best: ${best.label}`]] : [];
    if (depthwise.shown && !(best && best.label === depthwise.label))
      named.push([depthwise, "depthwise G(N)"]);
    const taken = data.points
      .filter(point => point.shown)
      .map(place)
      .map(([x, y]) => [x - 8, y - 8, x + 8, y + 8]);
    const at = view.x(data.budget);
    taken.push([at - 3, 20, at + 3, view.high], [at - 10, view.high - 26, at + 10, view.high]);
    const overlap = ([a, b, c, d], [e, f, g, h]) =>
      Math.max(0, Math.min(c, g) - Math.max(a, e)) * Math.max(0, Math.min(d, h) - Math.max(b, f));
    return svg(
      "g",
      { "pointer-events": "none" },
      named.map(([point, words]) => {
        const [x, y] = place(point),
          wide = 6.9 * words.length;
        const boxes = [
          [13, -6],
          [13, 16],
          [13, -22],
          [-13 - wide, 16],
          [-13 - wide, -6],
          [-13 - wide, -22],
          [-wide / 2, 28],
          [-wide / 2, -18],
          [-wide / 2, 44],
          [22, 34],
          [-22 - wide, 34],
        ].map(([dx, dy], i) => ({
          x: x + dx,
          y: y + dy + 4,
          box: [x + dx, y + dy - 8, x + dx + wide, y + dy + 8],
          rank: i,
        }));
        const cost = ({ box, rank }) =>
          taken.reduce((sum, other) => sum + overlap(box, other), 0) +
          rank +
          1e6 * (box[0] < 36 || box[2] > view.plot || box[1] < 40 || box[3] > view.high);
        const chosen = boxes.reduce((a, b) => (cost(b) < cost(a) ? b : a));
        taken.push(chosen.box);
        return svg(
          "g",
          {},
          svg("circle", { cx: x, cy: y, r: 10.5, fill: "none", stroke: "var(--text)", "stroke-width": 1.5 }),
          text(chosen.x, chosen.y, words, { class: "halo name", "font-weight": 600 }),
        );
      }),
    );
  },

  drawContests(view, data, given) {
    const { x, y, width } = view.side,
      scale = linear(0, 25, x, x + width);
    const looks = {
      lower: { fill: "var(--blue)" },
      equal: { fill: "var(--grid)", stroke: "var(--line)" },
      higher: { fill: "url(#hatch-orange)", stroke: "var(--orange)" },
    };
    return svg(
      "g",
      {},
      text(x, y + 14, "of 25 students, the error is", { class: "title" }),
      data.contests.map((each, i) => {
        const top = y + 34 + 52 * i;
        let sum = 0;
        return svg(
          "g",
          {},
          text(x, top + 8, `${given.methods[each.method]} against ${given.methods[each.other]}`),
          Object.entries(looks).map(([part, look]) => {
            const from = sum,
              count = each[part];
            sum += count;
            return count
              ? [
                  rect(scale(from), top + 14, scale(count) - x, 18, look),
                  svg("rect", {
                    x: (scale(from) + scale(sum)) / 2 - 9,
                    y: top + 16,
                    width: 18,
                    height: 14,
                    rx: 3,
                    fill: "var(--bg)",
                  }),
                  text((scale(from) + scale(sum)) / 2, top + 27, count, { "text-anchor": "middle" }),
                ]
              : null;
          }),
        );
      }),
      ...legend(x, y + 200, [
        [swatch(looks.lower), "lower"],
        [swatch(looks.equal), "equal"],
        [swatch(looks.higher), "higher"],
      ]),
    );
  },

  drawLegend(view, data, given) {
    // two rows below the axis
    const { x, y, width } = view.side,
      families = Object.entries(given.families);
    const entries = families.map(([family, words]) => [family, words.split(" (")[0]]);
    const narrow = view.side.x === 0,
      left = narrow ? 200 : x,
      top = narrow ? y + 226 : y + 232;
    if (narrow) return svg("g", {}, this.rows(entries, 0, view.high + 44, 3, view.width / 3, given));
    return svg(
      "g",
      {},
      this.rows(entries, left, top, 1, width, given),
      svg("path", { d: `M ${left} ${top + 126} h 18`, stroke: "var(--text)", "stroke-dasharray": "2 3" }),
      text(left + 26, top + 130, "Pareto front", { class: "small" }),
      text(34, view.high + 48, "filled: within the budget; hollow: above it; small dots: other blocks", {
        class: "small",
      }),
    );
  },

  rows(entries, left, top, columns, wide, given) {
    return entries.map(([family, words], i) => {
      const { color, shape } = this.look(family, given),
        x = left + wide * (i % columns),
        y = top + 19 * Math.floor(i / columns);
      return svg(
        "g",
        {},
        svg("path", { d: shape, fill: color, stroke: color, transform: `translate(${x + 9} ${y + 4})` }),
        text(x + 26, y + 8, words, { class: "small" }),
      );
    });
  },

  card(point, data, given) {
    // what a reader sees who points at a network
    const errors = Object.entries(given.methods).map(([method, label]) => {
      const same = given.tables[data.dataset][method].find(other => other.label === point.label);
      return `${label} ${same.error.toFixed(2)} %`;
    });
    const teacher = point.family === "teacher";
    return [
      teacher ? `${point.label}, the teacher` : point.label,
      `${grouped(point.parameters)} parameters`,
      ...(teacher ? errors.slice(0, 1) : errors),
    ];
  },

  drawCard(view, data, place, ui, given) {
    const point = ui.over === null ? null : data.points[Number(ui.over)];
    if (!point || !point.shown) return svg("g");
    const lines = this.card(point, data, given),
      [px, py] = place(point);
    const wide = 7 * Math.max(...lines.map(words => words.length)) + 16,
      tall = 16 * lines.length + 10;
    const x = px + 14 + wide > view.plot ? px - 14 - wide : px + 14,
      y = clamp(py - tall / 2, 20, view.high - tall);
    return svg(
      "g",
      { class: "card", "pointer-events": "none" },
      rect(x, y, wide, tall, { fill: "var(--bg)", stroke: "var(--text)", rx: 6 }),
      svg("circle", { cx: px, cy: py, r: 10.5, fill: "none", stroke: "var(--text)", "stroke-width": 2 }),
      lines.map((words, i) => text(x + 8, y + 18 + 16 * i, words, { "font-weight": i ? 400 : 600 })),
    );
  },

  drag(what, x, y, view) {
    return { budget: clamp(Math.round(view.budgetAt(x) / 1000) * 1000, LEAST, MOST) };
  },

  step(what, steps, state, given) {
    // the next of the slider's values
    const values = given.controls.budget.options.map(([, value]) => value);
    const above = values.filter(value => value > state.budget),
      below = values.filter(value => value < state.budget).reverse();
    const list = steps > 0 ? above : below;
    return { budget: list.length ? list[Math.min(Math.abs(steps), list.length) - 1] : state.budget };
  },
};
