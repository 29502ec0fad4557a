"use strict";
(async () => {
  const one = (query) => document.querySelector(query);
  const all = (query, root = document) => [...root.querySelectorAll(query)];
  const numbers = (text) => (text ? text.split(" ").map(Number) : []);

  const packed = Uint8Array.from(atob(one("#data").textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const levels = JSON.parse(await new Response(stream).text());

  // What a kernel was made of, and what was made of a line: by the rows of the table.
  const linesOf = new Map(), kernelsOf = new Map();
  const relate = (line, kernel) => {
    if (!linesOf.has(kernel)) linesOf.set(kernel, new Set());
    if (!kernelsOf.has(line)) kernelsOf.set(line, new Set());
    linesOf.get(kernel).add(line);
    kernelsOf.get(line).add(kernel);
  };
  for (const row of all("tr[data-k]"))
    for (const line of numbers(row.dataset.lines)) relate(line, Number(row.dataset.k));

  let chosen = { lines: new Set(), kernels: new Set() };
  const panel = one("#level");
  const touches = (set, values) => values.some((value) => set.has(value));

  const paint = (root = document) => {
    for (const node of all("[data-k], [data-lines]", root)) {
      const byKernel = "k" in node.dataset && touches(chosen.kernels, numbers(node.dataset.k));
      const isLine = "lines" in node.dataset && !node.matches("tr");
      const byLine = isLine && touches(chosen.lines, numbers(node.dataset.lines));
      node.classList.toggle("on", node.matches(".item[data-k]") ? byKernel : byKernel || byLine);
    }
    for (const edge of all(".edge", root))
      edge.classList.toggle("on", ["a", "b"].every((end) =>
        touches(chosen.kernels, numbers(edge.dataset[end]))));
    one("#clear").hidden = !chosen.lines.size && !chosen.kernels.size;
  };

  const centre = (box, node) => {
    const middle = (rect) => rect.left + rect.width / 2;
    box.scrollLeft += middle(node.getBoundingClientRect()) - middle(box.getBoundingClientRect());
  };

  const reveal = (box) => {
    const first = box && box.querySelector(".on:not(.edge)");
    if (!first) return;
    if (first.matches(".node")) centre(box, first);
    const delta = first.getBoundingClientRect().top - box.getBoundingClientRect().top;
    if (delta < 0 || delta > box.clientHeight - 30) box.scrollTop += delta - 24;
  };

  const choose = (lines, kernels, from) => {
    chosen = { lines: new Set(lines), kernels: new Set(kernels) };
    paint();
    for (const box of [one(".source"), panel, one(".kernels"), one("#rivals .scroll"), one("#graph .scroll")])
      if (box && !(from && box.contains(from))) reveal(box);
    const kind = lines.length === 1 ? `#line-${lines[0]}` : kernels.length === 1 ? `#kernel-${kernels[0]}` : "";
    if (kind) history.replaceState(null, "", kind);
  };
  const chooseLines = (lines, from) =>
    choose(lines, lines.flatMap((line) => [...(kernelsOf.get(line) || [])]), from);
  const chooseKernels = (kernels, from) =>
    choose(kernels.flatMap((kernel) => [...(linesOf.get(kernel) || [])]), kernels, from);

  const show = (name) => {
    for (const tab of all(".tabs button")) tab.setAttribute("aria-selected", String(tab.dataset.level === name));
    panel.setAttribute("aria-labelledby", `tab-${name}`);
    one("#level-title").textContent = levels[name].title;
    panel.replaceChildren(...levels[name].items.map(([text, lines, kernels]) => {
      const item = document.createElement("pre");
      item.className = text.includes("\n") ? "item long" : "item";
      item.textContent = text;
      if (lines.length) item.dataset.lines = lines.join(" ");
      if (kernels.length) item.dataset.k = kernels.join(" ");
      return item;
    }));
    paint(panel);
    panel.scrollTop = 0;
    reveal(panel);
  };

  const pick = (target) => {
    const node = target.closest("[data-k], [data-lines]");
    if (!node || String(window.getSelection())) return false;
    const kernels = numbers(node.dataset.k), lines = numbers(node.dataset.lines);
    if (node.matches(".source li, .item:not([data-k])")) chooseLines(lines, node);
    else if (kernels.length) chooseKernels(kernels, node);
    else chooseLines(lines, node);
    return true;
  };
  document.addEventListener("click", (event) => pick(event.target));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") choose([], []);
    if ((event.key === "Enter" || event.key === " ") && event.target.matches("[data-k], [data-lines]"))
      if (pick(event.target)) event.preventDefault();
    const tab = event.target.closest(".tabs button");
    if (tab && (event.key === "ArrowRight" || event.key === "ArrowLeft")) {
      const tabs = all(".tabs button"), step = event.key === "ArrowRight" ? 1 : tabs.length - 1;
      const next = tabs[(tabs.indexOf(tab) + step) % tabs.length];
      next.focus();
      show(next.dataset.level);
    }
  });
  for (const tab of all(".tabs button")) tab.addEventListener("click", () => show(tab.dataset.level));
  one("#clear").addEventListener("click", () => choose([], []));

  const top = one("#graph .node");
  if (top) centre(one("#graph .scroll"), top);
  show("kernels");
  const wanted = location.hash.match(/^#(line|kernel)-(\d+)$/);
  if (wanted) (wanted[1] === "line" ? chooseLines : chooseKernels)([Number(wanted[2])]);
  document.documentElement.dataset.ready = "yes";
})();
