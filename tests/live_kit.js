// What tests/test_live.py asks of a page with a live panel.
const kit = {
  compare: states =>
    states.map(state => {
      const data = panel.compute(state, live.given);
      return [data, panel.describe(data, live.given)];
    }),

  // The text with the lowest contrast with the background of the page or of a box, and the smallest text.
  looks() {
    const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgb = color => {
      paint.fillStyle = color;
      paint.fillRect(0, 0, 1, 1);
      return [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255);
    };
    const linear = v => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const light = color => {
      const [r, g, b] = rgb(color).map(linear);
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => {
      const [low, high] = [light(a), light(b)].sort((x, y) => x - y);
      return (high + 0.05) / (low + 0.05);
    };
    const root = getComputedStyle(document.documentElement);
    const grounds = ["--bg", "--box"].map(name => root.getPropertyValue(name));
    const all = document.querySelectorAll("svg text, label, button, output, [role=status], .scale span");
    const found = [...all]
      .filter(e => e.textContent && !e.closest(".unused"))
      .map(e => {
        const style = getComputedStyle(e),
          color = e.tagName === "text" ? style.fill : style.color;
        const contrast = Math.min(...grounds.map(ground => ratio(color, ground)));
        return { words: e.textContent, contrast, size: parseFloat(style.fontSize) };
      });
    const least = what => found.reduce((a, b) => (a[what] < b[what] ? a : b));
    return [least("contrast"), least("size")];
  },

  // The texts that leave the drawing.
  clipped() {
    const frame = document.querySelector("svg").getBoundingClientRect();
    return [...document.querySelectorAll("svg text")]
      .filter(e => {
        const box = e.getBoundingClientRect();
        const outside =
          box.left < frame.left - 1 ||
          box.right > frame.right + 1 ||
          box.top < frame.top - 3 ||
          box.bottom > frame.bottom + 3;
        return box.width && outside;
      })
      .map(e => e.textContent);
  },

  // The names in the Pareto explorer that cover a point.
  covered() {
    const boxes = selector => [...document.querySelectorAll(selector)].map(e => e.getBoundingClientRect());
    const points = boxes("[data-point] path");
    const meet = (a, b) =>
      Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 &&
      Math.min(a.bottom - 3, b.bottom) - Math.max(a.top + 3, b.top) > 1;
    return boxes("text.name").filter(name => points.some(point => meet(name, point))).length;
  },

  // Milliseconds from each input to the drawing that follows it, layout included.
  async times(count) {
    const slider = document.querySelector("input[type=range]:enabled"),
      found = [];
    const frame = () => new Promise(requestAnimationFrame);
    for (let i = 0; i < count; i++) {
      await frame();
      const start = performance.now();
      slider.value = (Number(slider.value) + 1) % (Number(slider.max) + 1);
      slider.dispatchEvent(new Event("input"));
      await frame();
      document.querySelector("svg").getBoundingClientRect();
      found.push(performance.now() - start);
    }
    return found;
  },

  // Many inputs in one frame.
  burst() {
    const slider = document.querySelector("input[type=range]:enabled");
    for (let i = 0; i < 300; i++) {
      slider.value = i % 2;
      slider.dispatchEvent(new Event("input"));
    }
  },

  settled: () => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done))),
  numbers: (selector, name) =>
    [...document.querySelectorAll(selector)].map(e => Number(e.getAttribute(name))),
};
