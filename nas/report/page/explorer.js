"use strict";
// The page of one search: data -> charts, tables and the drawing of the chosen network.

const byId = (id) => document.getElementById(id);
const charts = {};
let data, networks, chosen = null;
let built = ""; // the axes that the page was built for: a search's first networks may add some
let limits = []; // of the filters: {axis, input, scale}

const valueOf = (n, axis) => n.metrics[axis.name] ?? null;
const measured = (n) => format.of(data.measure, valueOf(n, data.measure));
const shapeOf = (found) => JSON.stringify([found.measure, ...found.axes].map((a) => [a.name, a.log]));

function start(found) {
  data = found;
  networks = new Map(data.networks.map((n) => [n.id, n]));
  heading();
  if (built !== shapeOf(data)) build();
  for (const show of [fronts, course, genes, surrogate, retrained, genealogy, failures]) show();
  choose(chosen ?? data.best, false);
}

function heading() {
  const ok = data.networks.filter((n) => n.status === "ok").length;
  const winner = networks.get(data.best);
  document.title = `${data.space} on ${data.data}: fer-nas search`;
  byId("title").textContent = `Search of ${data.space} on ${data.data}`;
  byId("warning").hidden = !data.synthetic;
  byId("warning").textContent = "Synthetic faces drawn by code: the accuracies say nothing about real faces.";
  facts(byId("facts"), [
    ["run", data.run], ["algorithm", data.algorithm], ["seed", data.seed],
    ["networks", `${data.networks.length.toLocaleString("en")} (${data.networks.length - ok} failed or stopped)`],
    ["running time", format.time(data.seconds)],
    ["best", winner ? `${winner.id}: ${[data.measure, data.axes[0]].map((a) => `${a.name} ${format.of(a, valueOf(winner, a))}`).join(", ")}` : "none yet"],
    ...(data.majority_baseline === null ? [] : [["most frequent class alone", format.percent(data.majority_baseline)]]),
    ["hypervolume", data.hypervolume.length ? format.percent(data.hypervolume.at(-1)[2]) : "–"],
  ]);
}

function facts(host, pairs) {
  host.replaceChildren(...pairs.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, String(value)))));
}

function build() {
  built = shapeOf(data);
  const stops = colour("--order").split(" ");
  byId("order").replaceChildren(...stops.map((stop, i) => svg("stop", { offset: i / (stops.length - 1), "stop-color": stop })));
  const measure = chartAxis(data.measure);
  const chart = (id, options) => {
    const host = byId(id);
    host.replaceChildren();
    return new Chart(host, options);
  };
  const name = nameOf(data.measure);
  byId("fronts").replaceChildren(...data.axes.map((axis) => html("figure", { id: `front-${axis.name}` })));
  charts.fronts = data.axes.map((axis) => chart(`front-${axis.name}`, { title: `${title(name)} against ${nameOf(axis)}`, x: chartAxis(axis), y: measure, onSelect: choose }));
  const volume = { label: "hypervolume (share of the box, %)", tick: (v) => +(100 * v).toPrecision(3) + "", from: 0 };
  charts.evaluations = chart("volume-evaluations", { title: "Hypervolume against evaluations", x: { label: "networks evaluated" }, y: volume });
  charts.time = chart("volume-time", { title: "Hypervolume against time", x: { label: "minutes that the search ran" }, y: volume });
  charts.population = chart("population", { title: `${title(name)} of the best networks so far`, x: { label: "networks evaluated" }, y: measure });
  charts.surrogate = chart("surrogate", { title: "Predicted against measured", x: { ...measure, label: `measured ${data.measure.label}` }, y: { ...measure, label: `predicted ${name}${data.measure.share ? " (%)" : ""}` }, onSelect: choose });
  const share = chartAxis({ share: true, label: "" });
  charts.retrained = chart("retrained", { title: "Search accuracy against final accuracy", x: { ...share, label: "search accuracy (%)" }, y: { ...share, label: "validation accuracy, retrained (%)" }, onSelect: choose });
  const fps = data.axes.some((axis) => axis.name === "fps");
  charts.table = new SortedTable(byId("networks"), [
    ["index", "order", format.count], ["id", "network", (id) => link(id), "text"], ["status", "status", null, "text"],
    ...[data.measure, ...data.axes].map((axis) => [(n) => valueOf(n, axis), COLUMNS[axis.name] ?? axis.name, (v) => (axis.name === "macs" && v !== null ? (v / 1e6).toFixed(1) : format.of(axis, v))]),
    ...(fps ? [["fps_measured", "fps measured", format.count]] : []), ["fitness", "fitness", (v) => (v === null ? "–" : v.toFixed(4))],
    ["epochs", "epochs", format.count], ["seconds", "training s", (v) => v.toFixed(1)], ["front", "front", (v) => (v ? "yes" : ""), "text"],
  ], 3, data.measure.maximize);
  filters();
  // Published accuracies are of FER2013: beside a search of other images they are shown on demand.
  const published = byId("filters").elements.published;
  published.checked = published.defaultChecked = /^fer(2013|plus)/.test(data.data);
}

