// The model card: the little Markdown that nas/report/card.py writes, as elements. Text stays text.

/** Elements for headings, lists, tables and paragraphs. */
export function renderCard(markdown) {
  return markdown.split(/\n{2,}/).filter((block) => block.trim()).map(renderBlock);
}

function renderBlock(block) {
  const lines = block.trim().split("\n");
  const heading = /^(#{1,3}) (.*)$/.exec(lines[0]);
  if (heading) return inline(document.createElement(`h${heading[1].length + 1}`), heading[2]);
  if (lines.every((line) => line.startsWith("|"))) return renderTable(lines);
  if (lines.every((line) => line.startsWith("- "))) {
    const list = document.createElement("ul");
    list.append(...lines.map((line) => inline(document.createElement("li"), line.slice(2))));
    return list;
  }
  return inline(document.createElement("p"), lines.join(" "));
}

function renderTable(lines) {
  const rows = lines.map((line) => line.split("|").slice(1, -1).map((cell) => cell.trim()));
  const table = document.createElement("table");
  rows.forEach((cells, i) => {
    if (i === 1) return; // the rule under the header
    const row = table.insertRow();
    for (const text of cells) {
      row.append(inline(document.createElement(i ? "td" : "th"), text));
    }
  });
  const scroller = document.createElement("div");
  scroller.className = "scroller";
  scroller.append(table);
  return scroller;
}

function inline(element, text) {
  for (const part of text.split(/(\*\*[^*]+\*\*|`[^`]+`)/)) {
    if (part.startsWith("**")) element.append(filled("strong", part.slice(2, -2)));
    else if (part.startsWith("`")) element.append(filled("code", part.slice(1, -1)));
    else element.append(part);
  }
  return element;
}

function filled(name, text) {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}
