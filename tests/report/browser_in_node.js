// Runs the page of answers without a browser: node browser_in_node.js PAGE, prints what it shows and how long it took, as JSON.
"use strict";
const fs = require("fs");
const vm = require("vm");

class Element {
  constructor(name) { Object.assign(this, { name, children: [], textContent: "", className: "", value: "", listeners: {}, hidden: true }); }
  append(...parts) { this.children.push(...parts); }
  replaceChildren(...parts) { this.children = parts; }
  addEventListener(event, act) { this.listeners[event] = act; }
  scrollIntoView() {}
  all() { return [this.textContent, ...this.children.map((one) => (typeof one === "string" ? one : one.all()))].filter(Boolean).join(" "); }
}

const began = process.hrtime.bigint();
const page = fs.readFileSync(process.argv[2], "utf8");
const elements = new Map();
for (const [, id, text] of page.matchAll(/<script type="application\/json" id="([^"]+)">(.*?)<\/script>/gs)) {
  elements.set(id, Object.assign(new Element("script"), { textContent: text }));
}
const document = {
  createElement: (name) => new Element(name),
  getElementById: (id) => { if (!elements.has(id)) elements.set(id, new Element(id)); return elements.get(id); },
  querySelectorAll: () => [],
};
const script = page.slice(page.lastIndexOf("<script>") + 8, page.lastIndexOf("</script>"));
vm.runInNewContext(script, { document });
const seconds = Number(process.hrtime.bigint() - began) / 1e9;
const found = { seconds, where: document.getElementById("where").textContent, rows: document.getElementById("rows").children.length, shown: [] };
for (const filters of JSON.parse(process.argv[3] || "[]")) {
  for (const id of ["step", "domain", "sort", "better", "worse", "outcome", "principle", "text"]) document.getElementById(id).value = filters[id] || "";
  document.getElementById("filters").listeners.input();
  const first = document.getElementById("rows").children[0];
  if (first) first.listeners.click();
  found.shown.push({ where: document.getElementById("where").textContent, first: first ? first.all() : "", one: document.getElementById("one").all() });
}
console.log(JSON.stringify(found));
