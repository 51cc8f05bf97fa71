// The picture: its boxes, frames and arrows, folding them, and moving about. Together with what stands in page.js this is the
// body of one function; everything it knows is in the JSON of the page. It fetches nothing, and writes text as text only.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const nodes = data.nodes, back = data.back || [], rules = data.rules || [];
const forward = nodes.length, length = forward + back.length;
const stage = $("stage"), panel = $("panel"), scrub = $("scrub");
const SVG = "http://www.w3.org/2000/svg";
const calm = matchMedia("(prefers-reduced-motion: reduce)");

function element(tag, attributes, ...children) {
  const made = attributes && attributes.svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "onclick") made.addEventListener("click", value);
    else if (key !== "svg" && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== undefined && child !== null));
  return made;
}
const shape = (tag, attributes, ...children) => element(tag, { svg: true, ...attributes }, ...children);

// -- the picture: boxes, frames and arrows ----------------------------------------------------------------------------------

const picture = $("picture"), view = $("view");
const world = view && view.querySelector("g.graph");
const boxes = new Map(), edges = [];
const frames = new Map(), parts = new Map(); // what can be folded: steps, and gates
const inFrame = new Map(), inPart = new Map(); // of a box
const shift = { x: 0, y: 0 }; // of the whole picture, as Graphviz gives it
const rings = shape("g", {}), cells = shape("g", {});
const boxNodes = new Map(); // the nodes that a box stands for
nodes.forEach((node, i) => {
  for (const id of node.boxes || []) {
    if (!boxNodes.has(id)) boxNodes.set(id, []);
    boxNodes.get(id).push(i);
  }
});

function readPicture() {
  picture.removeAttribute("viewBox");
  picture.setAttribute("role", "group");
  picture.setAttribute("aria-label", short(data.title || "graph"));
  const moved = world.transform.baseVal.consolidate(); // once: it makes the browser lay out the picture again
  if (moved) Object.assign(shift, { x: moved.matrix.e, y: moved.matrix.f });
  const paper = world.querySelector(":scope > polygon");
  if (paper) paper.remove();
  world.querySelectorAll(".node").forEach((el) => {
    const { x, y, width, height } = el.getBBox();
    boxes.set(el.dataset.box, { el, x, y, width, height });
    el.addEventListener("click", () => dragged || clicked(el.dataset.box));
  });
  world.querySelectorAll(".edge").forEach((el) => {
    const edge = { el, from: el.dataset.from, to: el.dataset.to, shapes: [] };
    el.querySelectorAll("path, polygon, text").forEach((s) => {
      const name = s.tagName === "path" ? "d" : s.tagName === "polygon" ? "points" : null;
      const pieces = name ? s.getAttribute(name).split(/(-?[\d.]+(?:e[-+]?\d+)?)/) : [s.getAttribute("x")];
      edge.shapes.push({ s, name, pieces });
    });
    edges.push(edge);
  });
  const clusters = new Map([...world.querySelectorAll(".cluster")].map((cluster) => [cluster.dataset.group, cluster]));
  for (const group of data.groups) {
    const el = clusters.get(group.id);
    const outline = el && el.querySelector("path, rect, polygon");
    if (!outline || !group.boxes.length) continue;
    const { x, y, width, height } = outline.getBBox();
    const states = group.boxes.filter(([, state]) => state).map(([id]) => id);
    const frame = { ...group, el, x, y, width, height, states, folded: false, ids: group.boxes.map(([id]) => id) };
    frames.set(group.id, frame);
    frame.ids.forEach((id) => inFrame.set(id, frame));
    const words = el.querySelector("text");
    if (!words) continue;
    words.textContent = "▾ " + words.textContent;
    button(words, "Fold " + group.title, true, () => fold(group.id));
  }
  nodes.forEach((node, i) => {
    if (!node.part) return;
    const [id, words] = node.part;
    if (!parts.has(id)) parts.set(id, { id, title: words, ids: [], folded: false });
    const part = parts.get(id);
    part.last = i;
    for (const box of node.boxes || []) if (boxes.has(box)) { part.ids.push(box); inPart.set(box, part); }
  });
  for (const part of [...parts.values()]) {
    if (!part.ids.length) { parts.delete(part.id); continue; }
    const inside = part.ids.map((id) => boxes.get(id)), last = inside[inside.length - 1];
    part.x = Math.min(...inside.map((b) => b.x));
    part.width = Math.max(...inside.map((b) => b.x + b.width)) - part.x;
    part.height = Math.max(last.height, 20);
    part.y = last.y + (last.height - part.height) / 2;
  }
  world.append(cells, rings);
}

