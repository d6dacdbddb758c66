// The view of a panel that a kernel computes and a page draws: an iframe, so that the page around it keeps
// its own look, and messages in both directions.
//
//   data, number   from the kernel: what to draw, and how often it was drawn
//   step           from a slider in the page: which of the `opacities` the maps have
//   told           to the kernel: what the reader chose in the drawing

function render({ model, el }) {
  const frame = document.createElement("iframe"),
    holder = document.createElement("div");
  holder.className = "moonshine-image moonshine-drawn";
  frame.title = model.get("title");
  frame.style.cssText = `width:100%;height:${model.get("height")}px;border:0;display:block`;
  frame.srcdoc = model.get("page");

  const page = () => frame.contentWindow && frame.contentWindow.live;
  function push() {
    if (!page()) return; // not loaded yet: it will ask when it is
    const opacity = model.get("opacities")[model.get("step")];
    page().change({ data: model.get("data"), opacity });
    const number = model.get("number");
    page()
      .drawn()
      .then(() => (holder.dataset.n = number));
  }
  frame.addEventListener("load", () => {
    page().tell = told => {
      model.set("told", { ...told, time: Date.now() }); // the same choice twice is two messages
      model.save_changes();
    };
    push();
  });
  const watched = "change:data change:number change:step";
  model.on(watched, push);
  holder.append(frame);
  el.append(holder);
  return () => model.off(watched, push);
}

export default { render };
