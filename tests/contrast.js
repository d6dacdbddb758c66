// Every text in the panels with less contrast than WCAG's 4.5 to 1; what is disabled is exempt.
() => {
  const numbers = color => (color.match(/[\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const linear = x => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) =>
    0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);

  function background(element) {
    for (let at = element; at; at = at.parentElement) {
      const color = numbers(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0.5) return color;
    }
    return [255, 255, 255];
  }

  function contrast(element) {
    const part = element.tagName === "INPUT" && !element.value ? "::placeholder" : null;
    const both = [numbers(getComputedStyle(element, part).color), background(element)].map(luminance);
    return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
  }

  const hasText = e => e.tagName === "INPUT" || [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  const texts = [...document.querySelectorAll(":is(.moonshine-panel, .moonshine-gate-page) *")].filter(
    e => hasText(e) && e.checkVisibility() && !e.closest("style, script, :disabled"),
  );
  const name = e => e.textContent || e.placeholder || e.type;
  return {
    texts: texts.length,
    faint: texts.filter(e => contrast(e) < 4.5).map(e => `${name(e)}: ${contrast(e).toFixed(2)}`),
  };
}
