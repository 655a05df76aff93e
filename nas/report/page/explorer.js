"use strict";
// The page of one search: data -> charts, tables and the drawing of the chosen network.

const byId = (id) => document.getElementById(id);
const percentTick = (v) => +(100 * v).toPrecision(3) + "";
const accuracyAxis = { label: "search accuracy (held-out images, %)", tick: percentTick };
const AXES = {
  params: { label: "parameters (log scale)", log: true },
  macs: { label: "multiply-accumulates an image (log scale)", log: true },
  fps: { label: "predicted frames a second, batch 1, one thread (log scale)", log: true },
};
const charts = {};
let data, networks, chosen = null;

function start(found) {
  data = found;
  networks = new Map(data.networks.map((n) => [n.id, n]));
  heading();
  if (!charts.table) build();
  for (const show of [fronts, course, genes, surrogate, retrained, fidelities, genealogy, failures]) show();
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
    ["best", winner ? `${winner.id}: ${format.percent(winner.accuracy)}, ${format.count(winner.params)} parameters` : "none yet"],
    ["hypervolume", data.hypervolume.length ? format.percent(data.hypervolume.at(-1)[2]) : "–"],
  ]);
}

function facts(host, pairs) {
  host.replaceChildren(...pairs.map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, String(value)))));
}

function build() {
  const stops = colour("--order").split(" ");
  stops.forEach((stop, i) => svg("stop", { offset: i / (stops.length - 1), "stop-color": stop }, byId("order")));
  const front = (key, title) => new Chart(byId(`front-${key}`), { title, x: AXES[key], y: accuracyAxis, onSelect: choose });
  charts.params = front("params", "Accuracy against parameters");
  charts.macs = front("macs", "Accuracy against multiply-accumulates");
  charts.fps = front("fps", "Accuracy against speed");
  const volume = { label: "hypervolume (share of the box, %)", tick: percentTick, from: 0 };
  charts.evaluations = new Chart(byId("volume-evaluations"), { title: "Hypervolume against evaluations", x: { label: "networks evaluated" }, y: volume });
  charts.time = new Chart(byId("volume-time"), { title: "Hypervolume against time", x: { label: "minutes that the search ran" }, y: volume });
  charts.population = new Chart(byId("population"), { title: "Accuracy of the best networks so far", x: { label: "networks evaluated" }, y: accuracyAxis });
  charts.surrogate = new Chart(byId("surrogate"), { title: "Predicted against measured", x: { label: "measured search accuracy (%)", tick: percentTick }, y: { label: "predicted accuracy (%)", tick: percentTick }, onSelect: choose });
  charts.retrained = new Chart(byId("retrained"), { title: "Search accuracy against final accuracy", x: { label: "search accuracy (%)", tick: percentTick }, y: { label: "validation accuracy, retrained (%)", tick: percentTick }, onSelect: choose });
  charts.table = new SortedTable(byId("networks"), [
    ["index", "order", format.count], ["id", "network", (id) => link(id), "text"], ["status", "status", null, "text"],
    ["accuracy", "accuracy", format.percent], ["params", "parameters", format.count],
    ["macs", "MMACs", (v) => (v === null ? "–" : (v / 1e6).toFixed(1))], ["fps", "fps predicted", format.count],
    ["fps_measured", "fps measured", format.count], ["fitness", "fitness", (v) => (v === null ? "–" : v.toFixed(4))],
    ["epochs", "epochs", format.count], ["seconds", "training s", (v) => v.toFixed(1)], ["front", "front", (v) => (v ? "yes" : ""), "text"],
  ], "accuracy");
  byId("filters").addEventListener("input", fronts);
  byId("filters").addEventListener("reset", () => setTimeout(fronts));
  byId("filters").addEventListener("submit", (e) => e.preventDefault());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => start(data));
}

