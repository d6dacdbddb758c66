"use strict";
// Draw your own shape: a canvas of 32 × 32 pixels, and small trained networks that answer while you draw.
//
// The first half is the forward pass of a wide ResNet in evaluation mode. Python has folded each batch norm
// into the convolution before it; those before a block are a scale and a shift for each channel.
// The second half is the page: brushes, scenes, bars and attention maps.

const SIDE = 32, // pixels per side
  LIMIT = 16, // milliseconds: networks that answer within this, taken together, follow the pen
  REST = 80, // milliseconds without a change until the pen counts as resting
  UNDO = 50; // steps that can be taken back

// ---------- weights ----------

const bytesOf = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function halfToNumber(bits) {
  // 1 bit of sign, 5 of exponent, 10 of fraction
  const sign = bits >> 15 ? -1 : 1,
    exponent = (bits >> 10) & 31,
    fraction = bits & 1023;
  return sign * (exponent ? (1 + fraction / 1024) * 2 ** (exponent - 15) : fraction * 2 ** -24);
}

// All first bytes, then all second bytes, and so on: they compress better that way.
function numbersFrom(planes, width) {
  const count = planes.length / width,
    bytes = new Uint8Array(planes.length);
  for (let i = 0; i < count; i++)
    for (let b = 0; b < width; b++) bytes[i * width + b] = planes[b * count + i];
  return width === 4
    ? new Float32Array(bytes.buffer)
    : Float32Array.from(new Uint16Array(bytes.buffer), halfToNumber);
}

function buildNetworks(plans, numbers) {
  // in the order in which Python wrote them
  let at = 0;
  const take = count => numbers.subarray(at, (at += count));
  const conv = plan =>
    plan && {
      ...plan,
      weight: take((plan.out * plan.inp * plan.size ** 2) / plan.groups),
      bias: take(plan.out),
    };
  const affine = channels => ({ scale: take(channels), shift: take(channels) });
  return plans.map(plan => ({
    ...plan,
    stem: conv(plan.stem),
    groups: plan.groups.map(blocks =>
      blocks.map(block => ({
        before: affine(block.channels),
        convs: block.convs.map(conv),
        shortcut: conv(block.shortcut),
      })),
    ),
    last: affine(plan.head.inp),
    head: conv(plan.head),
  }));
}

// ---------- the forward pass; activations are (channels, side, side) in a row ----------

function threeByThree({ weight, bias, inp, out, stride, groups }, x, side) {
  const wide = side + 2,
    to = side / stride,
    own = inp / groups; // input channels that an output channel sees
  const frame = new Float32Array(inp * wide * wide), // x with a border of zeros
    y = new Float32Array(out * to * to);
  for (let c = 0; c < inp; c++)
    for (let row = 0; row < side; row++) {
      const from = (c * side + row) * side;
      frame.set(x.subarray(from, from + side), (c * wide + row + 1) * wide + 1);
    }
  for (let o = 0; o < out; o++) {
    y.fill(bias[o], o * to * to, (o + 1) * to * to);
    const first = Math.floor((o * groups) / out) * own;
    for (let i = 0; i < own; i++) {
      const [a, b, c, d, e, f, g, h, k] = weight.subarray(9 * (o * own + i), 9 * (o * own + i) + 9);
      let at = o * to * to;
      for (let row = 0; row < to; row++) {
        let p = ((first + i) * wide + row * stride) * wide,
          q = p + wide,
          r = q + wide;
        for (let col = 0; col < to; col++, p += stride, q += stride, r += stride)
          y[at++] +=
            a * frame[p] +
            b * frame[p + 1] +
            c * frame[p + 2] +
            d * frame[q] +
            e * frame[q + 1] +
            f * frame[q + 2] +
            g * frame[r] +
            h * frame[r + 1] +
            k * frame[r + 2];
      }
    }
  }
  return y;
}

