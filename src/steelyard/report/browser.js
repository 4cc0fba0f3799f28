"use strict";
// The data come by column: steps, numbers, domains, prompts (places in a table of texts), answers, rewards by objective, and so on.

/** Each reward minus the mean of its group, by objective; null where it does not apply. */
function groupDifferences(data) {
  return data.rewards.map((column) => {
    const sums = new Map();
    column.forEach((value, i) => {
      if (value === null) return;
      const key = data.group[i];
      const [sum, count] = sums.get(key) || [0, 0];
      sums.set(key, [sum + value, count + 1]);
    });
    return column.map((value, i) => {
      if (value === null) return null;
      const [sum, count] = sums.get(data.group[i]);
      return value - sum / count;
    });
  });
}

/** The places of the answers that pass the filters, sorted. */
function chosen(data, differences, filters) {
  const text = (filters.text || "").toLowerCase();
  const found = [];
  for (let i = 0; i < data.answer.length; i++) {
    if (filters.step !== "" && String(data.step[i]) !== filters.step) continue;
    if (filters.domain !== "" && data.domain[i] !== filters.domain) continue;
    if (filters.better !== "" && !(differences[filters.better][i] > 1e-9)) continue;
    if (filters.worse !== "" && !(differences[filters.worse][i] < -1e-9)) continue;
    if (filters.outcome !== "" && !data.outcomes[i].includes(filters.outcome)) continue;
    if (filters.principle !== "" && !data.counted[i].includes(Number(filters.principle))) continue;
    if (text && !data.answer[i].toLowerCase().includes(text) && !data.prompts[data.prompt[i]].toLowerCase().includes(text)) continue;
    found.push(i);
  }
  const [name, way] = filters.sort.split(" ");
  if (name !== "") {
    const column = name === "advantage" ? data.advantage : data.rewards[Number(name)];
    const sign = way === "up" ? 1 : -1;
    found.sort((a, b) => (column[a] === null) - (column[b] === null) || sign * (column[a] - column[b]) || a - b);
  }
  return found;
}

function number(value) {
  return value === null ? "" : Number(value.toPrecision(3)).toString();
}

/** A text cut into parts, those that a quote covers marked: [text, is marked]. */
function markedParts(text, quotes) {
  const spans = [];
  const lower = text.toLowerCase();
  for (const quote of quotes) {
    const at = quote ? lower.indexOf(quote.toLowerCase()) : -1;
    if (at >= 0) spans.push([at, at + quote.length]);
  }
  spans.sort((a, b) => a[0] - b[0]);
  const parts = [];
  let at = 0;
  for (const [start, end] of spans) {
    if (end <= at) continue;
    const from = Math.max(start, at);
    parts.push([text.slice(at, from), false], [text.slice(from, end), true]);
    at = end;
  }
  parts.push([text.slice(at), false]);
  return parts.filter(([part]) => part);
}

