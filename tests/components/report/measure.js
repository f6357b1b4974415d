// What a reader would trip over in the page as it is laid out now: words broken inside, heads beside their columns, what is wider
// than the screen, text that is hard to read. Each is a list of descriptions; empty is right.
() => {
  const shown = (element) => element.checkVisibility({ contentVisibilityAuto: true }) && !element.closest(".unseen");
  const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const broken = [], faint = [], wide = [], astray = [];

  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return Array.from(canvas.getImageData(0, 0, 1, 1).data);
  };
  // Relative luminance and contrast ratio of WCAG 2.2.
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((one) => one / 255).map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  };
  const background = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      if (colour[3] > 0) return colour;
    }
    return [255, 255, 255, 255];
  };

  const range = document.createRange();
  while (words.nextNode()) {
    const node = words.currentNode, parent = node.parentElement;
    if (!node.data.trim() || !shown(parent) || ["SCRIPT", "STYLE", "OPTION"].includes(parent.tagName)) continue;
    const style = getComputedStyle(parent), within = `${parent.closest("[id]")?.id}: `;
    if (!parent.closest("[aria-hidden=true]")) {
      const svg = parent.closest("svg");
      const ratio = contrast(rgba(svg ? style.fill : style.color), background(svg ? svg.parentElement : parent));
      if (ratio < 4.5) faint.push(`${within}${node.data.trim().slice(0, 40)} ${ratio.toFixed(2)}`);
    }
    // Vertical heads and drawings do not wrap; names without any separator for long and hashes have to.
    if (style.writingMode !== "horizontal-tb" || parent.closest("svg") || parent.closest(".endless, .hash")) continue;
    // Beside a picture there is room for 13 letters, as in chrysanthemum.
    const longest = parent.closest(".cards, .row, .side") ? 13 : 100;
    for (const word of node.data.matchAll(/[\p{L}\p{N}_]{2,}/gu)) {
      if (word[0].length > longest) continue;
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].length);
      const lines = new Set(Array.from(range.getClientRects()).filter((box) => box.width > 0).map((box) => Math.round(box.top)));
      if (lines.size > 1) broken.push(within + word[0]);
    }
  }

  for (const element of document.body.querySelectorAll("*")) {
    if (!shown(element) || element.closest("svg *") || element.closest(".scroll > *")) continue;
    const box = element.getBoundingClientRect();
    if (box.width && (box.right > innerWidth + 0.5 || box.left < -0.5)) wide.push(`${element.tagName} ${element.className} ${Math.round(box.right)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) wide.push(`the page: ${document.documentElement.scrollWidth}`);

  for (const table of document.querySelectorAll("table")) {
    if (!shown(table)) continue;
    const cells = (row) => Array.from(row.cells).filter(shown);
    const heads = cells(table.tHead.rows[0]);
    const rows = Array.from(table.tBodies[0].rows).filter((row) => shown(row) && !row.classList.contains("below"));
    for (const row of rows) {
      const below = cells(row);
      if (below.length !== heads.length) astray.push(`${table.caption?.textContent}: ${below.length} cells under ${heads.length} heads`);
      below.forEach((cell, index) => {
        const [one, other] = [cell.getBoundingClientRect(), heads[index]?.getBoundingClientRect() ?? {}];
        if (Math.abs(one.left - other.left) > 1 || Math.abs(one.right - other.right) > 1) astray.push(`${table.caption?.textContent}: column ${index}`);
      });
    }
  }
  const few = (list) => Array.from(new Set(list)).slice(0, 12);
  return { broken: few(broken), wide: few(wide), astray: few(astray), faint: few(faint) };
}
