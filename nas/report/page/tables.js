"use strict";
// Tables: a plain one, and one that sorts and turns pages.

const PAGE_ROWS = 50;

// columns: [key, header, how: text|count|percent|function, "text" for left alignment].
function table(rows, columns, caption) {
  const head = html("tr", {}, ...columns.map(([, name, , side]) => html("th", { scope: "col", class: side ?? null }, name)));
  const body = rows.map((row) => html("tr", {}, ...columns.map((column) => cell(row, column))));
  return html("div", { class: "scroll" }, html("table", {},
    caption ? html("caption", {}, caption) : null, html("thead", {}, head), html("tbody", {}, ...body)));
}

function cell(row, [key, , how, side]) {
  const shown = typeof how === "function" ? how(row[key], row) : row[key] ?? "–";
  return html("td", { class: side ?? null }, shown);
}

class SortedTable {
  constructor(host, columns, key, onRow) {
    Object.assign(this, { host, columns, key, down: true, page: 0, rows: [], onRow, chosen: null });
    this.body = html("tbody");
    this.heads = columns.map(([name, title, , side]) => {
      const head = html("th", { scope: "col", class: side ?? null });
      head.append(html("button", { type: "button", onclick: () => this.sort(name) }, title));
      return head;
    });
    this.where = html("span", { "aria-live": "polite" });
    const turn = (step, text) => html("button", { type: "button", onclick: () => { this.page += step; this.draw(); } }, text);
    [this.before, this.after] = [turn(-1, "Previous"), turn(1, "Next")];
    host.replaceChildren(
      html("nav", { class: "pages", "aria-label": "Pages of the table" }, this.before, this.where, this.after),
      html("div", { class: "scroll" }, html("table", {}, html("thead", {}, html("tr", {}, ...this.heads)), this.body)));
  }

  show(rows) { this.rows = rows; this.page = 0; this.#sort(); this.draw(); }

  sort(key) {
    this.down = this.key === key ? !this.down : true;
    this.key = key;
    this.page = 0;
    this.#sort();
    this.draw();
  }

  select(id) { this.chosen = id; this.draw(); }

  #sort() {
    const [key, sign] = [this.key, this.down ? -1 : 1];
    const missing = (v) => v === null || v === undefined;
    this.rows = [...this.rows].sort((a, b) => {
      const [x, y] = [a[key], b[key]];
      if (missing(x) || missing(y)) return missing(x) - missing(y); // last either way
      return sign * (typeof x === "string" ? x.localeCompare(y) : x - y);
    });
    this.heads.forEach((head, i) => head.setAttribute("aria-sort",
      this.columns[i][0] !== key ? "none" : this.down ? "descending" : "ascending"));
  }

  draw() {
    const pages = Math.max(1, Math.ceil(this.rows.length / PAGE_ROWS));
    this.page = Math.max(0, Math.min(pages - 1, this.page));
    const from = this.page * PAGE_ROWS;
    const rows = this.rows.slice(from, from + PAGE_ROWS);
    this.body.replaceChildren(...rows.map((row) => {
      const line = html("tr", { class: row.id === this.chosen ? "chosen" : null }, ...this.columns.map((column) => cell(row, column)));
      return line;
    }));
    this.where.textContent = rows.length ? `${from + 1} to ${from + rows.length} of ${this.rows.length.toLocaleString("en")}` : "none";
    this.before.disabled = this.page === 0;
    this.after.disabled = this.page === pages - 1;
  }
}
