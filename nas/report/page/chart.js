"use strict";
// A chart. Marks are drawn on a canvas, thousands without lag; axes and text are SVG above it.
// All text goes through textContent: names may come from a stranger's run.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { left: 58, right: 16, top: 10, bottom: 44 };
const HEIGHT = 330;
const FARTHEST = 70; // pixels between a mark and its label
const REACH = 12; // pixels between a pointer and the mark that it means

const NAMES = { params: "parameters", macs: "MACs", fps: "frames a second", peak_memory: "peak memory", int8_size: "int8 size" };
const nameOf = (axis) => NAMES[axis.name] ?? axis.name.replaceAll("_", " ");
const title = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// What the box of a hypervolume is, in words. sides: of nas.search.volume.Box.
function boxInWords(sides) {
  const told = (side, v) => (side.name === "accuracy" ? format.percent(v) : format.short(v));
  const words = sides.map((s) => `${nameOf(s)} from ${told(s, s.worst)} to ${told(s, s.best)}${s.log ? " (logarithm)" : ""}`);
  return words.length ? `The box of the hypervolume: ${words.join("; ")}.` : "";
}

function svg(name, attributes, parent, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  if (parent) parent.append(element);
  return element;
}

// In smaller letters where the text is longer than its room, in pixels.
function fitted(text, room) {
  const length = text.getComputedTextLength();
  if (length > room) text.style.fontSize = `${(12 * room) / length}px`;
}