function everyOther(x, channels, side) {
  const to = side / 2,
    y = new Float32Array(channels * to * to);
  for (let at = 0, c = 0; c < channels; c++)
    for (let row = 0; row < side; row += 2)
      for (let col = 0; col < side; col += 2) y[at++] = x[(c * side + row) * side + col];
  return y;
}

function oneByOne({ weight, bias, inp, out, stride }, x, side) {
  if (stride === 2) [x, side] = [everyOther(x, inp, side), side / 2];
  const area = side * side,
    y = new Float32Array(out * area);
  for (let o = 0; o < out; o++) {
    const from = o * area;
    y.fill(bias[o], from, from + area);
    for (let i = 0; i < inp; i += 4) {
      // four channels at a time, whose number is a multiple of four: fewer trips to memory
      const [a, b, c, d] = weight.subarray(o * inp + i, o * inp + i + 4);
      let p = i * area,
        q = p + area,
        r = q + area,
        s = r + area;
      for (let at = from; at < from + area; at++) y[at] += a * x[p++] + b * x[q++] + c * x[r++] + d * x[s++];
    }
  }
  return y;
}

function rectify(x) {
  for (let i = 0; i < x.length; i++) if (x[i] < 0) x[i] = 0;
  return x;
}

const convolve = (conv, x, side) => {
  const y = conv.size === 3 ? threeByThree(conv, x, side) : oneByOne(conv, x, side);
  return conv.relu ? rectify(y) : y;
};

function activate({ scale, shift }, x) {
  // batch norm, then ReLU
  const area = x.length / scale.length,
    y = new Float32Array(x.length);
  for (let c = 0; c < scale.length; c++)
    for (let i = c * area; i < (c + 1) * area; i++) y[i] = Math.max(0, scale[c] * x[i] + shift[c]);
  return y;
}

function residual(block, x, side) {
  // `before` is the side of each convolution's input
  const active = activate(block.before, x);
  let y = active,
    before = side;
  for (const conv of block.convs) {
    y = convolve(conv, y, before);
    before /= conv.stride;
  }
  const short = block.shortcut ? convolve(block.shortcut, active, side) : x;
  for (let i = 0; i < y.length; i++) y[i] += short[i];
  return [y, before];
}

function attentionMap(x, channels) {
  // the mean of the squares over channels, scaled to length 1
  const area = x.length / channels,
    map = new Float64Array(area);
  for (let c = 0; c < channels; c++) for (let i = 0; i < area; i++) map[i] += x[c * area + i] ** 2 / channels;
  const length = Math.sqrt(map.reduce((sum, v) => sum + v * v, 0));
  return map.map(v => v / Math.max(length, 1e-12));
}

function softmax(logits) {
  const top = Math.max(...logits),
    powers = logits.map(v => Math.exp(v - top)),
    sum = powers.reduce((a, b) => a + b, 0);
  return powers.map(v => v / sum);
}

function forward(network, x) {
  // x: (3, 32, 32), normalized
  let y = convolve(network.stem, x, SIDE),
    side = SIDE;
  const maps = network.groups.map(blocks => {
    for (const block of blocks) [y, side] = residual(block, y, side);
    return attentionMap(y, y.length / side ** 2);
  });
  const active = activate(network.last, y),
    area = side * side;
  const means = network.last.scale.map((_, c) => {
    let sum = 0;
    for (let i = c * area; i < (c + 1) * area; i++) sum += active[i];
    return sum / area;
  });
  const logits = [...oneByOne(network.head, means, 1)];
  return { logits, probabilities: softmax(logits), maps: maps.map(map => [...map]) };
}

function normalized(pixels, { mean, std }) {
  // (32, 32, 3) bytes to (3, 32, 32)
  const area = SIDE * SIDE,
    x = new Float32Array(3 * area);
  for (let c = 0; c < 3; c++)
    for (let i = 0; i < area; i++) x[c * area + i] = (pixels[3 * i + c] / 255 - mean[c]) / std[c];
  return x;
}

// ---------- the answers in words ----------

const percent = p => `${fixed(100 * p)} %`;
const best = probabilities => probabilities.indexOf(Math.max(...probabilities));