const COLUMNS = { params: "parameters", macs: "MMACs", fps: "fps predicted" };

function filters() {
  limits = [data.measure, ...data.axes].map((axis) => {
    const scale = axis.share ? 0.01 : axis.name === "macs" ? 1e6 : 1;
    const input = html("input", { name: axis.name, type: "number", step: "any", });
    return { axis, input, scale };
  });
  byId("limits").replaceChildren(...limits.map(({ axis, input }) =>
    html("label", {}, `${COLUMNS[axis.name] ?? axis.name} ${axis.maximize ? "from" : "up to"}${axis.share ? ", %" : ""} `, input)));
}

function filtered() {
  const form = byId("filters").elements;
  const [id, show] = [form.id.value.trim(), form.show.value];
  const set = limits.filter(({ input }) => input.value !== "");
  const within = (n) => set.every(({ axis, input, scale }) => {
    const v = valueOf(n, axis);
    return v !== null && (axis.maximize ? v >= input.value * scale : v <= input.value * scale);
  });
  return data.networks.filter((n) => (!id || n.id.includes(id)) && within(n) && (show === "all" || (show === "front" ? n.front : n.status === "failed")));
}

function fronts() {
  const shown = filtered();
  byId("shown").textContent = `${shown.length.toLocaleString("en")} of ${data.networks.length.toLocaleString("en")} networks`;
  const ok = shown.filter((n) => n.status === "ok" && valueOf(n, data.measure) !== null);
  const published = byId("filters").elements.published.checked && data.measure.name === "accuracy";
  data.axes.forEach((axis, i) => charts.fronts[i].draw(frontSeries(ok, axis, published)));
  byId("bars").textContent = believed()
    ? `The front and best.json are chosen by the ${data.measure.name} that the search believes: a network's measurement, pulled towards what like networks measured. Bars on the front: that value, less and plus one standard deviation. Marks: what was measured.`
    : "No bars: each network was trained once, and what the search believes of it is known when the search has ended, by this version or a later one, with enough networks to compare.";
  charts.table.show(shown);
}

const believed = () => data.networks.some((n) => n.low != null);

function frontSeries(ok, axis, published) {
  const last = Math.max(1, data.networks.length - 1);
  const orderColour = orderColours();
  const has = (n) => valueOf(n, axis) !== null && valueOf(n, data.measure) !== null;
  const point = (n) => ({ x: valueOf(n, axis), y: valueOf(n, data.measure), id: n.id, tell: () => about(n) });
  const inside = ok.filter(has);
  const series = [
    { name: "networks, first to last", order: true, kind: "points", size: 3, colour: "--muted", points: inside.filter((n) => !n.front).map((n) => ({ ...point(n), colour: orderColour(Math.min(1, n.index / last)) })) },
    { name: "best for its cost", kind: "step", width: 1.3, colour: "--front", points: stairs(inside, axis) },
    { name: believed() ? `Pareto front by believed ${data.measure.name}, as measured` : "Pareto front of all objectives", kind: "points", size: 5, colour: "--front", points: inside.filter((n) => n.front).map((n) => ({ ...point(n), low: n.low, high: n.high })) },
    { name: "best.json", kind: "points", shape: "star", size: 11, colour: "--best", points: inside.filter((n) => n.id === data.best).slice(0, 1).map(point) },
    { name: "reference, trained in this search", kind: "points", shape: "diamond", hollow: true, size: 7, colour: "--reference", points: data.references.filter(has).map((r) => ({ ...point(r), label: r.name, tell: () => `${r.name}\n${about(r)}` })) },
  ];
  if (data.baseline) series.push({ name: `front of ${data.baseline.run}`, kind: "points", shape: "square", hollow: true, size: 3.5, colour: "--baseline", points: data.baseline.front.filter(has).map((n) => ({ ...point(n), low: n.low, high: n.high, id: null, tell: () => `baseline ${about(n)}` })) });
  if (published) series.push({ name: "published (FER2013's test split, fully trained)", kind: "points", shape: "triangle", hollow: true, size: 6, colour: "--published", points: data.references.filter((r) => r.published && valueOf(r, axis) !== null).map((r) => ({ x: valueOf(r, axis), y: r.published, label: r.name, tell: () => `${r.name}, published: ${format.percent(r.published)}` })) });
  return series;
}

