// One face beside the picture: its label and a bar for each class.

import { UNCERTAIN } from "./face.js";

/** An article with the title and the probabilities; data attributes hold the exact figures. */
export function facePanel(face, title, classes) {
  const article = document.createElement("article");
  article.className = face.label === UNCERTAIN ? "face uncertain" : "face";
  article.dataset.box = [face.box.x, face.box.y, face.box.width, face.box.height].join(",");
  const heading = document.createElement("h2");
  heading.textContent = title;
  const list = document.createElement("ul");
  face.probabilities.forEach((p, i) => {
    const row = document.createElement("li");
    row.className = classes[i] === face.label ? "top" : "";
    row.dataset.probability = p;
    const bar = document.createElement("div");
    bar.className = "bar";
    bar.append(document.createElement("div"));
    bar.firstChild.style.width = `${100 * p}%`;
    row.append(cell(classes[i]), bar, cell(`${Math.round(100 * p)} %`));
    list.append(row);
  });
  article.append(heading, list);
  return article;
}

function cell(text) {
  const span = document.createElement("span");
  span.textContent = text;
  span.title = text;
  return span;
}