const panel = {
  describe({ title, answers }, given) {
    const said = given.networks.map(({ name, called }) => {
      const p = answers[name].probabilities;
      return `${called} says ${given.classes[best(p)]}, ${percent(Math.max(...p))}`;
    });
    const words = said.join("; ");
    return `${title}. ${words[0].toUpperCase()}${words.slice(1)}.`;
  },
};

// ---------- drawing ----------

// The share of each pixel that a round brush covers between two points, as the shapes themselves are drawn.
function coverSegment(cover, [x0, y0], [x1, y1], radius) {
  const dx = x1 - x0,
    dy = y1 - y0,
    long = dx * dx + dy * dy;
  for (let row = 0; row < SIDE; row++)
    for (let col = 0; col < SIDE; col++) {
      const x = col + 0.5 - x0,
        y = row + 0.5 - y0,
        t = long ? clamp((x * dx + y * dy) / long, 0, 1) : 0;
      const share = clamp(radius + 0.5 - Math.hypot(x - t * dx, y - t * dy), 0, 1),
        i = row * SIDE + col;
      if (share > cover[i]) cover[i] = share;
    }
}

function blend(before, cover, colorAt) {
  // a stroke of one color over an image
  const after = before.slice();
  for (let i = 0; i < cover.length; i++)
    if (cover[i])
      for (let c = 0; c < 3; c++)
        after[3 * i + c] = Math.round(before[3 * i + c] + cover[i] * (colorAt(i, c) - before[3 * i + c]));
  return after;
}

function fillCanvas(canvas, side, colorOf) {
  canvas.width = canvas.height = side;
  const context = canvas.getContext("2d"),
    image = context.createImageData(side, side);
  for (let i = 0; i < side * side; i++) image.data.set([...colorOf(i), 255], 4 * i);
  context.putImageData(image, 0, 0);
}
const showPixels = (canvas, pixels) => fillCanvas(canvas, SIDE, i => pixels.slice(3 * i, 3 * i + 3));

// ---------- the page: this panel paints on a canvas, so it has a `start` of its own ----------

