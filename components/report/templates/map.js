// Shows the photograph that is nearest to the pointer on the map. Names go into the page as text, never as markup.
(() => {
  const plot = document.getElementById("map-plot");
  const drawing = plot.querySelector("svg");
  const circles = Array.from(drawing.querySelectorAll("circle"));
  const card = document.getElementById("map-card");
  const choice = document.getElementById("map-class");
  const { points, classes } = JSON.parse(document.getElementById("map-data").textContent);
  const columns = Number(card.dataset.columns);
  const side = 144; // as .card .picture in the style sheet: the sprite is shown larger than it is stored
  let here = -1;

  const shown = (point) => choice.value === "" || point.label === Number(choice.value);
  const visible = (text) =>
    text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (one) =>
      one === "\u200c" || one === "\u200d" ? one : "\\u" + one.codePointAt(0).toString(16).padStart(4, "0"));

  const line = (text, kind) => {
    const paragraph = document.createElement("p");
    const name = document.createElement("bdi");
    if (kind) paragraph.className = kind;
    name.textContent = visible(text);
    paragraph.append(name);
    return paragraph;
  };

  const show = (index) => {
    if (index < 0 || index === here) return;
    if (here >= 0) circles[here].classList.remove("here");
    here = index;
    circles[here].classList.add("here");
    const point = points[here];
    const picture = document.createElement("div");
    picture.className = "picture";
    picture.style.backgroundSize = columns * side + "px";
    picture.style.backgroundPosition = -(here % columns) * side + "px " + -Math.floor(here / columns) * side + "px";
    const right = point.label === point.predicted;
    card.replaceChildren(
      picture, line(classes[point.label]),
      line(right ? "classified correctly" : "predicted " + classes[point.predicted], "note"), line(point.path, "path"));
  };

  const nearest = (event) => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(drawing.getScreenCTM().inverse());
    let best = -1, least = Infinity;
    points.forEach((point, index) => {
      const distance = (100 * point.x - at.x) ** 2 + (100 * point.y - at.y) ** 2;
      if (shown(point) && distance < least) [best, least] = [index, distance];
    });
    return best;
  };

  plot.addEventListener("pointermove", (event) => show(nearest(event)));
  plot.addEventListener("pointerdown", (event) => show(nearest(event)));
  plot.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const count = points.length;
    for (let next = here, tried = 0; tried < count; tried += 1) {
      next = (next + step + count) % count;
      if (shown(points[next])) return show(next);
    }
  });
  choice.addEventListener("change", () =>
    circles.forEach((circle, index) => circle.classList.toggle("dim", !shown(points[index]))));
})();
