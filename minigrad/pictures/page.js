// Playing the forward and the backward pass on the picture of picture.js, and the panel beside it. `window.minigrad` is for
// other scripts: it can do what the buttons can, and tells what is shown.

// -- what is known of the nodes ---------------------------------------------------------------------------------------------

const short = (text) => (text.length > 60 ? text.slice(0, 57) + "..." : text);
const title = (i) => nodes[i].label || nodes[i].name || nodes[i].expr.split("(")[0];
const number = (x, digits = 4) => { // with four digits, as `explain` and the pictures write it
  if (typeof x === "string") return x;
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e5) return Number(x.toPrecision(digits)).toExponential();
  return String(Number(x.toPrecision(4)));
};
const finite = (x) => (Number.isFinite(x) ? x : 0);

const arrivals = new Map(); // by the beginning of a backward pass and a node: what the rules sent to it, in that order
const beginning = []; // of each backward step, where its pass began
back.forEach((step, j) => {
  beginning.push(step.root ? j : beginning[j - 1]);
  step.parts.forEach((part) => {
    const key = beginning[j] + ":" + part.to;
    if (!arrivals.has(key)) arrivals.set(key, []);
    arrivals.get(key).push({ ...part, at: j, by: step.node });
  });
});

// -- playing ----------------------------------------------------------------------------------------------------------------

let position = null, timer = 0, found = [], hit = -1;
const current = () => (position < forward ? position : back[position - forward].node);
function go(to, smoothly = true) {
  if (!length) return;
  position = Math.min(Math.max(Math.round(Number(to)) || 0, 0), length - 1);
  show();
  follow(smoothly);
}
const step = (by = 1) => go(position + by);
function clicked(id) { // a box: its node, in the pass that is played, if that comes to it
  const of = boxNodes.get(id) || [];
  if (of.length) goTo(of[of.length - 1]);
}
function goTo(i) {
  const j = position >= forward ? back.findIndex((s, k) => s.node === i && beginning[k] === beginning[position - forward]) : -1;
  go(j >= 0 ? forward + j : i);
}
function play() {
  if (timer || !length) return;
  if (position === length - 1) go(0);
  const tick = () => { step(); timer = position < length - 1 ? setTimeout(tick, Number($("speed").value)) : 0; playing(); };
  timer = setTimeout(tick, Number($("speed").value));
  playing();
}
function pause() { clearTimeout(timer); timer = 0; playing(); }
function playing() {
  $("play").classList.toggle("on", timer !== 0);
  $("play").setAttribute("aria-label", timer ? "Pause" : "Play");
  panel.setAttribute("aria-live", timer ? "off" : "polite");
}

function show() {
  const backwards = position >= forward, j = position - forward, i = current();
  document.body.classList.toggle("backward", backwards);
  scrub.value = position;
  scrub.setAttribute("aria-valuetext", `${backwards ? "backward" : "forward"}, ${short(title(i))}`);
  const count = (name, at, all) => element("span", {}, ...(at ? [element("b", { class: name === "backward" ? "back" : "" },
    `${name} ${at}`), ` of ${all}`] : [`${name} ${all}`]));
  const counts = [count("forward", backwards ? 0 : position + 1, forward)];
  if (back.length) counts.push(count("backward", backwards ? j + 1 : 0, back.length));
  $("where").replaceChildren(...counts);
  const seen = new Set(backwards ? [] : Array.from({ length: position + 1 }, (_, k) => k));
  if (backwards) for (let k = beginning[j]; k <= j; k++) seen.add(back[k].node);
  if (view) {
    const now = new Set((nodes[i].boxes || []).filter((id) => boxes.has(id)));
    const given = new Set(nodes[i].from || []), near = new Set();
    const todo = (id) => boxNodes.has(id) && !boxNodes.get(id).some((n) => seen.has(n));
    for (const [id, box] of boxes) box.el.classList.toggle("todo", todo(id));
    for (const edge of edges) {
      const reads = now.has(edge.from) || (boxNodes.get(edge.from) || []).some((n) => given.has(n));
      const active = now.has(edge.to) && reads;
      edge.el.classList.toggle("active", active);
      edge.el.classList.toggle("todo", !active && todo(edge.to));
      if (active && !now.has(edge.from)) near.add(edge.from);
    }
    const around = (ids, kind, gap) => { // one for each place: what is folded into one has one
      const rects = new Map(ids.map(rectOf).filter(Boolean).map((rect) => [rect.x + ":" + rect.y, rect]));
      return [...rects.values()].map(({ x, y, width, height }) => shape("rect", { class: "ring " + kind, rx: 6,
        x: x - gap, y: y - gap, width: width + 2 * gap, height: height + 2 * gap }));
    };
    const hits = found.flatMap((n) => nodes[n].boxes || []);
    rings.replaceChildren(...around([...now], "now", 3), ...around([...near], "operand", 1.5), ...around(hits, "found", 5));
    paint();
  } else {
    [...$("list").children].forEach((item, k) => {
      item.firstChild.classList.toggle("now", k === i);
      item.firstChild.classList.toggle("todo", !seen.has(k));
    });
    $("list").children[i].scrollIntoView({ block: "nearest" });
  }
  tell(i, backwards ? back[j] : null, j);
}

