"use strict";
// KD laboratory: two networks whose logits you drag, and what distillation makes of them for one image of a cat.

const LEAST = -4,
  MOST = 10; // of a logit
const OWN = "your own"; // the case of a reader who has dragged a logit

function logSoftmax(logits, T) {
  const scaled = logits.map(z => z / T),
    top = Math.max(...scaled);
  const log = top + Math.log(scaled.reduce((sum, z) => sum + Math.exp(z - top), 0));
  return scaled.map(z => z - log);
}
const softmax = (logits, T) => logSoftmax(logits, T).map(Math.exp);
const total = values => values.reduce((sum, v) => sum + v, 0);

function softTerm(s, t, T, convention) {
  // cross-entropy in the paper's equation, else the KL divergence
  const p = softmax(t, T),
    logP = logSoftmax(t, T),
    logQ = logSoftmax(s, T);
  return total(p.map((v, i) => v * ((convention === "paper" ? 0 : logP[i]) - logQ[i])));
}

function softWeight(T, alpha, classes, convention) {
  if (convention === "standard") return T ** 2 * alpha;
  return (2 * T ** 2 * alpha) / (convention === "code" ? classes : 1);
}

// The derivative of either soft term with respect to the student's logits is (softmax(s/T) - softmax(t/T)) / T.
function softGradient(s, t, T, weight) {
  const q = softmax(s, T),
    p = softmax(t, T);
  return q.map((v, i) => (weight / T) * (v - p[i]));
}

function unlikelyShare(gradient, teacherAt1) {
  // how much of a gradient is on classes below 1 %
  const size = gradient.map(Math.abs);
  return total(size) > 1e-12 ? total(size.filter((_, i) => teacherAt1[i] < 0.01)) / total(size) : null;
}

