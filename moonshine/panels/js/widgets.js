// Names the sliders of the panels for screen readers: ipywidgets leaves their handles without names.
(() => {
  if (window.moonshineNames) return;

  function set(handle, attribute, text) {
    if (text && handle.getAttribute(attribute) !== text) handle.setAttribute(attribute, text);
  }

  function nameSliders() {
    for (const handle of document.querySelectorAll(".moonshine-panel .noUi-handle")) {
      const slider = handle.closest(".widget-slider");
      set(handle, "aria-label", slider.querySelector(".widget-label")?.textContent);
      set(handle, "aria-valuetext", slider.querySelector(".widget-readout")?.textContent);
    }
  }

  const watched = { subtree: true, childList: true, characterData: true, attributeFilter: ["aria-valuetext"] };
  window.moonshineNames = new MutationObserver(nameSliders);
  window.moonshineNames.observe(document.body, watched);
  nameSliders();
})();