function filtered() {
  const form = byId("filters").elements;
  const limit = (name, scale = 1) => (form[name].value === "" ? null : Number(form[name].value) * scale);
  const [accuracy, params, macs, fps] = [limit("accuracy", 0.01), limit("params"), limit("macs", 1e6), limit("fps")];
  const [id, show] = [form.id.value.trim(), form.show.value];
  return data.networks.filter((n) =>
    (!id || n.id.includes(id)) && (accuracy === null || n.accuracy >= accuracy) &&
    (params === null || (n.params !== null && n.params <= params)) && (macs === null || (n.macs !== null && n.macs <= macs)) &&
    (fps === null || n.fps >= fps) && (show === "all" || (show === "front" ? n.front : n.status === "failed")));
}

function fronts() {
  const shown = filtered();
  byId("shown").textContent = `${shown.length.toLocaleString("en")} of ${data.networks.length.toLocaleString("en")} networks`;
  const ok = shown.filter((n) => n.accuracy !== null && n.status === "ok");
  const published = byId("filters").elements.published.checked;
  for (const key of ["params", "macs", "fps"]) charts[key].draw(frontSeries(ok, key, published));
  charts.table.show(shown);
}

function frontSeries(ok, key, published) {
  const last = Math.max(1, data.networks.length - 1);
  const orderColour = orderColours();
  const point = (n) => ({ x: n[key], y: n.accuracy, id: n.id, tell: () => about(n) });
  const outlined = data.references.filter((r) => r.accuracy !== undefined);
  const series = [
    { name: "networks, first to last", order: true, kind: "points", size: 3, colour: "--muted", points: ok.filter((n) => !n.front).map((n) => ({ ...point(n), colour: orderColour(Math.min(1, n.index / last)) })) },
    { name: "best for its cost", kind: "step", width: 1.3, colour: "--front", points: stairs(ok, key) },
    { name: "Pareto front of all objectives", kind: "points", size: 5, colour: "--front", points: ok.filter((n) => n.front).map((n) => ({ ...point(n), low: n.low, high: n.high })) },
    { name: "best.json", kind: "points", shape: "star", size: 11, colour: "--best", points: ok.filter((n) => n.id === data.best).slice(0, 1).map(point) },
    { name: "reference, trained in this search", kind: "points", shape: "diamond", hollow: true, size: 7, colour: "--reference", points: outlined.map((r) => ({ ...point(r), label: r.name, tell: () => `${r.name}\n${about(r)}` })) },
  ];
  if (data.baseline) series.push({ name: `front of ${data.baseline.run}`, kind: "points", shape: "square", hollow: true, size: 3.5, colour: "--baseline", points: data.baseline.front.map((n) => ({ ...point(n), id: null, tell: () => `baseline ${about(n)}` })) });
  if (published) series.push({ name: "published (test split, fully trained)", kind: "points", shape: "triangle", hollow: true, size: 6, colour: "--published", points: data.references.filter((r) => r.published && r[key]).map((r) => ({ x: r[key], y: r.published, label: r.name, tell: () => `${r.name}, published: ${format.percent(r.published)}` })) });
  return series;
}

function stairs(ok, key) {
  const sign = key === "fps" ? -1 : 1;
  const points = [];
  for (const n of ok.filter((n) => n[key]).sort((a, b) => sign * (a[key] - b[key]) || b.accuracy - a.accuracy))
    if (!points.length || n.accuracy > points.at(-1).y) points.push({ x: n[key], y: n.accuracy });
  return points;
}

function about(n) {
  return `${n.id}: ${format.percent(n.accuracy)}\n${format.count(n.params)} parameters\n${format.count(n.macs)} MACs\n${format.count(n.fps)} fps`;
}