function stairs(ok, axis) {
  const [along, up] = [axis.maximize ? -1 : 1, data.measure.maximize ? 1 : -1];
  const points = [];
  const all = ok.map((n) => ({ x: valueOf(n, axis), y: valueOf(n, data.measure) }));
  for (const p of all.sort((a, b) => along * (a.x - b.x) || up * (b.y - a.y)))
    if (!points.length || up * p.y > up * points.at(-1).y) points.push(p);
  return points;
}

// What the search believes of a network, with one deviation; null where it does not say.
function belief(n) {
  const [middle, low, high] = [n.believed, n.low, n.high].map((v) => format.of(data.measure, v));
  return n.low == null ? null : `${middle} (${low} to ${high})`;
}

function about(n) {
  const bar = belief(n) ? `\nbelieved ${belief(n)}` : "";
  return `${n.id}: ${title(data.measure.name)} ${measured(n)}${bar}\n${data.axes.map((axis) => `${format.of(axis, valueOf(n, axis))} ${UNITS[axis.name] ?? axis.name}`).join("\n")}`;
}

const UNITS = { params: "parameters", macs: "MACs", fps: "fps" };

function course() {
  const lines = (of) => {
    const series = [{ name: "this run", kind: "step", colour: "--front", points: data.hypervolume.map(of) }];
    if (data.baseline) series.push({ name: data.baseline.run, kind: "step", dash: [6, 4], colour: "--baseline", points: data.baseline.hypervolume.map(of) });
    return series;
  };
  charts.evaluations.draw(lines(([x, , y]) => ({ x, y })));
  charts.time.draw(lines(([, x, y]) => ({ x: x / 60, y })));
  const parents = data.population;
  const at = (i) => parents.map((row) => ({ x: row.evaluations, y: row.quartiles[i] }));
  charts.population.draw([
    { name: "quartiles", kind: "band", colour: "--front", points: parents.map((row) => ({ x: row.evaluations, y: row.quartiles[1], low: row.quartiles[0], high: row.quartiles[2] })) },
    { name: "median", kind: "line", colour: "--front", points: at(1) },
  ]);
  const b = data.baseline;
  byId("baseline").textContent = b
    ? `Baseline: ${b.run}, ${b.algorithm}, seed ${b.seed}, ${b.evaluations} networks in ${format.time(b.seconds)}; this run ${data.networks.length} networks in ${format.time(data.seconds)}; ${b.equal_fidelity ? "equal" : "NOT equal"} training of each network.`
    : `No baseline was named (--baseline RUN). ${boxInWords(data.box)}`;
}

function genes() {
  const share = (kind) => (v) => {
    const box = html("span", { class: `share ${kind}` });
    box.style.width = `${80 * v}px`;
    return html("span", {}, (100 * v).toFixed(0) + " %", box);
  };
  put("genes", data.genes.length && table(data.genes.slice(0, 15), [
    ["gene", "gene", null, "text"], ["value", "commonest value on the front", null, "text"],
    ["front", "share of the front", share(""), "text"], ["all", "share of all networks", share("all"), "text"],
  ], "The 15 genes in which the front differs most from all evaluated networks."), "No front yet.");
}

function surrogate() {
  const found = data.surrogate;
  const points = found ? found.points : [];
  byId("surrogate").hidden = !points.length;
  const ends = points.map((p) => p.measured);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  charts.surrogate.draw([
    { name: "equal", kind: "line", dash: [4, 4], colour: "--muted", points: points.length ? [{ x: low, y: low }, { x: high, y: high }] : [] },
    { name: "a network, plus and minus one deviation", kind: "points", size: 3, colour: "--front", points: points.map((p) => ({ x: p.measured, y: p.predicted, low: p.low, high: p.high, id: p.id, tell: () => `${p.id}: measured ${format.of(data.measure, p.measured)}, predicted ${format.of(data.measure, p.predicted)}` })) },
  ]);
  put("calibration", found && table(found.calibration, [
    ["level", "interval of the prediction", (v) => (100 * v).toFixed(0) + " %"], ["covered", "measured ones inside", (v) => (100 * v).toFixed(1) + " %"],
  ], `${found.before ? `${points.length} networks, each predicted before its training, when the search chose it` : `This search noted no predictions: each of ${points.length} networks is predicted anew from the others (${found.folds} folds)`}: rank correlation ${number(found.rank_correlation)}, mean error ${inPoints(found.mean_error)}.`), "Too few networks to check the surrogate.");
}