function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function colour(name) {
  if (!name.startsWith("--")) return name;
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// share -> colour: the order of evaluation, 0..1, along cividis.
function orderColours() {
  const stops = colour("--order").split(" ");
  return (share) => stops[Math.min(stops.length - 1, Math.floor(share * stops.length))];
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const format = {
  count: (v) => (v == null ? "–" : whole.format(v)),
  percent: (v) => (v == null ? "–" : (100 * v).toFixed(2) + " %"),
  short(v) {
    for (const [unit, size] of [["M", 1e6], ["k", 1e3]]) if (v >= size) return +(v / size).toPrecision(3) + unit;
    return String(+v.toPrecision(3));
  },
  // A value of an axis (nas.report.axes), in words.
  of(axis, v) {
    if (v == null) return "–";
    if (axis.share) return format.percent(v);
    return Number.isInteger(v) || Math.abs(v) >= 1000 ? whole.format(v) : String(+v.toPrecision(4));
  },
  time(seconds) {
    if (seconds < 120) return seconds.toFixed(0) + " s";
    if (seconds < 7200) return (seconds / 60).toFixed(0) + " min";
    return (seconds / 3600).toFixed(1) + " h";
  },
};

// An axis of nas.report.axes as a chart's axis.
function chartAxis(axis) {
  return { label: axis.label + (axis.log ? " (log scale)" : ""), log: axis.log, tick: axis.share ? (v) => +(100 * v).toPrecision(3) + "" : undefined };
}

function ticks(low, high, log) {
  if (log) {
    const decades = Math.log10(high / low);
    const steps = decades > 3 ? [1] : decades > 1.2 ? [1, 3] : [1, 2, 3, 5, 7];
    const found = [];
    for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++)
      for (const s of steps) found.push(s * 10 ** e);
    const inside = found.filter((v) => v >= low && v <= high);
    if (inside.length > 1) return inside; // so short a stretch, such as 3,100 to 4,400, is divided evenly
  }
  const raw = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((m) => m * power >= raw);
  const found = [];
  for (let v = Math.ceil(low / step) * step; v <= high + 1e-9 * step; v += step) found.push(v);
  return found;
}

const SHAPES = {
  circle(c, x, y, r) { c.arc(x, y, r, 0, 2 * Math.PI); },
  square(c, x, y, r) { c.rect(x - r, y - r, 2 * r, 2 * r); },
  diamond(c, x, y, r) { c.moveTo(x, y - r); c.lineTo(x + r, y); c.lineTo(x, y + r); c.lineTo(x - r, y); c.closePath(); },
  triangle(c, x, y, r) { c.moveTo(x, y - r); c.lineTo(x + r, y + 0.8 * r); c.lineTo(x - r, y + 0.8 * r); c.closePath(); },
  star(c, x, y, r) {
    for (let i = 0; i < 10; i++) {
      const [angle, reach] = [(i * Math.PI) / 5 - Math.PI / 2, i % 2 ? 0.45 * r : r];
      c.lineTo(x + reach * Math.cos(angle), y + reach * Math.sin(angle));
    }
    c.closePath();
  },
};

const OUTLINES = { // of the same in a legend, 22 by 14 pixels
  circle: "M15 7A4 4 0 1 1 7 7A4 4 0 1 1 15 7Z", square: "M6.5 2.5H15.5V11.5H6.5Z", diamond: "M11 2L16 7L11 12L6 7Z",
  triangle: "M11 2L16 12H6Z", star: "M11 0L13 5L18 5L14 8L16 13L11 10L6 13L8 8L4 5L9 5Z",
};

class Chart {
  // x, y: {label, log, tick: value -> text, from, to}; onSelect(id) when a mark is chosen.
  constructor(host, { title, x, y, onSelect = null, note = "" }) {
    Object.assign(this, { host, title, x, y, onSelect, series: [], selected: null, at: -1 });
    this.legend = html("ul", { class: "legend", "aria-label": "Legend" });
    this.canvas = html("canvas", { "aria-hidden": "true" });
    this.svg = svg("svg", { tabindex: "0", role: "application", "aria-roledescription": "chart", "aria-label": title });
    this.live = html("p", { class: "unseen", "aria-live": "polite" });
    this.tip = html("div", { class: "tip", hidden: "" });
    this.plot = html("div", { class: "plot" }, this.canvas, this.svg, this.tip, this.live);
    host.append(html("figcaption", {}, title), this.legend, this.plot);
    if (note) host.append(html("p", { class: "note" }, note));
    this.svg.addEventListener("pointermove", (e) => this.#hover(e));
    this.svg.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    this.svg.addEventListener("click", (e) => { const p = this.#near(e); if (p) this.#choose(p); });
    this.svg.addEventListener("blur", () => this.#leave());
    this.svg.addEventListener("keydown", (e) => this.#key(e));
    new ResizeObserver(() => { if (this.plot.clientWidth !== this.width) this.redraw(); }).observe(this.plot);
  }

  // series: [{name, kind: points|line|step|band, shape, colour, size, dash, hollow, end, points: [
  //   {x, y, id, tell, label, low, high, colour}]}]; tell(): what the mark is, in words.
  // end: the shape of a mark at a line's last point, which tells lines apart in grey print.
  draw(series) {
    this.series = series.map((s) => ({ ...s, points: s.points.filter((p) => p.x > (this.x.log ? 0 : -Infinity) && Number.isFinite(p.y)) }))
      .filter((s) => s.points.length);
    this.#legend();
    const marks = this.series.filter((s) => s.kind === "points").reduce((sum, s) => sum + s.points.length, 0);
    this.svg.setAttribute("aria-label", `${this.title}. ${marks} marks${marks ? ": walk with the arrow keys, Home and End" + (this.onSelect ? ", choose with Enter" : "") : ""}.`);
    this.redraw();
  }

  select(id) { this.selected = id; this.#ring(); }

  // Where a mark is, in the plot's pixels; for tests and for the pointer.
  place(p) { return [this.sx(p.x), this.sy(p.y)]; }

  redraw() {
    const width = this.plot.clientWidth;
    if (!width) return; // hidden
    this.width = width;
    this.#scales(width);
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this.canvas, { width: width * ratio, height: HEIGHT * ratio });
    const c = this.canvas.getContext("2d");
    c.scale(ratio, ratio);
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.#axes(c, width);
    for (const s of this.series) this.#series(c, s);
    this.#ring();
    this.#labels(width);
  }

  #scales(width) {
    const all = this.series.flatMap((s) => s.points);
    const span = (axis, values) => {
      let [low, high] = [Infinity, -Infinity];
      for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
      if (!values.length) [low, high] = axis.log ? [1, 10] : [0, 1];
      low = axis.from ?? low; high = axis.to ?? high;
      if (axis.log) return low === high ? [low / 2, high * 2] : [low / (high / low) ** 0.04, high * (high / low) ** 0.04];
      const pad = 0.05 * (high - low || Math.abs(high) || 1);
      return [axis.from ?? low - pad, axis.to ?? high + pad];
    };
    const ys = all.flatMap((p) => [p.y, p.low ?? p.y, p.high ?? p.y]);
    const [x0, x1] = (this.xs = span(this.x, all.map((p) => p.x)));
    const [y0, y1] = (this.ys = span(this.y, ys));
    const along = (axis, a, b, from, to) => axis.log
      ? (v) => from + (Math.log(v / a) / Math.log(b / a)) * (to - from)
      : (v) => from + ((v - a) / (b - a)) * (to - from);
    this.sx = along(this.x, x0, x1, MARGIN.left, width - MARGIN.right);
    this.sy = along(this.y, y0, y1, HEIGHT - MARGIN.bottom, MARGIN.top);
  }

  #axes(c, width) {
    const [bottom, right] = [HEIGHT - MARGIN.bottom, width - MARGIN.right];
    const axes = svg("g", { class: "axes" }, this.svg);
    const show = (axis) => axis.tick ?? format.short;
    const grid = (...ends) => { c.beginPath(); c.moveTo(ends[0], ends[1]); c.lineTo(ends[2], ends[3]); c.stroke(); };
    c.strokeStyle = colour("--line");
    c.lineWidth = 0.6;
    let last = -Infinity;
    for (const v of ticks(...this.xs, this.x.log)) {
      const x = this.sx(v);
      grid(x, MARGIN.top, x, bottom);
      if (x - last < 46) continue;
      last = x;
      svg("text", { x, y: bottom + 17, "text-anchor": "middle" }, axes, show(this.x)(v));
    }
    for (const v of ticks(...this.ys, this.y.log)) {
      const y = this.sy(v);
      grid(MARGIN.left, y, right, y);
      svg("text", { x: MARGIN.left - 7, y: y + 4, "text-anchor": "end" }, axes, show(this.y)(v));
    }
    const centre = (MARGIN.left + right) / 2;
    fitted(svg("text", { x: centre, y: HEIGHT - 7, "text-anchor": "middle", class: "axis" }, axes, this.x.label), 2 * (width - centre));
    const middle = (MARGIN.top + bottom) / 2;
    fitted(svg("text", { transform: `translate(14 ${middle}) rotate(-90)`, "text-anchor": "middle", class: "axis" }, axes, this.y.label), 2 * middle);
  }

  #series(c, s) {
    const fill = colour(s.colour);
    c.save();
    c.beginPath();
    c.rect(MARGIN.left - 6, MARGIN.top - 6, this.plot.clientWidth - MARGIN.left - MARGIN.right + 12, HEIGHT - MARGIN.top - MARGIN.bottom + 12);
    c.clip();
    if (s.kind === "band") {
      c.globalAlpha = 0.22; c.fillStyle = fill; c.beginPath();
      for (const p of s.points) c.lineTo(this.sx(p.x), this.sy(p.high));
      for (const p of [...s.points].reverse()) c.lineTo(this.sx(p.x), this.sy(p.low));
      c.fill();
    } else if (s.kind === "points") {
      for (const p of s.points) this.#mark(c, s, p, p.colour ? p.colour : fill);
    } else {
      c.strokeStyle = fill; c.lineWidth = s.width ?? 1.8; c.setLineDash(s.dash ?? []); c.beginPath();
      let before = null;
      for (const p of s.points) {
        const [x, y] = this.place(p);
        if (s.kind === "step" && before !== null) c.lineTo(x, before);
        c.lineTo(x, y);
        before = y;
      }
      c.stroke();
      c.setLineDash([]);
      if (s.end) this.#mark(c, { ...s, shape: s.end, size: 4.5 }, { ...s.points.at(-1), low: null }, fill);
    }
    c.restore();
  }

  #mark(c, s, p, paint) {
    const [x, y] = this.place(p);
    c.strokeStyle = c.fillStyle = paint;
    if (p.low != null) { // an error bar
      c.lineWidth = 1.2; c.globalAlpha = 0.8; c.beginPath();
      c.moveTo(x, this.sy(p.low)); c.lineTo(x, this.sy(p.high)); c.stroke(); c.globalAlpha = 1;
    }
    c.beginPath();
    SHAPES[s.shape ?? "circle"](c, x, y, s.size ?? 3.5);
    if (s.hollow) { c.lineWidth = 2; c.stroke(); } else c.fill();
  }

  #ring() {
    for (const old of this.svg.querySelectorAll(".ring")) old.remove();
    if (!this.selected || !this.sx) return;
    for (const s of this.series) for (const p of s.points) if (p.id === this.selected) {
      const [x, y] = this.place(p);
      svg("circle", { cx: x, cy: y, r: 9, class: "ring" }, this.svg);
      return;
    }
  }

  // Each label where it covers fewest marks and no other label.
  #labels(width) {
    const marks = this.series.filter((s) => s.kind === "points").flatMap((s) => s.points.map((p) => this.place(p)));
    const taken = [];
    for (const s of this.series) for (const p of s.points) {
      if (!p.label) continue;
      const [x, y] = this.place(p);
      const text = svg("text", { class: "label" }, this.svg, p.label);
      text.style.fill = colour(s.colour);
      const [w, h] = [text.getComputedTextLength() + 4, 14];
      const near = marks.filter(([a, b]) => Math.abs(a - x) < w + FARTHEST + 5 && Math.abs(b - y) < h + FARTHEST + 4);
      let best = null;
      for (const far of [9, 20, 34, 50, FARTHEST]) for (const [dx, dy] of [[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [-1, -1], [1, 1], [-1, 1]]) {
        const left = x + dx * far - (dx < 0 ? w : dx ? 0 : w / 2);
        const top = y + dy * far - h / 2;
        if (left < MARGIN.left || left + w > width - 2 || top < 0 || top + h > HEIGHT - MARGIN.bottom) continue;
        if (taken.some(([a, b, v]) => left < a + v && a < left + w && top < b + h && b < top + h)) continue;
        const covered = near.filter(([a, b]) => a > left - 5 && a < left + w + 5 && b > top - 4 && b < top + h + 4).length;
        if (!best || covered + far / 1000 < best.cost) best = { cost: covered + far / 1000, left, top, far };
      }
      if (!best) { text.remove(); continue; }
      text.setAttribute("x", best.left + 2);
      text.setAttribute("y", best.top + 11);
      taken.push([best.left, best.top, w]);
      if (best.far > 9) {
        const to = Math.max(best.left, Math.min(x, best.left + w));
        svg("line", { x1: x, y1: y, x2: to, y2: best.top + h / 2, class: "leader" }, this.svg);
      }
    }
  }

  #legend() {
    this.legend.replaceChildren();
    for (const s of this.series) {
      if (!s.name) continue;
      const box = svg("svg", { viewBox: "0 0 22 14", width: 22, height: 14, "aria-hidden": "true" });
      const paint = s.order ? "url(#order)" : `var(${s.colour})`;
      const at = { "stroke-width": 2, [s.kind === "points" && !s.hollow ? "fill" : "stroke"]: paint };
      if (s.kind !== "points" || s.hollow) at.fill = "none";
      if (s.kind === "line" || s.kind === "step") {
        svg("path", { d: "M1 7H21", ...at, "stroke-dasharray": (s.dash ?? []).join(" ") }, box);
        const mark = s.hollow ? { fill: "var(--page)", stroke: paint, "stroke-width": 2 } : { fill: paint };
        if (s.end) svg("path", { d: OUTLINES[s.end], ...mark }, box);
      }
      else if (s.kind === "band") svg("rect", { x: 1, y: 2, width: 20, height: 10, fill: paint, "fill-opacity": 0.3 }, box);
      else if (OUTLINES[s.shape] && s.shape !== "circle") svg("path", { d: OUTLINES[s.shape], ...at }, box);
      else if (s.order) svg("rect", { x: 1, y: 3, width: 20, height: 8, fill: paint }, box);
      else svg("circle", { cx: 11, cy: 7, r: Math.min(5, s.size ?? 3.5), ...at }, box);
      this.legend.append(html("li", {}, box, s.name));
    }
  }

  #near(event) {
    const box = this.svg.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    let [best, found] = [REACH ** 2, null];
    for (const s of this.series) if (s.kind === "points") for (const p of s.points) {
      const far = (this.sx(p.x) - x) ** 2 + (this.sy(p.y) - y) ** 2;
      if (far <= best) [best, found] = [far, p];
    }
    return found;
  }

  #hover(event) {
    const p = this.#near(event);
    this.svg.classList.toggle("over", Boolean(p?.id));
    if (p) this.#tip(p); else this.tip.hidden = true;
  }

  #tip(p) {
    const [x, y] = this.place(p);
    this.tip.textContent = p.tell ? p.tell() : "";
    this.tip.hidden = !p.tell;
    this.tip.style.left = `${Math.min(x + 12, this.plot.clientWidth - 190)}px`;
    this.tip.style.top = `${y + 12}px`;
  }

  #choose(p) {
    if (!p.id || !this.onSelect) return;
    this.onSelect(p.id);
    this.live.textContent = `${p.id} is chosen: its drawing is in the section The network.`;
  }

  #leave() { // the keyboard moves on
    this.tip.hidden = true;
    for (const old of this.svg.querySelectorAll(".cursor")) old.remove();
  }

  // Arrow keys walk over the marks from left to right; Enter chooses one.
  #key(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowUp: 10, ArrowDown: -10 }[event.key];
    const all = this.series.filter((s) => s.kind === "points").flatMap((s) => s.points);
    const walk = [...new Map(all.map((p) => [p.id ?? p, p])).values()].sort((a, b) => a.x - b.x);
    if (!walk.length) return;
    if (step) this.at = Math.max(0, Math.min(walk.length - 1, this.at < 0 ? 0 : this.at + step));
    else if (event.key === "Home") this.at = 0;
    else if (event.key === "End") this.at = walk.length - 1;
    else if (event.key === "Escape") { this.tip.hidden = true; return; }
    else if (["Enter", " "].includes(event.key) && this.at >= 0) { this.#choose(walk[this.at]); event.preventDefault(); return; }
    else return;
    event.preventDefault();
    const p = walk[this.at];
    this.#tip(p);
    this.live.textContent = `${this.at + 1} of ${walk.length}: ${p.tell ? p.tell() : ""}`;
    for (const old of this.svg.querySelectorAll(".cursor")) old.remove();
    svg("circle", { cx: this.sx(p.x), cy: this.sy(p.y), r: 7, class: "cursor" }, this.svg);
  }
}