function course() {
  const lines = (of) => {
    const series = [{ name: "this run", kind: "step", colour: "--front", points: data.hypervolume.map(of) }];
    if (data.baseline) series.push({ name: data.baseline.run, kind: "step", dash: [6, 4], colour: "--baseline", points: data.baseline.hypervolume.map(of) });
    return series;
  };
  charts.evaluations.draw(lines(([x, , y]) => ({ x, y })));
  charts.time.draw(lines(([, x, y]) => ({ x: x / 60, y })));
  const parents = data.population.filter((row) => row.accuracy);
  const at = (i) => parents.map((row) => ({ x: row.evaluations, y: row.accuracy[i] }));
  charts.population.draw([
    { name: "quartiles", kind: "band", colour: "--front", points: parents.map((row) => ({ x: row.evaluations, y: row.accuracy[1], low: row.accuracy[0], high: row.accuracy[2] })) },
    { name: "median", kind: "line", colour: "--front", points: at(1) },
  ]);
  const b = data.baseline;
  byId("baseline").textContent = b
    ? `Baseline: ${b.run}, ${b.algorithm}, seed ${b.seed}, ${b.evaluations} networks in ${format.time(b.seconds)}; this run ${data.networks.length} networks in ${format.time(data.seconds)}; ${b.equal_fidelity ? "equal" : "NOT equal"} training of each network.`
    : "No baseline was named (--baseline RUN). The box of the hypervolume: chance to 100 % accuracy, and the logarithms of the largest to the smallest params and of the lowest to the highest fps.";
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
  const ends = points.map((p) => p.measured);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  charts.surrogate.draw([
    { name: "equal", kind: "line", dash: [4, 4], colour: "--muted", points: points.length ? [{ x: low, y: low }, { x: high, y: high }] : [] },
    { name: "a network, plus and minus one deviation", kind: "points", size: 3, colour: "--front", points: points.map((p) => ({ x: p.measured, y: p.predicted, low: p.low, high: p.high, id: p.id, tell: () => `${p.id}: measured ${format.percent(p.measured)}, predicted ${format.percent(p.predicted)}` })) },
  ]);
  put("calibration", found && table(found.calibration, [
    ["level", "interval of the prediction", (v) => (100 * v).toFixed(0) + " %"], ["covered", "measured ones inside", (v) => (100 * v).toFixed(1) + " %"],
  ], `${found.before ? `${points.length} networks, each predicted before its training, when the search chose it` : `This search noted no predictions: each of ${points.length} networks is predicted anew from the others (${found.folds} folds)`}: rank correlation ${number(found.rank_correlation)}, mean error ${(100 * found.mean_error).toFixed(2)} points.`), "Too few networks to check the surrogate.");
}

function retrained() {
  const rows = data.retrained.networks;
  charts.retrained.draw([{ name: "retrained network", kind: "points", size: 5, shape: "diamond", colour: "--best", points: rows.map((r) => ({ x: r.search, y: r.final, id: r.id, tell: () => `${r.id}: ${format.percent(r.search)} in the search, ${format.percent(r.final)} after ${r.epochs} epochs` })) }]);
}

function fidelities() {
  const rows = data.fidelities.map((r) => ({ ...r, what: `${r.from} epochs to ${r.to}` }));
  const r = data.retrained;
  if (r.networks.length) rows.push({ what: "the search to retraining", networks: r.networks.length, rank_correlation: r.rank_correlation });
  put("fidelities", rows.length && table(rows, [["what", "from one fidelity to the next", null, "text"], ["networks", "networks", format.count], ["rank_correlation", "rank correlation", number]],
    "Spearman's; – where fewer than four networks tell."), "One fidelity only, and no network was retrained: nothing to correlate.");
}

function genealogy() {
  const { line, paid } = data.genealogy;
  put("line", line.length && html("div", {}, html("h3", {}, "From the first ancestor to the winner"), ancestors(line)), "This run recorded no parents of its winner.");
  put("paid", paid.length && table(paid, [
    ["change", "kind of change", null, "text"], ["count", "children", format.count], ["mean", "mean gain, points", (v) => signed(v)],
    ["low", "95 % interval", (v, row) => (v === null ? "–" : `${signed(v)} to ${signed(row.high)}`)],
  ], "A child's accuracy less its first parent's, in points of a percent."), "");
}