function button(el, label, expanded, action) {
  const about = { role: "button", tabindex: 0, "aria-label": label, "aria-expanded": expanded };
  for (const [key, value] of Object.entries(about)) el.setAttribute(key, value);
  el.addEventListener("click", () => dragged || action());
  el.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); event.stopPropagation(); action(); }
  });
}

// Folding: a folded step is as wide as FOLDED, and what is to the right of it moves to the left. Arrows are bent along.
const FOLDED = 50;
let narrow = [];
function across(x) {
  let shift = 0;
  for (const { x: left, width } of narrow) {
    if (x >= left + width) shift += width - FOLDED;
    else if (x > left) return left - shift + ((x - left) / width) * FOLDED;
  }
  return x - shift;
}
function hiddenIn(id) { // the folded step or gate that a box is in
  const frame = inFrame.get(id), part = inPart.get(id);
  return frame && frame.folded ? frame : part && part.folded ? part : null;
}

function layOut() {
  narrow = [...frames.values()].filter((f) => f.folded && f.steps).sort((a, b) => a.x - b.x);
  cells.replaceChildren();
  for (const [id, box] of boxes) {
    const middle = box.x + box.width / 2;
    box.el.toggleAttribute("hidden", Boolean(hiddenIn(id)));
    box.el.setAttribute("transform", `translate(${across(middle) - middle})`);
  }
  for (const frame of frames.values()) {
    frame.el.toggleAttribute("hidden", frame.folded);
    frame.el.setAttribute("transform", `translate(${across(frame.x) - frame.x})`);
    if (frame.folded) addCell(frame);
  }
  for (const part of parts.values()) if (part.folded && !(inFrame.get(part.ids[0]) || {}).folded) addCell(part);
  for (const edge of edges) {
    const one = hiddenIn(edge.from), other = hiddenIn(edge.to);
    edge.el.toggleAttribute("hidden", one !== null && one === other);
    bend(edge, lift(edge.from, one), lift(edge.to, other));
  }
  const steps = [...frames.values()].filter((f) => f.steps);
  $("steps").setAttribute("aria-pressed", steps.length > 0 && steps.every((f) => f.folded));
  $("parts").setAttribute("aria-pressed", parts.size > 0 && [...parts.values()].every((p) => p.folded));
  if (position !== null) show();
}
// How much higher or lower the end of an arrow is when its box is folded into a gate.
const lift = (id, inside) => (inside && parts.has(inside.id) && boxes.has(id)
  ? inside.y + inside.height / 2 - (boxes.get(id).y + boxes.get(id).height / 2) : 0);

function bend(edge, up, down) {
  const a = boxes.get(edge.from), b = boxes.get(edge.to);
  if (!a || !b) return;
  const left = a.x <= b.x ? a.x + a.width : a.x, right = a.x <= b.x ? b.x : b.x + b.width;
  const along = (x) => Math.min(Math.max((x - left) / (right - left || 1), 0), 1);
  for (const { s, name, pieces } of edge.shapes) {
    if (!name) { s.setAttribute("x", across(Number(pieces[0]))); continue; }
    let x = null;
    s.setAttribute(name, pieces.map((piece, k) => {
      if (k % 2 === 0) return piece;
      if (x === null) { x = Number(piece); return across(x).toFixed(1); }
      const y = Number(piece) + up * (1 - along(x)) + down * along(x);
      x = null;
      return y.toFixed(1);
    }).join(""));
  }
}