start = async function (panel, given) {
  const root = document.documentElement,
    blank = given.scenes.length - 1;
  followTheme(root);
  const images = await inflate(bytesOf(given.pixels)),
    long = 3 * SIDE * SIDE;
  const scenes = given.scenes.map((scene, i) => ({
    ...scene,
    pixels: images.subarray(i * long, (i + 1) * long),
  }));
  const networks = buildNetworks(
    given.networks,
    numbersFrom(await inflate(bytesOf(given.weights)), given.width),
  );
  const answers = {}, // name -> what `forward` returned for the latest image that the network has seen
    stale = {}, // name -> has the image changed since?
    times = {}; // name -> its last few times, in milliseconds
  let scene = scenes[given.state.scene],
    pixels = scene.pixels,
    touched = false,
    history = [],
    drawn = 0;

  // ----- the networks -----

  const cost = ({ name }) => (times[name] ? Math.min(...times[name]) : 0);
  function ask(network, x) {
    const begin = performance.now();
    answers[network.name] = forward(network, x);
    times[network.name] = [...(times[network.name] || []), performance.now() - begin].slice(-8);
    stale[network.name] = false;
  }

  // The networks that can follow the pen: the quickest ones, as long as their sum is within the limit.
  function following() {
    let sum = 0;
    return [...networks].sort((a, b) => cost(a) - cost(b)).filter(network => (sum += cost(network)) <= LIMIT);
  }

  let waiting = false,
    rest = null;
  function redraw() {
    if (waiting) return; // at most once per frame: images in between are dropped, never queued
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const begin = performance.now(),
        x = normalized(pixels, given);
      networks.forEach(({ name }) => (stale[name] = true));
      following().forEach(network => ask(network, x));
      show();
      root.dataset.ms = (performance.now() - begin).toFixed(1);
      clearTimeout(rest);
      rest = setTimeout(settle, REST);
    });
  }

  function settle() {
    // the pen rests: ask those that could not follow
    const x = normalized(pixels, given);
    networks.filter(({ name }) => stale[name]).forEach(network => ask(network, x));
    show();
    status.textContent = panel.describe({ title: title(), answers }, given);
    root.dataset.rests = Number(root.dataset.rests || 0) + 1;
  }

  const title = () => {
    if (touched) return "Your drawing";
    return scene === scenes[blank] ? "Nothing is drawn, but there is no class for nothing" : scene.title;
  };

  // ----- the drawing -----

  const paper = html("canvas", {
    class: "paper",
    tabindex: 0,
    role: "application",
    "aria-label":
      "Your drawing, 32 by 32 pixels. The arrow keys move the brush, the space bar paints; " +
      "with Shift, the arrow keys paint as they move.",
  });
  const ring = svg("circle", { class: "ring" });
  const over = svg("svg", { class: "over", viewBox: `0 0 ${SIDE} ${SIDE}`, "aria-hidden": "true" }, ring);
  let stroke = null, // the image before it, and the share of each pixel that it covers
    place = [SIDE / 2, SIDE / 2],
    choice = 0; // of the brushes

  const brushes = [...given.colors, { name: "eraser", color: null }];
  const width = () => Number(size.value);
  function remember() {
    history = [...history, { pixels, touched, scene }].slice(-UNDO);
  }
  function begin(at) {
    remember();
    stroke = { before: pixels, cover: new Float32Array(SIDE * SIDE) };
    place = at;
    paint(at);
  }
  function paint(at) {
    coverSegment(stroke.cover, place, at, width() / 2);
    const { color } = brushes[choice];
    pixels = blend(stroke.before, stroke.cover, (i, c) => (color ? color[c] : scene.pixels[3 * i + c]));
    place = at;
    touched = true;
    redraw();
  }
  function open(which) {
    remember();
    [scene, pixels, touched] = [scenes[which], scenes[which].pixels, false];
    redraw();
  }
  function undo() {
    if (history.length) ({ pixels, touched, scene } = history.pop());
    redraw();
  }

  function showRing(shown = true) {
    element(
      ring,
      { cx: place[0], cy: place[1], r: width() / 2, visibility: shown ? "visible" : "hidden" },
      [],
    );
  }
  const where = event => {
    const box = paper.getBoundingClientRect();
    return [(SIDE * (event.clientX - box.left)) / box.width, (SIDE * (event.clientY - box.top)) / box.height];
  };
  paper.addEventListener("pointerdown", event => {
    if (event.button) return;
    paper.setPointerCapture(event.pointerId);
    begin(where(event));
    showRing();
  });
  paper.addEventListener("pointermove", event => {
    if (stroke) for (const each of event.getCoalescedEvents?.() || []) paint(where(each));
    if (stroke) paint(where(event));
    place = where(event);
    showRing();
  });
  for (const end of ["pointerup", "pointercancel"]) paper.addEventListener(end, () => (stroke = null));
  paper.addEventListener("pointerleave", () => showRing(document.activeElement === paper));
  paper.addEventListener("focus", () => showRing());
  paper.addEventListener("blur", () => showRing(false));

  const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  paper.addEventListener("keydown", event => {
    const move = MOVES[event.key];
    if (event.key !== " " && !move) return;
    event.preventDefault();
    if (event.key === " ") begin(place);
    else {
      const to = place.map((v, k) => clamp(v + move[k], 0.5, SIDE - 0.5));
      if (event.shiftKey) {
        if (!stroke) begin(place);
        paint(to);
      }
      place = to;
    }
    if (!event.shiftKey) stroke = null;
    showRing();
    redraw();
  });
  paper.addEventListener("keyup", event => {
    if (event.key === "Shift") stroke = null;
  });
  addEventListener("keydown", event => {
    if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      undo();
    }
  });

  // ----- the controls -----

  const swatches = brushes.map(({ name, color }, i) => {
    const input = html("input", { type: "radio", name: "brush", value: i, "aria-label": name });
    input.checked = i === choice;
    input.addEventListener("change", () => {
      choice = i;
      chosen.textContent = name;
      redraw();
    });
    const look = color ? `background: rgb(${color})` : "";
    return html("label", { class: color ? "swatch" : "swatch eraser", title: name, style: look }, input);
  });
  const chosen = html("output", {}, brushes[choice].name);
  const size = html("input", {
    type: "range",
    min: 1,
    max: 8,
    value: 4,
    name: "size",
    "aria-label": "brush size",
  });
  const pixelsWide = html("output", {}, "4 pixels");
  size.addEventListener("input", () => {
    pixelsWide.textContent = `${width()} pixel${width() === 1 ? "" : "s"}`;
    showRing(false);
    redraw();
  });
  const button = (label, act, ...content) => {
    const made = html("button", { type: "button" }, ...(content.length ? content : [label]));
    made.addEventListener("click", act);
    return made;
  };
  const thumbnails = scenes.map(({ name, pixels: image }, i) => {
    const canvas = html("canvas", { "aria-hidden": "true" });
    showPixels(canvas, image);
    return button(name, () => open(i), canvas, html("span", {}, name));
  });

  // ----- the answers -----

  const bars = svg("svg", {
    role: "img",
    "aria-label": "class probabilities of each network; the text below says the first",
  });
  const maps = networks.map(network =>
    network.groups.map((_, g) =>
      html("canvas", { role: "img", "data-network": network.name, "data-group": g }),
    ),
  );
  const figures = networks.map(({ name, called }, k) =>
    html(
      "figure",
      {},
      html("figcaption", {}, called),
      html(
        "div",
        {},
        maps[k].map((canvas, g) => html("span", {}, canvas, `group ${g + 1}`)),
      ),
    ),
  );

  function show() {
    showPixels(paper, pixels);
    drawBars();
    networks.forEach((network, k) => {
      if (!answers[network.name]) return;
      answers[network.name].maps.forEach((map, g) => drawMap(maps[k][g], map, network.called, g));
      figures[k].classList.toggle("stale", stale[network.name]);
    });
    root.dataset.n = ++drawn;
    fitFrame();
  }

  function drawMap(canvas, map, called, g) {
    // each on its own scale, from 0 to its largest value
    const side = Math.sqrt(map.length),
      top = Math.max(...map),
      peak = map.indexOf(top),
      last = given.viridis.length - 1;
    fillCanvas(canvas, side, i => given.viridis[Math.round((last * map[i]) / top)]);
    canvas.setAttribute(
      "aria-label",
      `attention map of ${called}, group ${g + 1}, ${side} by ${side}; its peak is in row ` +
        `${Math.floor(peak / side) + 1}, column ${(peak % side) + 1}`,
    );
  }

  function drawBars() {
    const wide = Math.max(bars.parentNode.clientWidth, 320),
      left = 64,
      step = (wide - left) / networks.length,
      line = 27,
      top = 56,
      tall = top + line * given.classes.length;
    const columns = networks.map(({ name, short: label, parameters }, k) => {
      const x = left + step * k,
        answer = answers[name],
        first = answer && best(answer.probabilities);
      const scale = step - 58;
      return svg(
        "g",
        { class: stale[name] ? "stale" : null },
        text(x, 14, label, { class: "title" }),
        text(x, 29, `${grouped(parameters)} weights`, { class: "small" }),
        text(
          x,
          43,
          stale[name] ? "waits for the pen" : times[name] ? `${cost({ name }).toFixed(1)} ms` : "",
          { class: "small" },
        ),
        (answer ? answer.probabilities : []).map((p, i) => [
          rect(x, top + line * i, scale, line - 9, { class: "track" }),
          rect(x, top + line * i, scale * p, line - 9, { fill: `var(--${given.networks[k].color})` }),
          text(x + scale + 6, top + line * i + 13, percent(p), {
            class: i === first ? "first" : "small",
          }),
        ]),
      );
    });
    const names = given.classes.map((name, i) =>
      text(left - 8, top + line * i + 13, name, { "text-anchor": "end" }),
    );
    morph(
      bars,
      svg(
        "svg",
        {
          role: "img",
          "aria-label": bars.getAttribute("aria-label"),
          viewBox: `0 0 ${wide} ${tall}`,
          height: tall,
        },
        names,
        columns,
      ),
    );
  }

  // ----- the page around it -----

  function fitFrame() {
    const frame = window.frameElement;
    if (!frame) return;
    const height = `${Math.ceil(document.body.getBoundingClientRect().height) + 2}px`;
    if (frame.style.height !== height) frame.style.height = height;
    frame.parentElement.dataset.alive = "yes";
  }

  const status = html("div", { role: "status" });
  const tools = [
    html(
      "div",
      { class: "control" },
      html("span", { class: "swatches", role: "radiogroup", "aria-label": "brush color" }, swatches),
      chosen,
    ),
    html("label", { class: "control" }, "size", size, pixelsWide),
    html(
      "div",
      { class: "presets" },
      button("undo", undo),
      button("clear", () => open(blank)),
    ),
  ];
  document.body.append(
    html("style", {}, LOOK),
    html(
      "main",
      { class: "moonshine-draw" },
      html(
        "div",
        { class: "presets scenes", role: "group", "aria-label": "start from" },
        html("span", {}, "start from"),
        thumbnails,
      ),
      html(
        "div",
        { class: "top" },
        html("div", { class: "left" }, html("div", { class: "sheet" }, paper, over), tools),
        html("div", { class: "right" }, bars),
      ),
      html("div", { class: "maps" }, figures),
      html("p", {}, "Attention maps: each from 0 (dark) to its own largest value (yellow)."),
      status,
    ),
  );
  showRing(false);
  window.live = {
    given,
    networks,
    forward,
    normalized,
    following,
    change: redraw,
    pixels: () => [...pixels],
    answers,
  };
  const x = normalized(pixels, given);
  networks.forEach(network => ask(network, x)); // once each, to know how long it takes
  new ResizeObserver(redraw).observe(bars.parentNode);
};