function failures() {
  put("failures", data.failures.length && table(data.failures.map((f) => ({ ...f, who: f.ids })), [
    ["count", "times", format.count], ["reason", "reason", null, "text"],
    ["who", "networks", (ids) => html("span", {}, ...ids.slice(0, 8).map(link), ids.length > 8 ? ` and ${ids.length - 8} more` : ""), "text"],
  ]), "No training failed.");
}

function put(id, content, otherwise) { byId(id).replaceChildren(content || html("p", { class: "note" }, otherwise)); }
function number(v) { return v === null ? "–" : v.toFixed(3); }
function signed(v) { return (v >= 0 ? "+" : "−") + Math.abs(100 * v).toFixed(2); }
function link(id) { return html("button", { type: "button", onclick: () => choose(id) }, id); }

function ancestors(line) {
  return html("ol", { class: "ancestors" }, ...line.map((id) => html("li", {}, link(id), networks.get(id) ? ` ${format.percent(networks.get(id).accuracy)}` : "")));
}

function choose(id, move = true) {
  const n = networks.get(id);
  if (!n) { put("network", null, "No network yet."); return; }
  chosen = id;
  for (const key of ["params", "macs", "fps", "surrogate", "retrained"]) charts[key].select(id);
  charts.table.select(id);
  byId("detail-title").textContent = `Network ${id}`;
  const image = [n.genome.input.channels, n.genome.input.height, n.genome.input.width];
  const pairs = html("dl", { class: "pairs" });
  facts(pairs, [
    ["accuracy", n.accuracy === null ? n.status : format.percent(n.accuracy)], ["parameters", format.count(n.params)], ["MACs", format.count(n.macs)],
    ["fps predicted", format.count(n.fps)], ["fps measured", format.count(n.fps_measured)],
    ["predicted before", n.predicted ? `${format.percent(n.predicted[0])} (${format.percent(n.predicted[1])} to ${format.percent(n.predicted[2])})` : "–"],
    ["training", `${n.epochs} epochs of ${+(100 * n.fraction).toFixed(1)} % of the images, ${n.seconds} s`], ["asked as", `number ${n.index + 1}`],
  ]);
  const words = html("div", {}, pairs);
  if (n.error) words.append(html("h3", {}, "Why it failed"), html("pre", {}, n.error));
  if (n.parents.length) words.append(html("h3", {}, "Ancestors"), ancestors(lineOf(n)));
  if (n.changes.length) words.append(table(n.changes, [["gene", "gene that changed", null, "text"], ["old", "from", JSON.stringify, "text"], ["new", "to", JSON.stringify, "text"]]));
  const curves = data.retrained.networks.filter((r) => r.id === id && r.curve.length);
  if (curves.length) words.append(curvesOf(curves));
  words.append(html("h3", {}, "Retrain it"), html("pre", {}, `${data.commands.genome}\n${data.commands.retrain}`.replaceAll("{id}", id)),
    html("details", {}, html("summary", {}, "Genome (JSON)"), html("pre", {}, JSON.stringify(n.genome, null, 1))));
  byId("network").replaceChildren(drawing(n.blocks.map((at) => data.blocks[at]), image, id), words);
  if (move) byId("detail").scrollIntoView({ block: "nearest" });
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
  const y = { label: "validation accuracy (%)", tick: percentTick };
  const chart = new Chart(figure, { title: "Learning curves of its retraining", x: { label: "epochs" }, y });
  requestAnimationFrame(() => chart.draw(rows.map((row, i) => ({
    name: `${row.epochs} epochs`, kind: "line", colour: `--series${i % 8}`, dash: i % 2 ? [6, 3] : [],
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

start(JSON.parse(byId("data").textContent));
if (data.live) setTimeout(follow, 5000);