// -- the panel --------------------------------------------------------------------------------------------------------------

function link(i, words = `%${i}`) {
  return element("button", { type: "button", class: "link", title: "Go to this node", onclick: () => goTo(i) }, words);
}
function expression(i) { // with the operands as links
  const pieces = nodes[i].expr.split(/(%\d+)/), code = element("code", { class: "expr" });
  code.append(...pieces.map((piece, k) => (k % 2 && nodes[Number(piece.slice(1))] ? link(Number(piece.slice(1))) : piece)));
  return code;
}
function array(packed, id) {
  const holder = element("div", { id });
  const { values, shape: dims, norm } = packed;
  const tint = (x) => `rgba(var(--${x < 0 ? "minus" : "plus"}), ${(0.5 * Math.abs(x)).toFixed(3)})`;
  const columns = dims.length ? dims[dims.length - 1] : 1;
  if (values && !dims.length) holder.append(element("div", { class: "number" }, number(values[0])));
  else if (values && values.length) {
    const top = Math.max(...values.map((x) => Math.abs(finite(x)))) || 1;
    const grid = element("div", { class: "grid" });
    grid.style.gridTemplateColumns = `repeat(${columns <= 6 ? columns : 5}, minmax(0, 1fr))`;
    for (const x of values) {
      const cell = element("span", { title: String(x) }, number(x, 3).replace("-", "−").replace("e−", "e-"));
      cell.style.background = tint(finite(x) / top);
      grid.append(cell);
    }
    holder.append(grid, element("p", { class: "summary" }, `norm ${number(norm)}`));
  } else if (packed.colours) {
    const rows = packed.colours.length / columns, canvas = element("canvas", { width: columns, height: rows, role: "img" });
    canvas.setAttribute("aria-label", `${rows} by ${columns} elements as colours`);
    canvas.style.width = `${columns * Math.min(348 / columns, 22)}px`;
    canvas.style.height = `${rows * Math.min(150 / rows, 12)}px`;
    const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    [...packed.colours].forEach((letter, k) => {
      const level = (letter.charCodeAt(0) - (letter < "a" ? 65 : 71) - 25) / 25;
      context.fillStyle = `rgba(${style.getPropertyValue(level < 0 ? "--minus" : "--plus")}, ${Math.abs(level)})`;
      context.fillRect(k % columns, Math.floor(k / columns), 1, 1);
    });
    holder.append(canvas);
  }
  const { min, mean, max } = packed;
  const summary = (words) => holder.append(element("p", { class: "summary" }, words));
  if (!values) summary(`least ${number(min)}, mean ${number(mean)}, greatest ${number(max)}, norm ${number(norm)}`);
  else if (!values.length) summary("no elements");
  return holder;
}
const heading = (words, right) => element("h3", {}, words, right ? element("span", {}, right) : undefined);
const dims = (i) => `(${nodes[i].shape.join(", ")}${nodes[i].shape.length === 1 ? "," : ""})`;
const placeOf = (i) => (nodes[i].t !== undefined ? `t = ${nodes[i].t}` : nodes[i].scope || "");

function tell(i, done, j) {
  const node = nodes[i], parts = [];
  const phase = done ? `backward pass, node ${j - beginning[j] + 1}` : "forward pass";
  parts.push(element("div", { class: "phase" }, element("span", {}, phase), element("span", {}, `%${i}`)));
  parts.push(element("h2", { id: "name" }, title(i)));
  parts.push(expression(i));
  const facts = element("dl", { class: "facts" });
  const fact = (name, value) => value && facts.append(element("dt", {}, name), element("dd", {}, value));
  if (node.name && node.name !== title(i)) fact("name", node.name);
  fact("part of", node.part && node.part[1]);
  fact("shape", dims(i));
  fact("dtype", node.dtype);
  fact("scope", node.scope);
  parts.push(facts);
  if (done) cotangent(i, done, j, parts);
  parts.push(heading("value"));
  parts.push(node.value ? array(node.value, "value") : element("p", { class: "quiet", id: "value" }, "not known: nothing kept it"));
  if (node.left) parts.push(heading("gradient that backward() left"), array(node.left, "left"));
  if (!(node.boxes || []).length && view) parts.push(element("p", { class: "quiet" }, "It has no box of its own in this picture."));
  if (done) shares(j, parts);
  panel.replaceChildren(...parts);
  if (!timer) requestAnimationFrame(() => (panel.scrollTop = 0));
}