function retrained() {
  const rows = data.retrained.networks;
  byId("retrained").hidden = !rows.length;
  const rank = data.retrained.rank_correlation;
  byId("ranks").textContent = rows.length
    ? `${rows.length} retrained: ${rank === null ? "too few networks to say how search accuracy ranks them" : `rank correlation of search accuracy with final accuracy ${number(rank)} (Spearman)`}.`
    : "No network was retrained: how well the search's short training ranks is not known here.";
  charts.retrained.draw([{ name: rows.some((r) => r.low !== null) ? "retrained network, 95 % interval over seeds" : "retrained network", kind: "points", size: 5, shape: "diamond", colour: "--best", points: rows.map((r) => ({ x: r.search, y: r.final, low: r.low, high: r.high, id: r.id, tell: () => `${r.id}: ${format.percent(r.search)} in the search, ${format.percent(r.final)} after ${r.epochs} epochs${r.low === null ? "" : `, mean of ${r.seeds} seeds, ${format.percent(r.low)} to ${format.percent(r.high)}`}` })) }]);
}

function genealogy() {
  const { line, paid } = data.genealogy;
  put("line", line.length && html("div", {}, html("h3", {}, "From the first ancestor to the winner"), table(line.map(step), [
    ["id", "network", link, "text"], ["value", data.measure.name, (v) => format.of(data.measure, v)],
    ["gain", `gain${data.measure.share ? ", points" : ""}`, (v) => (v === null ? "–" : signed(v))], ["what", "what changed", null, "text"],
  ], "One short training each: a gain of the size of its noise says nothing.")), "This run recorded no parents of its winner.");
  put("paid", paid.length && table(paid, [
    ["change", "kind of change", null, "text"], ["count", "children", format.count], ["mean", `mean gain${data.measure.share ? ", points" : ""}`, (v) => signed(v)],
    ["low", "95 % interval", (v, row) => (v === null ? "–" : `${signed(v)} to ${signed(row.high)}`)],
  ], `How much better a child's ${data.measure.name} is than its first parent's${data.measure.share ? ", in points of a percent" : ""}.`), "");
}

// A network of the line and what made it of the one before.
function step(id, at, line) {
  const [n, before] = [networks.get(id), networks.get(line[at - 1])];
  const value = n ? valueOf(n, data.measure) : null;
  const gain = before && value !== null && valueOf(before, data.measure) !== null ? value - valueOf(before, data.measure) : null;
  const changed = n ? n.changes.map((c) => `${c.gene}: ${told(c.old)} → ${told(c.new)}`).join("; ") : "";
  const crossed = n && n.parents.length > 1 ? `crossover of ${n.parents.join(" and ")}; of the first: ` : "";
  return { id, value, gain: gain === null || data.measure.maximize ? gain : -gain, what: at ? crossed + changed : "–" };
}

// A value of a gene in words: a block by its kind and what it sets.
function told(value) {
  if (value == null) return "none";
  if (Array.isArray(value)) return value.map(told).join(", ") || "none";
  if (typeof value !== "object") return String(value);
  const { kind, ...rest } = value;
  const set = Object.entries(rest).filter(([, v]) => v !== "none").map(([key, v]) => `${key.replaceAll("_", " ")} ${told(v)}`);
  return [kind ?? "", set.length ? `(${set.join(", ")})` : ""].join(" ").trim();
}

function failures() {
  put("failures", data.failures.length && table(data.failures.map((f) => ({ ...f, who: f.ids })), [
    ["count", "times", format.count], ["reason", "reason", null, "text"],
    ["who", "networks", (ids) => html("span", {}, ...ids.slice(0, 8).map(link), ids.length > 8 ? ` and ${ids.length - 8} more` : ""), "text"],
  ]), "No training failed.");
}

function put(id, content, otherwise) { byId(id).replaceChildren(content || html("p", { class: "note" }, otherwise)); }
function number(v) { return v === null ? "–" : v.toFixed(3); }
function signed(v) { return (v >= 0 ? "+" : "−") + (data.measure.share ? Math.abs(100 * v).toFixed(2) : String(+Math.abs(v).toPrecision(3))); }
function inPoints(v) { return data.measure.share ? `${(100 * v).toFixed(2)} points` : String(+v.toPrecision(3)); }
function pre(text, name = "Text") { return html("pre", { tabindex: "0", role: "region", "aria-label": name }, text); } // it may scroll
function link(id) { return html("button", { type: "button", onclick: () => choose(id) }, id); }