function addCell(thing) {
  const step = frames.has(thing.id), left = across(thing.x), width = step && thing.steps ? FOLDED : thing.width;
  const cell = shape("g", { class: step ? "cell" : "cell part" });
  cell.append(shape("rect", { class: "frame", x: left, y: thing.y, width, height: thing.height, rx: step ? 6 : 4 }));
  thing.patches = [];
  if (step) {
    const middle = left + width / 2, top = thing.y + 14;
    const words = shape("text", { "font-size": 10, x: middle, y: top }, short(thing.title));
    if (thing.title.length > 8) { // written downwards
      words.setAttribute("transform", `rotate(90 ${middle} ${top}) translate(${words.textContent.length * 2.6} 3)`);
    }
    cell.append(words);
    const rows = thing.states.map((id) => [boxes.get(id).y + boxes.get(id).height / 2, boxNodes.get(id) || []]);
    if (!rows.length) rows.push([thing.y + thing.height / 2, thing.ids.flatMap((id) => boxNodes.get(id) || [])]);
    for (const [y, of] of rows) thing.patches.push(patch(cell, left + 4, y - 9, width - 8, 18, of, ""));
  } else thing.patches.push(patch(cell, left, thing.y, width, thing.height, [thing.last], thing.title));
  button(cell, "Unfold " + thing.title, false, () => fold(thing.id));
  cells.append(cell);
}
function patch(cell, x, y, width, height, of, fixed) {
  const rect = shape("rect", { x, y, width, height, rx: 4, "stroke-width": 0.6 });
  const words = shape("text", { x: x + width / 2, y: y + height / 2 + 3, "font-size": 8.5 }, fixed);
  cell.append(rect, words);
  return { rect, words, of, fixed };
}

// The colour of folded things: light to dark blue, as in the pictures.
const cotangents = new Map(); // of the pass that is played: node to norm
function paint() {
  const all = [...frames.values(), ...parts.values()].filter((thing) => thing.folded).flatMap((thing) => thing.patches || []);
  const backwards = position >= forward, from = backwards ? beginning[position - forward] : 0;
  cotangents.clear();
  for (let j = from; backwards && j < back.length && beginning[j] === from; j++) {
    cotangents.set(back[j].node, { norm: finite(back[j].g.norm), at: j + forward });
  }
  const known = (i) => (backwards ? cotangents.get(i) : nodes[i].value) || { norm: 0 };
  const size = (i) => finite(known(i).norm);
  const when = (i) => backwards ? (cotangents.get(i) || { at: Infinity }).at : i;
  const total = (of) => Math.hypot(...of.map(size));
  const sizes = all.map((p) => total(p.of)), top = Math.max(...sizes, 1e-300);
  const low = Math.max(Math.min(...sizes.filter((x) => x > 0), top / 10), top * 1e-8);
  all.forEach((p, k) => {
    const seen = p.of.filter((i) => when(i) <= position), now = total(seen);
    const share = backwards ? Math.log(Math.max(now, low) / low) / Math.log(top / low || 2) : now / top;
    const heat = seen.length ? Math.min(Math.max(share, 0), 1) || 0 : null;
    const mix = (a, b) => Math.round(a + (b - a) * heat);
    p.rect.setAttribute("fill", heat === null ? "none" : `rgb(${mix(247, 8)}, ${mix(251, 48)}, ${mix(255, 107)})`);
    p.words.style.fill = heat > 0.5 ? "#ffffff" : "#212529";
    if (!p.fixed) p.words.textContent = heat === null ? "" : number(Number(now.toPrecision(2)));
  });
}