const LOOK = `
  .scenes button { display: inline-flex; align-items: center; gap: 6px; padding: 2px 8px 2px 3px; }
  .scenes canvas { width: 32px; height: 32px; border-radius: 3px; }
  canvas { image-rendering: pixelated; display: block; }
  .top { display: flex; flex-wrap: wrap; gap: 10px 18px; align-items: flex-start; }
  .left { width: 300px; }
  .right { flex: 1; min-width: 330px; }
  .sheet { position: relative; width: 300px; height: 300px; margin-bottom: 8px; }
  .paper { width: 300px; height: 300px; cursor: crosshair; touch-action: none; }
  .over { position: absolute; inset: 0; width: 300px; height: 300px; pointer-events: none; }
  .ring { fill: none; stroke: #fff; stroke-width: 0.2; filter: drop-shadow(0 0 0.15px #000); }
  .swatches { display: inline-flex; flex-wrap: wrap; gap: 3px; }
  .swatch { display: inline-grid; place-items: center; width: 24px; height: 24px;
    border: 1px solid var(--line); border-radius: 5px; }
  .swatch input { margin: 0; accent-color: var(--blue); }
  .eraser { background: repeating-conic-gradient(#999 0 25%, #eee 0 50%) 0 / 12px 12px; }
  .track { fill: var(--box); }
  svg text.first { font-weight: 700; }
  .stale rect, .stale canvas { opacity: 0.5; }
  .maps { display: flex; flex-wrap: wrap; gap: 8px 18px; margin-top: 10px; }
  .maps figure { margin: 0; flex: 1; min-width: 200px; }
  .maps figcaption { font-weight: 600; }
  .maps figure div { display: flex; gap: 6px; }
  .maps span { flex: 1; max-width: 110px; font-size: 11px; color: var(--muted); }
  .maps canvas { width: 100%; aspect-ratio: 1; }
  p { margin: 6px 0 0; color: var(--muted); font-size: 12px; }
`;
