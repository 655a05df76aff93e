"use strict";
// The page of several runs: a colour for each way to search, a dash for each seed.

const DASHES = [[], [6, 3], [2, 3], [8, 3, 2, 3]];
const SHAPES_OF = ["circle", "square", "diamond", "star"];
const data = JSON.parse(document.getElementById("data").textContent);
const percent = { tick: (v) => +(100 * v).toPrecision(3) + "" };
const measure = chartAxis(data.measure);
const byId = (id) => document.getElementById(id);
const hue = (group) => `--series${data.groups.indexOf(group) % 8}`;
const shapeOf = (group) => SHAPES_OF[data.groups.indexOf(group) % 4];
const seedOf = (run) => data.runs.filter((r) => r.group === run.group).indexOf(run);

const breakable = (path) => path.replaceAll("/", "/\u200b"); // at a folder

function name(run) { return data.groups.length > 1 ? `${run.group}, seed ${run.seed}` : run.run; }

function draw() {
  const [m, of] = [data.measure, (n, axis) => n.metrics[axis.name]];
  for (const axis of data.axes) {
    const host = html("figure", { id: `front-${axis.name}` });
    byId("fronts").append(host);
    const tell = (run, n) => `${run.run}\n${n.id}: ${m.name} ${format.of(m, of(n, m))}\n${axis.name} ${format.of(axis, of(n, axis))}`;
    new Chart(host, { title: `${title(nameOf(m))} against ${nameOf(axis)}`, x: chartAxis(axis), y: measure }).draw(data.runs.map((run) => ({
      name: name(run), kind: "points", size: 4, colour: hue(run.group), shape: shapeOf(run.group), hollow: seedOf(run) % 2 === 1,
      points: run.front.filter((n) => axis.name in n.metrics && m.name in n.metrics).map((n) => ({ x: of(n, axis), y: of(n, m), low: n.low, high: n.high, tell: () => tell(run, n) })),
    })));
  }
  const lines = (of) => data.runs.map((run) => ({ name: name(run), kind: "step", colour: hue(run.group), dash: DASHES[seedOf(run) % 4], end: shapeOf(run.group), hollow: seedOf(run) % 2 === 1, points: run.curve.map(of) }));
  const y = { ...percent, from: 0, label: "hypervolume (share of the box, %)" };
  new Chart(byId("volume-evaluations"), { title: "Against evaluations", x: { label: "networks evaluated" }, y }).draw(lines(([x, , v]) => ({ x, y: v })));
  new Chart(byId("volume-time"), { title: "Against time", x: { label: "minutes that the search ran" }, y }).draw(lines(([, x, v]) => ({ x: x / 60, y: v })));
  const attained = Object.entries(data.attainment).flatMap(([group, rows]) => {
    const points = rows.map((r) => ({ x: r.x, y: r.median, low: r.low, high: r.high }));
    return [{ kind: "band", colour: hue(group), points }, { name: `${group}: median of seeds, worst to best`, kind: "line", dash: DASHES[data.groups.indexOf(group) % 4], end: shapeOf(group), colour: hue(group), points }];
  });
  new Chart(byId("attainment"), { title: `${title(nameOf(m))} attained with ${nameOf(data.axes[0])} at ${data.axes[0].maximize ? "least" : "most"}`, x: chartAxis(data.axes[0]), y: measure }).draw(attained);
}

function tables() {
  const b = data.budget;
  byId("budget").textContent = `Equal budgets: ${b.evaluations.toLocaleString("en")} evaluations, or ${format.time(b.seconds)} of running, the least that any run had.`;
  byId("box").textContent = `${boxInWords(data.box)} One box for all these runs.`;
  byId("runs").replaceChildren(table(data.runs, [
    ["run", "run", breakable, "text"], ["group", "way to search", null, "text"], ["seed", "seed", String], ["evaluations", "networks", format.count],
    ["failed", "failed", format.count], ["seconds", "running time", format.time], ["hypervolume", "hypervolume", format.percent],
    ["at_evaluations", "at equal evaluations", format.percent], ["at_seconds", "at equal time", format.percent],
  ]));
  byId("tests").replaceChildren(data.tests.length ? table(data.tests, [
    ["one", "one way", null, "text"], ["other", "another", null, "text"], ["seeds", "seeds", null, "text"],
    ["better", "chance that the first is better", format.percent], ["p", "p, two-sided", (v) => v.toPrecision(2)],
  ], "Mann and Whitney's rank test of the hypervolumes at equal evaluations. Two seeds against two can at best give p = 0.33.") : html("p", { class: "note" }, "A test needs two ways to search with two seeds each."));
  byId("settings").replaceChildren(data.settings.length ? table(data.settings, [["setting", "setting", null, "text"],
    ...data.runs.map((run, i) => ["values", breakable(run.run), (values) => (values[i] === null ? "–" : String(values[i])), "text"])]) : html("p", { class: "note" }, "Nothing."));
}

tables();
draw();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => location.reload());