function start(document) {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const data = read("data");
  const differences = groupDifferences(data);
  const PAGE = 50;
  const at = (id) => document.getElementById(id);
  let places = [];
  let page = 0;

  // What models wrote goes into text nodes alone, never into markup.
  function make(name, text, className) {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  }
  function options(id, pairs) {
    for (const [value, text] of pairs) {
      const option = make("option", text);
      option.value = value;
      at(id).append(option);
    }
  }
  const names = data.names.map((name, k) => [String(k), name]);
  options("step", [["", "all"], ...[...new Set(data.step)].map((step) => [String(step), String(step)])]);
  options("domain", [["", "all"], ...[...new Set(data.domain)].filter((one) => one !== null).sort().map((one) => [one, one])]);
  options("sort", [["", "update"], ["advantage down", "advantage, highest first"], ["advantage up", "advantage, lowest first"],
    ...names.flatMap(([k, name]) => [[`${k} down`, `${name}, highest first`], [`${k} up`, `${name}, lowest first`]])]);
  options("better", [["", "anything"], ...names]);
  options("worse", [["", "anything"], ...names]);
  options("outcome", [["", "all"], ...Object.entries(data.known_outcomes)]);
  options("principle", [["", "all"], ...data.principles.map((name, k) => [String(k), name])]);
  const head = make("tr");
  for (const title of ["update", "answer"]) head.append(make("th", title));
  for (const title of ["domain", "prompt", "said"]) head.append(make("th", title, "text"));
  for (const title of [...data.names, "advantage"]) head.append(make("th", title));
  at("head").append(head);

  function draw() {
    const body = at("rows");
    body.replaceChildren();
    for (const i of places.slice(page * PAGE, (page + 1) * PAGE)) {
      const row = make("tr");
      row.append(make("td", String(data.step[i])), make("td", String(data.number[i])), make("td", data.domain[i] || "", "text"));
      row.append(make("td", data.prompts[data.prompt[i]].slice(-160), "text"), make("td", data.answer[i].slice(0, 160), "text"));
      data.names.forEach((_, k) => {
        const cell = make("td", number(data.rewards[k][i]));
        const difference = differences[k][i];
        if (difference !== null && Math.abs(difference) > 1e-9) {
          cell.append(" ", make("span", (difference > 0 ? "+" : "") + number(difference), difference > 0 ? "up" : "down"));
        }
        row.append(cell);
      });
      row.append(make("td", number(data.advantage[i]), data.advantage[i] > 0 ? "up" : data.advantage[i] < 0 ? "down" : ""));
      row.addEventListener("click", () => show(i, row));
      body.append(row);
    }
    at("where").textContent = places.length ? `${page * PAGE + 1} to ${Math.min((page + 1) * PAGE, places.length)} of ${places.length}` : "no answer passes these filters";
  }

  function texts(title, text, quotes) {
    const box = make("div");
    const pre = make("pre");
    for (const [part, isMarked] of markedParts(text, quotes)) pre.append(isMarked ? make("mark", part) : part);
    box.append(make("h3", title), pre);
    return box;
  }

  function show(i, row) {
    for (const other of document.querySelectorAll("tr.open")) other.className = "";
    row.className = "open";
    const box = at("one");
    box.replaceChildren(make("h2", `Update ${data.step[i]}, answer ${data.number[i]}`));
    box.append(texts("prompt", data.prompts[data.prompt[i]], []), texts("answer", data.answer[i], []));
    const table = make("table");
    const top = make("tr");
    for (const title of ["objective", "reward", "weight", "beside its group"]) top.append(make("th", title, title === "objective" ? "text" : ""));
    table.append(top);
    data.names.forEach((name, k) => {
      const line = make("tr");
      const value = data.rewards[k][i];
      line.append(make("td", name, "text"), make("td", value === null ? "does not apply" : number(value)));
      const weight = data.weights[k][i];
      line.append(make("td", weight === null ? "" : number(weight)), make("td", differences[k][i] === null ? "" : number(differences[k][i])));
      table.append(line);
    });
    box.append(make("h3", `rewards; advantage ${number(data.advantage[i])}`), table);
    const said = read(`said-${Math.floor(i / data.chunk)}`)[i % data.chunk];
    for (const [objective, comparisons] of Object.entries(said)) {
      comparisons.forEach((one, n) => compared(box, objective, one, n, comparisons.length, data.answer[i]));
    }
    box.hidden = false;
    box.scrollIntoView({ block: "nearest" });
  }

  function graded(box, said, answer) {
    box.append(make("h3", said.error ? `${said.of}, by ${said.judge}: failed` : `${said.of}, all criteria, by ${said.judge}: ${number(said.score)}`));
    if (said.error) return box.append(make("p", said.error));
    box.append(texts("this answer", answer, said.criteria.map((c) => c.quote)));
    const table = make("table");
    const top = make("tr");
    for (const title of ["criterion", "points", "judge", "won", "why"]) top.append(make("th", title, title === "points" || title === "won" ? "" : "text"));
    table.append(top);
    for (const c of said.criteria) {
      const line = make("tr");
      const won = c.points * c.value;
      line.append(make("td", c.name, "text"), make("td", number(c.points)), make("td", c.said, "text"));
      line.append(make("td", number(won), won > 0 ? "up" : won < 0 ? "down" : ""), make("td", c.reason, "text"));
      table.append(line);
    }
    box.append(table);
    if (said.dropped) box.append(make("p", `not asked, by dropout: ${said.dropped.join(", ")}`));
    box.append(make("p", `${said.calls} calls, ${said.tokens_in} tokens in, ${said.tokens_out} out`));
  }

  function compared(box, objective, one, n, of, answer) {
    for (const said of one.listed || []) {
      box.append(make("h3", `${objective}, beside the others of its group`), make("p", said.error ? `failed: ${said.error}` : `${said.score} of 1: ${said.reason}`));
    }
    if (one.guarded) box.append(make("h3", objective), make("p", "a check failed, so the answer was not graded"));
    for (const said of one.graded || []) graded(box, said, answer);
    for (const verdict of one.verdicts || []) {
      const mine = one.side;
      const names = { a: mine === "a" ? "this answer is better" : "the other is better", b: mine === "b" ? "this answer is better" : "the other is better", tie: "a tie" };
      box.append(make("h3", `${objective}, comparison ${n + 1} of ${of}: ${names[verdict.winner] || "no verdict"}, decided by ${verdict.decided_by}`));
      if (verdict.error) box.append(make("p", verdict.error));
      const criteria = verdict.orders.flatMap((order) => order.criteria);
      const other = mine === "a" ? "b" : "a";
      const pair = make("div", undefined, "two");
      pair.append(texts("this answer", answer, criteria.map((c) => c[`quote_${mine}`])), texts("compared with", one.other, criteria.map((c) => c[`quote_${other}`])));
      box.append(pair);
      for (const [name, results] of Object.entries(verdict.checks)) {
        const [first, second] = mine === "a" ? results : [results[1], results[0]];
        box.append(make("p", `check ${name}: this answer ${first === null ? "does not apply" : first}, the other ${second === null ? "does not apply" : second}`));
      }
      if (criteria.length) {
        const table = make("table");
        const top = make("tr");
        for (const title of ["criterion", "principle", "tier", "for this answer", "why"]) top.append(make("th", title, "text"));
        table.append(top);
        for (const c of criteria) {
          const line = make("tr");
          const score = mine === "a" ? c.score : -c.score;
          const dropped = (one.dropped || []).includes(c.principle || c.name) ? " (left out)" : "";
          line.append(make("td", c.name, "text"), make("td", c.principle || "", "text"), make("td", c.tier, "text"));
          line.append(make("td", `${score > 0 ? "+" : ""}${score}${dropped}`, score > 0 ? "text up" : score < 0 ? "text down" : "text"), make("td", c.reason, "text"));
          table.append(line);
        }
        box.append(table);
      }
      box.append(make("p", `${verdict.rubric}; ${verdict.calls} calls, ${verdict.tokens_in} tokens in, ${verdict.tokens_out} out`));
    }
  }

  function filter() {
    const filters = {};
    for (const id of ["step", "domain", "sort", "better", "worse", "outcome", "principle", "text"]) filters[id] = at(id).value;
    places = chosen(data, differences, filters);
    page = 0;
    draw();
  }
  at("filters").addEventListener("input", filter);
  at("filters").addEventListener("submit", (event) => event.preventDefault());
  at("back").addEventListener("click", () => { page = Math.max(0, page - 1); draw(); });
  at("next").addEventListener("click", () => { if ((page + 1) * PAGE < places.length) page += 1; draw(); });
  filter();
}

if (typeof document !== "undefined") start(document);
if (typeof module !== "undefined") module.exports = { groupDifferences, chosen, markedParts, start };
