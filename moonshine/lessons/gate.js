// A question on a page without a kernel: does what moonshine.lessons.gates does in a notebook.
(() => {
  const root = document.currentScript.previousElementSibling;
  const data = JSON.parse(new TextDecoder().decode(
    Uint8Array.from(atob(root.dataset.gate), c => c.charCodeAt(0))));
  const CLOSE = 1.25;

  // Read arithmetic: numbers, + - * / ( ) and ^; null where there is none.
  function readNumber(text) {
    const signs = {"×": "*", "·": "*", "÷": "/", "−": "-", "^": "**", "²": "**2", "³": "**3"};
    let code = text.replace(/\b\d{1,3}(,\d{3})+(?![\d,])/g, number => number.replaceAll(",", ""));
    for (const sign in signs) code = code.replaceAll(sign, signs[sign]);
    code = code.replace(/([\d)])\s*million\b/g, "$1*1e6").replace(/([\d)])\s*thousand\b/g, "$1*1e3")
      .replace(/([\d)])\s*k\b/g, "$1*1e3").replace(/([\d)])\s*M\b/g, "$1*1e6").replace(/([\d)])\s*%/g, "$1");
    if (!/\d/.test(code) || !/^[\d.eE+\-*/() ]+$/.test(code)) return null;
    try {
      const value = Function(`"use strict"; return (${code});`)();
      return Number.isFinite(value) ? value : null;
    } catch { return null; }
  }

  function writeNumber(value) {
    const text = Math.abs(value) >= 1000
      ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(4)));
    return text.replace("-", "−");
  }

  const withUnit = value => typeof value === "string" ? value : `${writeNumber(value)} ${data.unit}`.trim();

  // Return [close, verdict in words].
  function judge(guess) {
    const answer = data.answer;
    if (typeof answer === "string") return guess === answer ? [true, "right"] : [false, "not quite"];
    if (guess === answer) return [true, "exactly right"];
    if (guess * answer <= 0) return [false, `off by ${writeNumber(Math.abs(guess - answer))}`];
    const factor = Math.max(guess / answer, answer / guess);
    const side = Math.abs(guess) > Math.abs(answer) ? "too high" : "too low";
    if (factor < 1.005) return [true, "right"];
    if (factor <= CLOSE) return [true, `close, ${Number((100 * (factor - 1)).toPrecision(2))} % ${side}`];
    return [false, `${Number(factor.toPrecision(3))} times ${side}`];
  }

  function isMistake(guess, wrong) {
    if (typeof guess === "string" || typeof wrong === "string") return guess === wrong;
    return Math.abs(guess - wrong) <= 0.01 * Math.abs(wrong);
  }

  // All elements after the gate in the article of the page, up to its end.
  function following() {
    const article = root.closest("article, main");
    const found = [];
    for (let at = root; at && article && at !== article; at = at.parentElement)
      for (let next = at.nextElementSibling; next; next = next.nextElementSibling)
        if (next.tagName !== "SCRIPT" && next.tagName !== "STYLE") found.push(next);
    return found;
  }

  // An element stays hidden as long as one closed gate hides it.
  function hide(elements, change) {
    for (const element of elements) {
      const count = Number(element.dataset.hiddenBy || 0) + change;
      element.dataset.hiddenBy = count;
      element.style.display = count > 0 ? "none" : "";
    }
  }

  const form = document.createElement("form");
  form.style.cssText = "display:flex;flex-wrap:wrap;gap:8px;align-items:center;margin:8px 0";
  const status = document.createElement("div");
  status.setAttribute("role", "status");
  let guess = null;

  function button(text, type) {
    const made = document.createElement("button");
    made.type = type;
    made.textContent = text;
    made.style.cssText = "font:inherit;padding:4px 12px";
    return made;
  }

  const commit = button("Commit", "submit");
  const skip = button("Show the answer", "button");

  function understood(value, text) {
    guess = value;
    commit.disabled = value === null;
    let note = value === null ? text : `Your guess: ${withUnit(value)}.`;
    const [low, high] = data.between;
    if (value !== null && data.between.length && (value < low || value > high))
      note += ` Is that what you meant? A plausible guess lies between ${writeNumber(low)} and ${writeNumber(high)}.`;
    status.textContent = note;
  }

  if (data.choices.length) {
    for (const choice of data.choices) {
      const label = document.createElement("label");
      const radio = Object.assign(document.createElement("input"), {type: "radio", name: "choice"});
      radio.addEventListener("change", () => understood(choice, ""));
      label.append(radio, " ", choice);
      form.append(label);
    }
  } else {
    const box = Object.assign(document.createElement("input"), {type: "text", placeholder: "your guess"});
    box.setAttribute("aria-label", "your guess");
    box.style.cssText = "font:inherit;padding:4px;width:16em";
    box.addEventListener("input", () =>
      understood(readNumber(box.value), "Type a number or a calculation, such as 3*3*64*64, and press Enter."));
    form.append(box);
  }
  form.append(commit, skip);

  let after = [];

  function open(value) {
    const [close, words] = value === null ? [false, ""] : judge(value);
    const why = close ? [] : data.mistakes.filter(([wrong]) => isMistake(value, wrong)).map(pair => pair[1]);
    const said = value === null ? "You skipped the question." : `You said ${withUnit(value)}: ${words}.`;
    status.textContent = [said, ...why, `The answer is ${data.written}.`, data.because].join(" ");
    for (const control of form.elements) control.disabled = true;
    root.dataset.open = "yes";
    hide(after, -1);
  }

  form.addEventListener("submit", event => {
    event.preventDefault();
    if (guess !== null) open(guess);
  });
  skip.addEventListener("click", () => open(null));
  root.querySelector("p").replaceWith(form, status);
  understood(null, data.choices.length ? "Choose one."
    : "Type a number or a calculation, such as 3*3*64*64, and press Enter.");

  // What follows the gate exists only when the whole page has been read.
  function start() {
    after = following();
    hide(after, 1);
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