const panel = {
  compute({ case: name, temperature: T, alpha, convention, student, teacher }, given) {
    const s = student || given.cases[name][0],
      t = teacher || given.cases[name][1],
      C = s.length;
    const weights = { hard: 1 - alpha, soft: softWeight(T, alpha, C, convention) };
    const terms = { hard: -logSoftmax(s, 1)[given.label], soft: softTerm(s, t, T, convention) };
    const hard = softmax(s, 1).map((q, i) => (1 - alpha) * (q - (i === given.label ? 1 : 0)));
    const soft = softGradient(s, t, T, weights.soft);
    return {
      case: name,
      temperature: T,
      alpha,
      convention,
      weights,
      terms,
      logits: { student: s, teacher: t },
      floor: softTerm(t, t, T, convention),
      total: weights.hard * terms.hard + weights.soft * terms.soft,
      student: softmax(s, T),
      teacher: softmax(t, T),
      teacher_at_1: softmax(t, 1),
      gradients: { hard, soft, total: hard.map((v, i) => v + soft[i]) },
      soft_at_1: softGradient(s, t, 1, softWeight(1, alpha, C, convention)),
    };
  },

  describe({
    temperature: T,
    alpha,
    convention,
    weights,
    terms,
    floor,
    total: sum,
    gradients,
    soft_at_1,
    teacher_at_1,
  }) {
    const parts = Object.keys(terms)
      .map(name => `${short(weights[name])} × ${name} ${short(terms[name], 4)}`)
      .join(" + ");
    const paper = softWeight(T, alpha, 10, "paper");
    const weight = {
      paper: `2T²α = ${short(paper)}; the released code uses a tenth of it, one over the number of classes.`,
      code: `2T²α/10 = ${short(paper / 10)}; a tenth of the ${short(paper)} in the paper's equation.`,
      standard: `T²α = ${short(paper / 2)}; half of the ${short(paper)} in the paper's equation.`,
    }[convention];
    const least =
      convention !== "paper"
        ? "The soft term can't fall below 0: it is a KL divergence, which does reach 0."
        : `The soft term can't fall below ${short(floor)}, the entropy of the teacher's probabilities at T = ${T}: ` +
          `${fixed((100 * floor) / terms.soft)} % of its value can't be learned away.`;
    const size = gradient => short(total(gradient.map(Math.abs)));
    const share = unlikelyShare(gradients.soft, teacher_at_1),
      then = unlikelyShare(soft_at_1, teacher_at_1);
    const push =
      share === null || then === null
        ? "The gradient of the soft term is 0 for every logit."
        : `${fixed(100 * share)} % of its gradient is on the ${teacher_at_1.filter(p => p < 0.01).length} classes that the ` +
          `teacher itself gives less than 1 %; at T = 1 it would be ${fixed(100 * then)} %. ` +
          `Size of the gradient ${size(gradients.soft)}, at T = 1 ${size(soft_at_1)}.`;
    return `Total ${short(sum, 4)} = ${parts}. The soft term's weight is ${weight}\n${least}\n${push}`;
  },

  choose(name, value) {
    // a case brings its own logits
    return { case: value, student: null, teacher: null };
  },

  // All axes are the same in every state. Gradients and terms differ by a factor of thousands, so their axes are
  // logarithmic; that of the gradients has two sides.
  layout(width, data, given) {
    const left = 40,
      column = (width - left) / given.classes.length;
    const plots = { logits: [44, 182], chances: [246, 336], push: [372, 528] };
    const signed = v => Math.sign(v) * Math.log10(1 + Math.abs(v) / 0.01),
      [top, bottom] = plots.push;
    return {
      width,
      height: 692,
      left,
      column,
      plots,
      wide: Math.min(0.38 * column, 26),
      middle: i => left + column * (i + 0.5),
      logit: linear(LEAST, MOST, 182, 44),
      chance: linear(0, 1, 336, 246),
      push: v => linear(-3, 3, bottom, top)(clamp(signed(v), -3, 3)),
      value: y => linear(182, 44, LEAST, MOST)(y),
      term: v => (v < 1e-3 ? 92 : logarithmic(1e-3, 3e3, 92, width - 190)(v)),
    };
  },

  draw(view, data, ui, given) {
    return [
      svg(
        "g",
        {},
        legend(view.left, 2, [
          [swatch({ fill: "var(--green)" }), "teacher"],
          [swatch({ fill: "url(#hatch-orange)", stroke: "var(--orange)" }), "student"],
          [swatch({ class: "ghost" }), "before your last action"],
        ]),
      ),
      this.drawClasses(view, given),
      this.drawLogits(view, data, ui, given),
      this.drawChances(view, data, ui),
      this.drawPush(view, data, ui),
      this.drawTerms(view, data, ui),
    ];
  },

  drawClasses(view, given) {
    // below the logits and below the push; in two rows where columns are narrow
    const drop = i => (view.column < 64 && i % 2 ? 12 : 0);
    return svg(
      "g",
      {},
      given.classes.map((name, i) => {
        const label = i === given.label,
          bold = label ? { "font-weight": 700, style: "fill: var(--text)" } : {};
        const words = (y, said) =>
          text(view.middle(i), y + drop(i), said, { "text-anchor": "middle", class: "tick", ...bold });
        return svg(
          "g",
          {},
          [198, 546].map(y => [words(y, name), label ? words(y + 12, "the label") : null]),
        );
      }),
    );
  },

  axis(view, title, y, ticks, at, scale) {
    return svg(
      "g",
      {},
      text(view.left, y, title, { class: "title halo" }),
      ticks.map(tick => [
        line(view.left, scale(tick), view.width, scale(tick), tick === 0 ? "axis" : "grid"),
        text(view.left - 6, scale(tick) + 4, `${tick}`.replace("-", "−"), {
          "text-anchor": "end",
          class: "tick",
        }),
      ]),
    );
  },

  bar(x, from, to, wide, look) {
    return rect(x, from, wide, to - from, look);
  },

  drawLogits(view, data, ui, given) {
    const { logit, wide, middle } = view,
      zero = logit(0);
    const one = (who, i, x, look) => {
      const value = data.logits[who][i],
        y = logit(value);
      return svg(
        "g",
        {
          "data-drag": `${who}:${i}`,
          tabindex: 0,
          role: "slider",
          "aria-orientation": "vertical",
          "aria-label": `logit of the ${who}, ${given.classes[i]}`,
          "aria-valuemin": LEAST,
          "aria-valuemax": MOST,
          "aria-valuenow": value,
          "aria-valuetext": short(value),
        },
        rect(x, view.plots.logits[0], wide, view.plots.logits[1] - view.plots.logits[0], { class: "hit" }),
        this.bar(x, zero, y, wide, look),
        svg("line", {
          x1: x - 1,
          y1: y,
          x2: x + wide + 1,
          y2: y,
          stroke: "var(--text)",
          "stroke-width": 2.5,
        }),
      );
    };
    const ghost = ui.ghost ? ui.ghost.logits : null,
      drop = (who, i, x) =>
        ghost && ghost[who][i] !== data.logits[who][i]
          ? rect(x, zero, wide, logit(ghost[who][i]) - zero, { class: "ghost" })
          : null;
    return svg(
      "g",
      {},
      this.axis(view, "logits: drag a bar, or use the arrow keys", 32, [-4, 0, 5, 10], null, logit),
      svg(
        "g",
        {},
        given.classes.map((_, i) => one("teacher", i, middle(i) - wide - 1, { fill: "var(--green)" })),
      ),
      svg(
        "g",
        {},
        given.classes.map((_, i) =>
          one("student", i, middle(i) + 1, { fill: "url(#hatch-orange)", stroke: "var(--orange)" }),
        ),
      ),
      svg(
        "g",
        { "pointer-events": "none" },
        given.classes.map((_, i) => [
          drop("teacher", i, middle(i) - wide - 1),
          drop("student", i, middle(i) + 1),
        ]),
      ),
    );
  },

  drawChances(view, data, ui) {
    const { chance, wide, middle } = view,
      ghost = ui.ghost;
    return svg(
      "g",
      {},
      this.axis(view, `probabilities at T = ${data.temperature}`, 236, [0, 0.5, 1], null, chance),
      data.teacher.map((p, i) =>
        this.bar(middle(i) - wide - 1, chance(0), chance(p), wide, { fill: "var(--green)" }),
      ),
      data.student.map((p, i) =>
        this.bar(middle(i) + 1, chance(0), chance(p), wide, {
          fill: "url(#hatch-orange)",
          stroke: "var(--orange)",
        }),
      ),
      svg(
        "g",
        {},
        ghost
          ? ["teacher", "student"].map((who, k) =>
              ghost[who].map((p, i) =>
                this.bar(middle(i) + (k ? 1 : -wide - 1), chance(0), chance(p), wide, { class: "ghost" }),
              ),
            )
          : [],
      ),
    );
  },

  drawPush(view, data, ui) {
    const { push, middle, column } = view,
      wide = Math.min(0.25 * column, 18),
      ghost = ui.ghost;
    const looks = {
      hard: { fill: "url(#hatch-red)", stroke: "var(--red)" },
      soft: { fill: "var(--blue)" },
      total: { fill: "var(--text)" },
    };
    const x = (i, k) => middle(i) + (k - 1.5) * wide;
    const diamond = (at, y) =>
      svg("path", {
        d: `M ${at} ${y - 6} l 6 6 l -6 6 l -6 -6 z`,
        fill: "var(--bg)",
        stroke: "var(--text)",
        "stroke-width": 1.5,
      });
    return svg(
      "g",
      {},
      this.axis(
        view,
        "push on each logit (minus the gradient), logarithmic",
        362,
        [-10, -1, -0.1, 0, 0.1, 1, 10],
        null,
        push,
      ),
      Object.entries(looks).map(([name, look], k) =>
        svg(
          "g",
          {},
          data.gradients[name].map((v, i) => this.bar(x(i, k), push(0), push(-v), wide - 1, look)),
        ),
      ),
      svg(
        "g",
        {},
        ghost
          ? ghost.gradients.soft.map((v, i) =>
              this.bar(x(i, 1), push(0), push(-v), wide - 1, { class: "ghost" }),
            )
          : [],
      ),
      svg(
        "g",
        {},
        data.soft_at_1.map((v, i) => diamond(middle(i), push(-v))),
      ),
      svg(
        "g",
        {},
        legend(view.left, 578, [
          [swatch(looks.hard), "hard"],
          [swatch(looks.soft), "soft"],
          [swatch(looks.total), "total"],
          [(a, b) => diamond(a + 8, b + 5), "soft if T were 1"],
          [swatch({ fill: "url(#hatch-blue)", stroke: "var(--blue)" }), "soft, can't be learned away"],
        ]),
      ),
    );
  },

  drawTerms(view, data, ui) {
    const { term } = view,
      rows = { hard: 622, soft: 648 },
      value = (each, name) => each.weights[name] * each.terms[name];
    const floor = data.weights.soft * data.floor,
      looks = { hard: { fill: "url(#hatch-red)", stroke: "var(--red)" }, soft: { fill: "var(--blue)" } };
    const ticks = [0.001, 0.01, 0.1, 1, 10, 100, 1000];
    return svg(
      "g",
      {},
      text(view.left, 611, "weighted terms, logarithmic", { class: "title" }),
      ticks.map(tick => [
        line(term(tick), 616, term(tick), 670, "grid"),
        text(term(tick), 684, tick.toLocaleString("en-US"), { "text-anchor": "middle", class: "tick" }),
      ]),
      line(92, 616, 92, 670),
      Object.entries(rows).map(([name, y]) =>
        svg(
          "g",
          {},
          text(86, y + 13, `${name} term`, { "text-anchor": "end" }),
          rect(92, y, term(value(data, name)) - 92, 18, looks[name]),
          name === "soft" && floor >= 1e-3
            ? rect(92, y, term(floor) - 92, 18, { fill: "url(#hatch-blue)", stroke: "var(--blue)" })
            : svg("rect"),
          ui.ghost ? rect(92, y - 2, term(value(ui.ghost, name)) - 92, 22, { class: "ghost" }) : svg("rect"),
          text(
            term(value(data, name)) + 7,
            y + 13,
            `${short(data.weights[name])} × ${short(data.terms[name], 4)} = ${short(value(data, name), 4)}`,
            { class: "halo" },
          ),
        ),
      ),
    );
  },

  own(state, given, who, i, value) {
    // the state with one logit changed
    const [student, teacher] = [0, 1].map(k => [
      ...(state[["student", "teacher"][k]] || given.cases[state.case][k]),
    ]);
    (who === "student" ? student : teacher)[i] = clamp(Math.round(10 * value) / 10, LEAST, MOST);
    return { case: OWN, student, teacher };
  },

  drag(what, x, y, view, state, given) {
    const [who, i] = what.split(":");
    return this.own(state, given, who, Number(i), view.value(y));
  },

  step(what, steps, state, given) {
    const [who, i] = what.split(":"),
      logits = state[who] || given.cases[state.case][who === "student" ? 0 : 1];
    return this.own(state, given, who, Number(i), logits[i] + steps / 2);
  },
};
