"use strict";
// Block designer: what a residual block costs, layer by layer, next to S and to what "g groups" seem to promise.

const panel = {
  compute({ kind, contraction: b, groups: g, channels: N, size }, given) {
    const form = given.kinds[kind],
      [, of, number] = /^(N\/?)?(\d*)$/.exec(g);
    const block = form.template.replace("{b}", b).replace("{g}", g).replace("{m}", g.replace("N", "M"));
    const problem = this.problem(form, block, b, g, N);
    if (problem) return { block, channels: N, problem };
    const width = letter => (letter === "M" ? N / b : N);
    const count = inputs => (of ? inputs / (Number(number) || 1) : Number(number)); // of groups
    const layers = form.layers.map(layer => {
      const inputs = width(layer.inputs),
        outputs = width(layer.outputs),
        groups = layer.grouped ? count(inputs) : 1;
      const parameters = (layer.kernel * inputs * outputs) / groups;
      return {
        label: layer.label,
        inputs,
        outputs,
        groups,
        spatial: layer.spatial,
        parameters,
        mult_adds: parameters * size ** 2,
      };
    });
    const times = form.times,
      sum = (rows, what) => times * rows.reduce((total, row) => total + row[what], 0);
    const groups = Math.max(...layers.map(row => row.groups)),
      full = 2 * 9 * N * N;
    const base = form.compared.replace("{b}", b);
    const ungrouped = form.base.layers.reduce(
      (total, layer) => total + layer.kernel * width(layer.inputs) * width(layer.outputs),
      0,
    );
    return {
      block,
      channels: N,
      size,
      kind,
      problem,
      layers,
      times,
      groups,
      full,
      base,
      parameters: sum(layers, "parameters"),
      mult_adds: sum(layers, "mult_adds"),
      pointwise: sum(
        layers.filter(row => !row.spatial),
        "parameters",
      ),
      promise: (form.base.times * ungrouped) / groups,
    };
  },

  problem(form, block, b, g, N) {
    // why it can't be built, or ""
    if (form.template.includes("{b}") && N % b)
      return `a layer has ${N} channels, which ${block} can't contract by ${b}; choose a divisor`;
    for (const layer of form.layers.filter(each => each.grouped)) {
      const channels = layer.inputs === "M" ? N / b : N,
        ofSize = g.startsWith("N");
      const parts = g === "N" ? 1 : Number(ofSize ? g.slice(2) : g);
      if (channels % parts)
        return (
          `a layer has ${channels} channels, which ${block} can't split into groups` +
          `${ofSize ? ` of ${parts}` : `: ${parts} do not divide them`}; choose a divisor or a wider network`
        );
    }
    return "";
  },

  describe(data) {
    if (data.problem) return `${data.block} with N = ${data.channels} can't be built: ${data.problem}.`;
    const { parameters: count, full, groups, size } = data;
    const compared =
      count === full
        ? "as many as S"
        : count > full
          ? `${fixed(count / full, 2)} times as many as S (${grouped(full)})`
          : `${fixed(full / count, 1)} times fewer than S (${grouped(full)})`;
    const said =
      `${data.block} with N = ${data.channels}: ${grouped(count)} parameters in its convolutions, ${compared}; ` +
      `${countWords(data.mult_adds)} multiply-adds at ${size}×${size}, compared with ${countWords(full * size ** 2)}.`;
    if (groups === 1) return said + " Nothing is grouped here.";
    const base = data.base === "S" ? "S" : `${data.base.split("(")[0]}, ${grouped(data.promise * groups)}`;
    return (
      said +
      ` ${groups} groups do not make it ${groups} times cheaper (than ${base}): the 1×1 layers, which no ` +
      `number of groups makes smaller, have ${grouped(data.pointwise)} parameters, ` +
      `${fixed((100 * data.pointwise) / count)} % of the block.`
    );
  },

  unused(name, { kind }, given) {
    const { template } = given.kinds[kind];
    return name === "groups" ? !/{[gm]}/.test(template) : name === "contraction" && !template.includes("{b}");
  },

  impossible(name, value, state, given) {
    if (name !== "groups" || this.unused(name, state, given)) return "";
    const form = given.kinds[state.kind];
    return this.problem(form, "the block", state.contraction, value, state.channels);
  },

  // The axes are the same in every state, so that every change can be seen: parameters in percent of S, whatever
  // the width, and multiply-adds on a logarithmic scale that holds the cheapest and the most expensive block.
  layout(width, data, given) {
    const gap = 34,
      half = (width - gap) / 2,
      narrow = width < 560,
      top = 138;
    const plot = narrow ? width : half,
      second = narrow ? 0 : half + gap,
      below = narrow ? 190 : 0;
    return {
      width,
      height: top + 170 + below,
      top,
      below,
      rows: [0, 1, 2].map(i => 24 + 38 * i),
      thick: 24,
      share: linear(0, 120, 84, plot - 12),
      costs: logarithmic(1e4, 3e10, second + 84, second + plot - 12),
      second,
    };
  },

  draw(view, data, ui) {
    const ghost = ui.ghost && !ui.ghost.problem ? ui.ghost : null;
    return [
      data.problem ? this.drawProblem(view, data) : this.drawChain(view, data),
      this.drawShares(view, data, ghost),
      this.drawCosts(view, data, ghost),
      svg(
        "g",
        {},
        legend(8, view.height - 14, [
          [swatch({ fill: "var(--blue)" }), "k×k layers"],
          [swatch({ fill: "url(#hatch-orange)", stroke: "var(--orange)" }), "1×1 layers"],
          [swatch({ class: "promise" }), "if g groups made it g times cheaper"],
          [swatch({ class: "ghost" }), "before your last action"],
        ]),
      ),
    ];
  },

  drawProblem(view, data) {
    const [first, second] = data.problem.split("; ");
    return svg(
      "g",
      {},
      rect(2, 4, view.width - 4, 96, { fill: "var(--box)", class: "problem", rx: 6 }),
      text(view.width / 2, 40, `${data.block} with N = ${data.channels} can't be built`, {
        "text-anchor": "middle",
        class: "title",
      }),
      text(view.width / 2, 62, first, { "text-anchor": "middle" }),
      text(view.width / 2, 80, second, { "text-anchor": "middle" }),
    );
  },

  drawChain(view, data) {
    // a box for each layer, with its share of the block's parameters
    const all = data.layers.length,
      room = view.width - (data.times === 2 ? 54 : 4),
      step = room / Math.max(all, 2);
    const wide = Math.min(step - 26, 250);
    const boxes = data.layers.map((row, i) => {
      const x = 2 + step * i,
        share = (data.times * row.parameters) / data.parameters;
      const fill = row.spatial ? "var(--blue)" : "url(#hatch-orange)",
        stroke = row.spatial ? "var(--blue)" : "var(--orange)";
      return svg(
        "g",
        {},
        rect(x, 4, wide, 96, { fill: "var(--box)", stroke, "stroke-width": 1.6, rx: 6 }),
        text(x + 12, 24, `${row.label}, ${row.inputs} → ${row.outputs}`, { class: "title" }),
        text(x + 12, 42, row.groups === 1 ? "not grouped" : `${row.groups} groups`),
        text(x + 12, 60, `${grouped(row.parameters)} weights`),
        rect(x + 12, 69, wide - 60, 12, { fill: "var(--bg)", stroke: "var(--line)" }),
        rect(x + 12, 69, (share / data.times) * (wide - 60), 12, { fill }),
        text(x + wide - 42, 79, `${Math.round((100 * share) / data.times)} %`, { class: "small" }),
        text(x + 12, 94, "of the block", { class: "small" }),
        i
          ? svg("path", {
              d: `M ${x - step + wide + 4} 52 H ${x - 6} m -6 -4 l 6 4 l -6 4`,
              fill: "none",
              stroke: "var(--text)",
            })
          : svg("path"),
      );
    });
    const twice =
      data.times === 2 ? text(2 + step * (all - 1) + wide + 12, 56, "× 2", { class: "title" }) : null;
    return svg("g", {}, boxes, twice);
  },

  names(data) {
    const promised = data.groups > 1 ? `${data.base.split("(")[0]} ÷ ${data.groups}` : "";
    return ["S", data.block, promised];
  },

  drawShares(view, data, ghost) {
    const { share, rows, thick } = view,
      y = rows.map(row => view.top + row),
      left = share(0);
    const full = data.full || 18 * data.channels ** 2,
      x = count => share(Math.min((100 * count) / full, 120));
    const bar = (i, from, count, look) => rect(x(from), y[i], x(from + count) - x(from), thick, look);
    let sum = 0;
    const pieces = data.problem
      ? []
      : Array(data.times)
          .fill(data.layers)
          .flat()
          .map(row => {
            const look = row.spatial
              ? { fill: "var(--blue)" }
              : { fill: "url(#hatch-orange)", stroke: "var(--orange)" };
            sum += row.parameters;
            return bar(1, sum - row.parameters, row.parameters, { ...look, class: "piece" });
          });
    const number = (i, count) => text(x(count) + 6, y[i] + 16, grouped(count), { class: "halo" });
    return svg(
      "g",
      {},
      text(0, view.top, "parameters", { class: "title" }),
      [0, 25, 50, 75, 100].map(tick =>
        svg(
          "g",
          {},
          line(share(tick), y[0] - 6, share(tick), y[2] + thick + 6, "grid"),
          text(share(tick), y[2] + thick + 19, tick === 100 ? "100 % of S" : tick === 75 ? "" : `${tick}`, {
            "text-anchor": "middle",
            class: "tick",
          }),
        ),
      ),
      line(left, y[0] - 6, left, y[2] + thick + 6),
      this.names(data).map((name, i) =>
        text(left - 8, y[i] + 16, i === 1 && data.problem ? "" : name, { "text-anchor": "end" }),
      ),
      svg("g", {}, bar(0, 0, full, { fill: "var(--blue)" }), number(0, full)),
      svg("g", {}, pieces),
      ghost
        ? rect(
            left,
            y[1] - 3,
            share(Math.min((100 * ghost.parameters) / ghost.full, 120)) - left,
            thick + 6,
            { class: "ghost" },
          )
        : svg("rect"),
      data.problem ? null : number(1, data.parameters),
      svg(
        "g",
        {},
        data.groups > 1 ? [bar(2, 0, data.promise, { class: "promise" }), number(2, data.promise)] : [],
      ),
    );
  },

  drawCosts(view, data, ghost) {
    const { costs, rows, thick } = view,
      top = view.top + view.below,
      y = rows.map(row => top + row + thick / 2),
      left = costs(1e4);
    const size = data.size || 0,
      values = data.problem
        ? []
        : [data.full * size ** 2, data.mult_adds, ...(data.groups > 1 ? [data.promise * size ** 2] : [])];
    const ticks = [
      [1e4, "10 K"],
      [1e6, "1 M"],
      [1e8, "100 M"],
      [1e10, "10 G"],
    ];
    const names = this.names(data),
      shown = data.problem ? [] : names;
    return svg(
      "g",
      {},
      text(view.second, top, `multiply-adds${size ? ` at ${size}×${size}` : ""}, logarithmic`, {
        class: "title",
      }),
      ticks.map(([tick, words]) =>
        svg(
          "g",
          {},
          line(costs(tick), y[0] - 18, costs(tick), y[2] + 18, "grid"),
          text(costs(tick), y[2] + 31, words, { "text-anchor": "middle", class: "tick" }),
        ),
      ),
      line(left, y[0] - 18, left, y[2] + 18),
      shown.map((name, i) => text(left - 8, y[i] + 4, name, { "text-anchor": "end" })),
      svg(
        "g",
        {},
        values.map((value, i) =>
          svg(
            "g",
            {},
            svg("line", {
              x1: left,
              y1: y[i],
              x2: costs(value),
              y2: y[i],
              stroke: i < 2 ? "var(--blue)" : "var(--text)",
              "stroke-width": i < 2 ? 3 : 1.4,
              "stroke-dasharray": i < 2 ? null : "6 3",
            }),
            svg("circle", {
              cx: costs(value),
              cy: y[i],
              r: 6,
              fill: i < 2 ? "var(--blue)" : "var(--bg)",
              stroke: i < 2 ? "var(--blue)" : "var(--text)",
            }),
            this.number(costs(value), y[i] - 9, countWords(value), view),
          ),
        ),
      ),
      ghost ? svg("circle", { cx: costs(ghost.mult_adds), cy: y[1], r: 9, class: "ghost" }) : svg("circle"),
    );
  },

  number(x, y, words, view) {
    // above a dot, but inside the drawing
    const half = 3.3 * words.length;
    return text(Math.min(x, view.width - half - 2), y, words, { "text-anchor": "middle", class: "halo" });
  },
};