function cotangent(i, done, j, parts) {
  const leaf = nodes[i].leaf, key = beginning[j] + ":" + i, sent = arrivals.get(key) || [];
  parts.push(heading(leaf ? "gradient" : "cotangent", done.root ? "the seed: ones" : done.hooked ? "after a hook" : ""));
  parts.push(array(done.g, "cotangent"));
  if (sent.length > 1) {
    const row = (kind, ...cells) => element("tr", {}, ...cells.map((cell) => element(kind, {}, ...[cell].flat())));
    const rows = sent.map(({ by, sent: part, sum }) =>
      row("td", [link(by), ` ${short(title(by))}  ${placeOf(by)}`], number(part.norm), number(sum.norm)));
    const table = element("table", { id: "arrived" }, row("th", "sent by", "norm", "norm of the sum"), ...rows);
    parts.push(heading(`sum of ${sent.length} parts`), table);
  }
  if (done.parts.length) parts.push(heading("what its rules send"));
  for (const part of done.parts) {
    const block = element("div", { class: "sends small" });
    block.append(element("div", {}, "to ", link(part.to), " ", short(title(part.to))));
    block.append(element("code", {}, rules[part.rule]), array(part.sent));
    if (part.sum) {
      const all = arrivals.get(beginning[j] + ":" + part.to), nth = all.findIndex((other) => other.sum === part.sum) + 1;
      const words = `part ${nth} of ${all.length}; norm of the sum so far ${number(part.sum.norm)}`;
      block.append(element("p", { class: "summary" }, words));
    }
    parts.push(block);
  }
}

function shares(j, parts) { // weights that several steps use: each one's part of the gradient, as it adds up
  const from = beginning[j], found = [];
  for (const [key, list] of arrivals) {
    const [pass, i] = key.split(":").map(Number);
    if (pass !== from || !nodes[i].leaf || list.length < 2) continue;
    const past = list.filter((a) => a.at <= j), so = past.length ? past[past.length - 1].sum.norm : 0;
    const bars = [...list].sort((a, b) => (nodes[a.by].t ?? -1) - (nodes[b.by].t ?? -1) || a.at - b.at);
    const top = Math.max(...list.map((a) => finite(a.sent.norm))) || 1, wide = 100 / bars.length;
    const words = `${past.length} of ${list.length}, norm ${number(so)}`;
    const chart = shape("svg", { viewBox: "0 0 100 26", preserveAspectRatio: "none", role: "img", "aria-label": words });
    bars.forEach((a, k) => {
      const high = Math.max((24 * finite(a.sent.norm)) / top, 0.6);
      const kind = a.at === j ? "last" : a.at < j ? "sent" : "";
      const bar = shape("rect", { x: (k + 0.1) * wide, y: 26 - high, width: wide * 0.8, height: high, class: kind });
      bar.append(shape("title", {}, `${placeOf(a.by)}: ${number(a.sent.norm)}`));
      chart.append(bar);
    });
    const line = element("div", {}, link(i, short(title(i))), element("span", {}, words));
    found.push(element("div", { class: "shared", "data-node": i, "data-sum": so }, line, chart));
  }
  if (found.length) parts.push(heading("shared by the steps: parts so far"), ...found);
}

// -- finding ----------------------------------------------------------------------------------------------------------------

function search(query) {
  const wanted = query.trim().toLowerCase();
  const has = (...texts) => texts.some((text) => (text || "").toLowerCase().includes(wanted));
  const those = (which) => nodes.flatMap((node, i) => (wanted && which(node, i) ? [i] : []));
  found = those((n) => has(n.label, n.name));
  if (!found.length) found = those((n, i) => has(`%${i} `, n.expr, n.scope));
  hit = -1;
  $("hits").textContent = wanted ? (found.length ? `${found.length} found` : "none") : "";
  if (position !== null) show();
  return found;
}
function nextHit(by = 1) {
  if (!found.length) return;
  hit = (hit + by + found.length) % found.length;
  $("hits").textContent = `${hit + 1} of ${found.length}`;
  goTo(found[hit]);
}

// -- hands on ---------------------------------------------------------------------------------------------------------------

