"use strict";
// Tables: a plain one, and one that sorts and turns pages.

const PAGE_ROWS = 50;

// columns: [key, header, how: text|count|percent|function, "text" for left alignment].
function table(rows, columns, caption) {
  const head = html("tr", {}, ...columns.map(([, name, , side]) => html("th", { scope: "col", class: side ?? null }, name)));
  const body = rows.map((row) => html("tr", {}, ...columns.map((column) => cell(row, column))));
  return scrolling(caption ?? "Table", html("table", {},
    caption ? html("caption", {}, caption) : null, html("thead", {}, head), html("tbody", {}, ...body)));
}

// A table that is wider than the page is reached, and scrolled, by keyboard too.
function scrolling(name, inner) {
  const box = html("div", { class: "scroll" }, inner);
  new ResizeObserver(() => {
    const wide = box.scrollWidth > box.clientWidth;
    for (const [key, value] of [["tabindex", "0"], ["role", "region"], ["aria-label", name]])
      if (wide) box.setAttribute(key, value); else box.removeAttribute(key);
  }).observe(box);
  return box;
}

// key: of the row's value, or a function of the row.
const pick = (row, key) => (typeof key === "function" ? key(row) : row[key] ?? null);

function cell(row, [key, , how, side]) {
  const found = pick(row, key);
  const shown = typeof how === "function" ? how(found, row) : found ?? "–";
  return html("td", { class: side ?? null }, shown);
}

class SortedTable {
  // columns: as of `table`; at: the column that sorts at first; down: the largest value first.
  constructor(host, columns, at, down) {
    Object.assign(this, { host, columns, at, down, page: 0, rows: [], chosen: null });
    this.body = html("tbody");
    this.heads = columns.map(([, title, , side], i) => {
      const head = html("th", { scope: "col", class: side ?? null });
      head.append(html("button", { type: "button", onclick: () => this.sort(i) }, title));
      return head;
    });
    this.where = html("span", { "aria-live": "polite" });
    const turn = (step, text) => html("button", { type: "button", onclick: () => { this.page += step; this.draw(); } }, text);
    [this.before, this.after] = [turn(-1, "Previous"), turn(1, "Next")];
    host.replaceChildren(
      html("nav", { class: "pages", "aria-label": "Pages of the table" }, this.before, this.where, this.after),
      scrolling("Networks", html("table", {}, html("caption", { class: "unseen" }, "Networks; a header's button sorts by its column"), html("thead", {}, html("tr", {}, ...this.heads)), this.body)));
  }

  show(rows) { this.rows = rows; this.page = 0; this.#sort(); this.draw(); }

  sort(at) {
    this.down = this.at === at ? !this.down : true;
    this.at = at;
    this.page = 0;
    this.#sort();
    this.draw();
  }

  select(id) { this.chosen = id; this.draw(); }

  #sort() {
    const [key, sign] = [this.columns[this.at][0], this.down ? -1 : 1];
    this.rows = [...this.rows].sort((a, b) => {
      const [x, y] = [pick(a, key), pick(b, key)];
      if (x == null || y == null) return (x == null) - (y == null); // last either way
      return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
    });
    this.heads.forEach((head, i) => head.setAttribute("aria-sort",
      i !== this.at ? "none" : this.down ? "descending" : "ascending"));
  }

  draw() {
    const pages = Math.max(1, Math.ceil(this.rows.length / PAGE_ROWS));
    this.page = Math.max(0, Math.min(pages - 1, this.page));
    const from = this.page * PAGE_ROWS;
    const rows = this.rows.slice(from, from + PAGE_ROWS);
    this.body.replaceChildren(...rows.map((row) => {
      const here = row.id === this.chosen;
      const line = html("tr", { class: here ? "chosen" : null, "aria-current": here ? "true" : null }, ...this.columns.map((column) => cell(row, column)));
      return line;
    }));
    this.where.textContent = rows.length ? `${from + 1} to ${from + rows.length} of ${this.rows.length.toLocaleString("en")}` : "none";
    this.before.disabled = this.page === 0;
    this.after.disabled = this.page === pages - 1;
  }
}