function fold(id, on) {
  const thing = frames.get(id) || parts.get(id);
  if (!thing) return;
  const held = cells.contains(document.activeElement) || (thing.el && thing.el.contains(document.activeElement));
  thing.folded = on === undefined ? !thing.folded : on;
  layOut();
  const cell = [...cells.children].find((child) => child.getAttribute("aria-label") === "Unfold " + thing.title);
  const next = thing.folded ? cell : thing.el && thing.el.querySelector("text");
  if (held && next) next.focus({ preventScroll: true });
}
function foldAll(kind, on) {
  const things = kind === "steps" ? [...frames.values()].filter((f) => f.steps) : [...parts.values()];
  const folded = on === undefined ? !things.every((thing) => thing.folded) : on;
  things.forEach((thing) => (thing.folded = folded));
  layOut();
  if (kind === "steps" && things.length) folded ? fit() : begin();
}

// -- moving about -----------------------------------------------------------------------------------------------------------

const eye = { x: 0, y: 0, k: 1 };
let moving = 0, dragged = false;
function place() {
  if (view) view.setAttribute("transform", `translate(${eye.x.toFixed(2)} ${eye.y.toFixed(2)}) scale(${eye.k.toFixed(4)})`);
}
function look(x, y, k, smoothly) {
  cancelAnimationFrame(moving);
  if (!smoothly || calm.matches) { Object.assign(eye, { x, y, k }); place(); return; }
  const from = { ...eye }, started = performance.now();
  const frame = (now) => {
    const u = Math.min(Math.max((now - started) / 220, 0), 1), s = u * (2 - u);
    Object.assign(eye, { x: from.x + (x - from.x) * s, y: from.y + (y - from.y) * s, k: from.k + (k - from.k) * s });
    place();
    if (u < 1) moving = requestAnimationFrame(frame);
  };
  moving = requestAnimationFrame(frame);
}
const room = () => ({ width: stage.clientWidth, height: stage.clientHeight, box: view.getBBox() });
function fit() {
  if (!view) return;
  const { width, height, box } = room(), k = Math.min((width - 24) / box.width, (height - 24) / box.height, 2.5);
  look((width - box.width * k) / 2 - box.x * k, (height - box.height * k) / 2 - box.y * k, k, true);
}
function begin() { // as large as it can be read, from its left end
  if (!view) return;
  const { width, height, box } = room(), k = Math.min(Math.max((height - 30) / box.height, width < 600 ? 0.9 : 1.15), 1.6);
  const wide = box.width * k > width - 24, high = box.height * k > height - 24;
  const x = wide ? 12 : (width - box.width * k) / 2, y = high ? 12 : (height - box.height * k) / 2;
  look(x - box.x * k, y - box.y * k, k, false);
  follow(false);
}
function zoom(factor, x = stage.clientWidth / 2, y = stage.clientHeight / 2) {
  const k = Math.min(Math.max(eye.k * factor, 0.02), 12), f = k / eye.k;
  look(x - (x - eye.x) * f, y - (y - eye.y) * f, k, false);
}
const pan = (x, y) => look(eye.x + x, eye.y + y, eye.k, false);

function rectOf(id) { // where a box is now, or what it is folded into
  const box = boxes.get(id), inside = hiddenIn(id);
  if (!box) return null;
  const { x, y, width, height } = inside || box, folded = inside && frames.has(inside.id) && inside.steps;
  if (folded) return { x: across(x), y, width: FOLDED, height };
  return { x: across(x + width / 2) - width / 2, y, width, height };
}
function follow(smoothly = true) { // keep the current node in sight
  if (!view || position === null) return;
  const rect = (nodes[current()].boxes || []).map(rectOf).find(Boolean);
  if (!rect) return;
  const x = (rect.x + rect.width / 2 + shift.x) * eye.k + eye.x, y = (rect.y + rect.height / 2 + shift.y) * eye.k + eye.y;
  const { clientWidth: width, clientHeight: height } = stage;
  const dx = x < width * 0.12 || x > width * 0.88 ? width * (position < forward ? 0.4 : 0.6) - x : 0;
  const dy = y < height * 0.08 || y > height * 0.92 ? height / 2 - y : 0;
  if (dx || dy) look(eye.x + dx, eye.y + dy, eye.k, smoothly);
}
