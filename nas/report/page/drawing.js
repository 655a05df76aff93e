"use strict";
// The architecture of a network: its blocks from top to bottom, with shapes and costs.

const BOX = { left: 30, width: 250, height: 40, gap: 22 };
const BAR = { left: 300, width: 110 };

// blocks: [name, what it does, [channels, height, width], params, MACs, skip]; input: a shape.
function drawing(blocks, input, id) {
  const height = 40 + blocks.length * (BOX.height + BOX.gap);
  const total = (k) => blocks.reduce((sum, block) => sum + block[k], 0);
  const most = (k) => Math.max(1, ...blocks.map((block) => block[k]));
  const root = svg("svg", { class: "drawing", viewBox: `0 0 560 ${height}`, role: "img", "data-network": id });
  svg("title", {}, root, `Architecture of ${id}: ${blocks.length} blocks, ${format.count(total(3))} parameters, ${format.count(total(4))} MACs`);
  const middle = BOX.left + BOX.width / 2;
  svg("text", { x: middle, y: 14, "text-anchor": "middle", class: "shape" }, root, `image ${input.join("×")}`);
  svg("text", { x: BAR.left, y: 14, class: "shape" }, root, "parameters, MACs");
  blocks.forEach(([name, what, shape, params, macs, skip], i) => {
    const top = 30 + i * (BOX.height + BOX.gap);
    const box = svg("g", { class: `block ${name.replace(/[^a-z].*/, "")}`, "data-block": name }, root);
    svg("path", { d: `M${middle} ${top - BOX.gap + 9}V${top - 3}m-4 -5l4 5l4 -5`, class: "arrow" }, root);
    if (skip) {
      svg("path", { d: `M${middle} ${top - 9}H14V${top + BOX.height + 5}H${middle}`, class: `skip ${skip}` }, root);
    }
    svg("rect", { x: BOX.left, y: top, width: BOX.width, height: BOX.height, rx: 4 }, box);
    svg("text", { x: BOX.left + 8, y: top + 16, class: "name" }, box, skip ? `${name} (+ ${skip} skip)` : name);
    svg("text", { x: BOX.left + 8, y: top + 32 }, box, shorten(what, 40));
    svg("title", {}, box, `${name}: ${what}; gives ${shape.join("×")}; ${format.count(params)} parameters, ${format.count(macs)} MACs`);
    svg("text", { x: middle + 8, y: top + BOX.height + 14, class: "shape" }, root, shape.join("×"));
    bar(root, top + 6, params / most(3), "params", format.count(params));
    bar(root, top + 24, macs / most(4), "macs", format.count(macs));
  });
  return root;
}

function bar(root, y, share, kind, text) {
  svg("rect", { x: BAR.left, y, width: share && Math.max(1, share * BAR.width), height: 10, class: kind }, root);
  svg("text", { x: BAR.left + BAR.width + 8, y: y + 9, class: "cost" }, root, text);
}

function shorten(text, length) {
  return text.length > length ? text.slice(0, length - 1) + "…" : text;
}