const actions = {
  n: () => step(1), ".": () => step(1), p: () => step(-1), ",": () => step(-1),
  Home: () => go(0), End: () => go(length - 1), b: () => back.length && go(forward), " ": () => (timer ? pause() : play()),
  "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: fit,
  "/": () => $("query").focus(), "?": () => $("help").showModal(),
  ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0), ArrowUp: () => pan(0, 60), ArrowDown: () => pan(0, -60),
  f: () => foldCurrent(inFrame), F: () => foldAll("steps"), g: () => foldCurrent(inPart), G: () => foldAll("parts"),
};
function foldCurrent(where) {
  const thing = (nodes[current()].boxes || []).map((id) => where.get(id)).find(Boolean);
  if (thing) { fold(thing.id); follow(); }
}
document.addEventListener("keydown", (event) => {
  const at = event.target, tag = at.tagName;
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  if (tag === "SELECT" || (tag === "INPUT" && at.type === "search")) { if (event.key === "Escape") stage.focus(); return; }
  if (event.key === " " && tag === "BUTTON") return;
  if (tag === "INPUT" && /^(Arrow|Home|End|Page)/.test(event.key)) return;
  if (/^(Arrow|Home|End)/.test(event.key) && (panel.contains(at) || (!view && /^Arrow/.test(event.key)))) return;
  const action = actions[event.key];
  if (action && (view || length)) { event.preventDefault(); action(); }
});
$("query").addEventListener("keydown", (event) => { // not "submit": the frame of a notebook has none
  if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); nextHit(); }
});
$("query").addEventListener("input", () => search($("query").value));
scrub.addEventListener("input", () => go(scrub.value, false));
const buttons = {
  first: actions.Home, before: actions.p, after: actions.n, play: actions[" "], turn: actions.b, out: actions["-"],
  in: actions["+"], fit, steps: actions.F, parts: actions.G, keys: actions["?"],
  close: () => $("help").close(),
};
for (const [id, action] of Object.entries(buttons)) $(id).addEventListener("click", () => action());

const hands = new Map(); // pointers that are down: one drags, two zoom
stage.addEventListener("pointerdown", (event) => {
  if (!view || event.button !== 0) return;
  hands.set(event.pointerId, [event.clientX, event.clientY]);
  dragged = false;
});
window.addEventListener("pointermove", (event) => {
  const before = hands.get(event.pointerId);
  if (!before) return;
  const [dx, dy] = [event.clientX - before[0], event.clientY - before[1]];
  if (!dragged && Math.hypot(dx, dy) < 4) return;
  dragged = true;
  stage.classList.add("dragging");
  const other = [...hands].find(([id]) => id !== event.pointerId);
  if (other) {
    const apart = (x, y) => Math.hypot(x - other[1][0], y - other[1][1]) || 1, { left, top } = stage.getBoundingClientRect();
    const x = (event.clientX + other[1][0]) / 2 - left, y = (event.clientY + other[1][1]) / 2 - top;
    zoom(apart(event.clientX, event.clientY) / apart(...before), x, y);
  } else pan(dx, dy);
  hands.set(event.pointerId, [event.clientX, event.clientY]);
});
for (const kind of ["pointerup", "pointercancel"]) window.addEventListener(kind, (event) => {
  hands.delete(event.pointerId);
  stage.classList.remove("dragging");
  setTimeout(() => (dragged = false)); // after the click that ends a drag
});
stage.addEventListener("wheel", (event) => {
  if (!view) return;
  event.preventDefault();
  const { left, top } = stage.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.clientX - left, event.clientY - top);
}, { passive: false });

$("notes").append(...data.notes.map((note) => element("p", {}, note)));
if (world) readPicture();
else {
  stage.classList.add("listed");
  const item = (node, i) => element("button", { type: "button", onclick: () => goTo(i) },
    `%${i} ${short(node.label || node.name || "")}  ${node.expr}  ${dims(i)}`);
  stage.replaceChildren(element("ol", { id: "list" }, ...nodes.map((node, i) => element("li", {}, item(node, i)))));
}
scrub.max = Math.max(length - 1, 0);
$("turn").disabled = !back.length;
$("steps").hidden = ![...frames.values()].some((f) => f.steps);
$("parts").hidden = !parts.size;
$("in").hidden = $("out").hidden = $("fit").hidden = !view;
if (!length) { // a picture and nothing else
  document.querySelector("footer").hidden = panel.hidden = true;
  document.querySelector("main").style.gridTemplateColumns = "1fr";
}
if (world) layOut();
const start = /^#step=(\d+)$/.exec(location.hash); // page.html#step=12 opens there
go(start ? Number(start[1]) : 0, false);
begin();
playing();
window.minigrad = Object.freeze({
  length, forward, data, go, step, play, pause, fold, foldAll, search, nextHit, fit, zoom, pan,
  state: () => ({
    position, phase: position < forward ? "forward" : "backward", node: length ? current() : null,
    playing: Boolean(timer), found: [...found],
    folded: [...frames.values(), ...parts.values()].filter((thing) => thing.folded).map((thing) => thing.id), eye: { ...eye } }),
});