function ancestors(line) {
  return html("ol", { class: "ancestors" }, ...line.map((id) => html("li", {}, link(id), networks.get(id) ? ` ${measured(networks.get(id))}` : "")));
}

const LONG = { params: "parameters", macs: "MACs", fps: "fps predicted" };

function choose(id, move = true) {
  const n = networks.get(id);
  if (!n) { put("network", null, "No network yet."); return; }
  chosen = id;
  for (const chart of [...charts.fronts, charts.surrogate, charts.retrained]) chart.select(id);
  charts.table.select(id);
  byId("detail-title").textContent = `Network ${id}`;
  const image = [n.genome.input.channels, n.genome.input.height, n.genome.input.width];
  const pairs = html("dl", { class: "pairs" });
  facts(pairs, [
    [data.measure.name, valueOf(n, data.measure) === null ? n.status : measured(n)],
    ["predicted before", n.predicted ? `${format.of(data.measure, n.predicted[0])} (${n.predicted.slice(1).map((v) => format.of(data.measure, v)).join(" to ")})` : "–"],
    ...(belief(n) ? [["believed", belief(n)]] : []),
    ...data.axes.map((axis) => [LONG[axis.name] ?? axis.name, format.of(axis, valueOf(n, axis))]),
    ...(n.fps_measured ? [["fps measured", format.count(n.fps_measured)]] : []),
    ["training", `${n.epochs} epochs of ${+(100 * n.fraction).toFixed(1)} % of the images, ${n.seconds} s`], ["asked as", `number ${n.index + 1}`],
  ]);
  const words = html("div", {}, pairs);
  if (n.error) words.append(html("h3", {}, "Why it failed"), pre(n.error, "Error"));
  if (n.parents.length) words.append(html("h3", {}, "Ancestors"), ancestors(lineOf(n)));
  if (n.changes.length) words.append(table(n.changes, [["gene", "gene that changed", null, "text"], ["old", "from", told, "text"], ["new", "to", told, "text"]]));
  const curves = data.retrained.networks.filter((r) => r.id === id && r.curve.length);
  if (curves.length) words.append(curvesOf(curves));
  words.append(html("h3", {}, "Retrain it"), pre(`${data.commands.genome}\n${data.commands.retrain}`.replaceAll("{id}", id), "Commands"),
    html("details", {}, html("summary", {}, "Genome (JSON)"), pre(JSON.stringify(genomeOf(n), null, 1), "Genome")));
  byId("network").replaceChildren(drawing(n.boxes.map((at) => data.boxes[at]), image, id), words);
  if (move) byId("detail").scrollIntoView({ block: "nearest" });
}

function genomeOf(n) { // networks share most of their blocks: the page has each once
  const stages = n.genome.stages.map((stage) => ({ blocks: stage.blocks.map((at) => data.blocks[at]) }));
  return { ...n.genome, stages };
}

function lineOf(n) {
  const line = [n.id];
  for (let at = n; at && at.parents.length && line.length < 60; at = networks.get(at.parents[0])) {
    if (line.includes(at.parents[0])) break;
    line.unshift(at.parents[0]);
  }
  return line;
}

function curvesOf(rows) { // of the retrainings of one network
  const figure = html("figure");
  const y = { ...chartAxis({ share: true, label: "validation accuracy (%)" }) };
  const chart = new Chart(figure, { title: "Learning curves of its retraining", x: { label: "epochs" }, y });
  requestAnimationFrame(() => chart.draw(rows.map((row, i) => ({
    name: `${row.folder === row.id ? "" : `${row.folder}, `}${row.epochs} epochs`, kind: "line", colour: `--series${i % 8}`, dash: i % 2 ? [6, 3] : [],
    points: row.curve.map(([x, accuracy]) => ({ x, y: accuracy })),
  }))));
  return figure;
}

async function follow() { // a page that --serve hands out asks for what is new
  try {
    const answer = await fetch("data.json");
    const found = await answer.json();
    if (found.networks.length !== data.networks.length) start(found);
  } catch { /* the server ended: the page stays as it is */ }
  setTimeout(follow, 5000);
}

byId("filters").addEventListener("input", fronts);
byId("filters").addEventListener("reset", () => setTimeout(fronts));
byId("filters").addEventListener("submit", (e) => e.preventDefault());
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { built = ""; start(data); });
start(JSON.parse(byId("data").textContent));
if (data.live) setTimeout(follow, 5000);
