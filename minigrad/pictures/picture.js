// The picture: its boxes, frames and arrows, folding them, and moving about. Together with what stands in page.js this is the
// body of one function; everything it knows is in the page. It fetches nothing, and writes text as text only.

const $ = (id) => document.getElementById(id);
const stage = $("stage"), panel = $("panel"), scrub = $("scrub");
const drawn = document.createElement("div"); // apart from the page, so that nothing is laid out which is not in sight
drawn.innerHTML = $("drawn").textContent;
let data;
try { data = await (await inflated("data")).json(); } catch {
  stage.replaceChildren(drawn);
  $("notes").append("This browser cannot unpack the numbers (DecompressionStream); the picture is shown.");
  return;
}
const nodes = data.nodes, order = data.order || [], back = data.back || [], rules = data.rules || [];
nodes.forEach((node) => {
  node.leaf = node.expr === "requires grad" || node.expr === "constant";
  [node.dtype, node.scope] = data.places[node.place];
});
const forward = nodes.length, length = forward + back.length;
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

// The parts of the picture from left to right, of which only those in sight are in the page. Each is the copy of a pattern.
const ground = shape("g", {}), patterns = [...drawn.querySelectorAll("defs > g")].map((el) => ({ el, holes: holesOf(el) }));
function holesOf(pattern) { // what differs in a copy: ids, words, and everything that is moved, in pieces around the numbers
  const holes = [];
  pattern.querySelectorAll("*").forEach((each, k) => {
    for (const { name, value } of each.attributes) {
      if (name.startsWith("data-")) holes.push({ k, name });
      else if (name === "x" || name === "cx") holes.push({ k, name, pieces: ["", value, ""] });
      else if (name === "d" || name === "points") holes.push({ k, name, pieces: value.split(/(-?[\d.]+)(?=,)/) });
    }
    if (each.tagName === "text" && !each.textContent) holes.push({ k });
  });
  return holes;
}
const columns = [...drawn.querySelectorAll(".column")].map((el, n) => {
  const use = el.querySelector("use"), by = Number(use.getAttribute("x")), ids = data.columns[n].values();
  const words = el.querySelectorAll("text").values(), pattern = patterns[use.getAttribute("href").slice(5)]; // #like3
  el.replaceChildren(...pattern.el.cloneNode(true).children);
  const all = el.querySelectorAll("*");
  for (const { k, name, pieces } of pattern.holes) {
    if (pieces) all[k].setAttribute(name, pieces.map((piece, i) => (i % 2 ? (Number(piece) + by).toFixed(1) : piece)).join(""));
    else if (name) all[k].setAttribute(name, ids.next().value);
    else all[k].textContent = words.next().value.textContent;
  }
  return { el, left: Infinity, right: -Infinity };
});
drawn.querySelector("defs")?.replaceWith(ground);
columns.forEach(({ el }) => el.remove());
stage.replaceChildren(...drawn.childNodes);
const picture = $("picture"), view = $("view");
const world = view && view.querySelector("g.graph");
const boxes = new Map(), edges = [], edgesTo = new Map(); // the arrows to a box
const frames = new Map(), parts = new Map(); // what can be folded: steps, and gates
const inFrame = new Map(), inPart = new Map(); // of a box
let extent = null; // of the whole picture, unfolded
const shift = { x: 0, y: 0 }; // of the whole picture, as Graphviz gives it
const rings = shape("g", {}), cells = shape("g", {}), pulses = shape("g", {});
const boxNodes = new Map(); // the nodes that a box stands for
nodes.forEach((node, i) => {
  for (const id of node.boxes || []) {
    if (!boxNodes.has(id)) boxNodes.set(id, []);
    boxNodes.get(id).push(i);
  }
});

const allOf = (selector) => [...columns.map(({ el }) => el), world].flatMap((part) => [...part.querySelectorAll(selector)]);

function readPicture() {
  const [x0, y0, across0, down0] = (picture.getAttribute("viewBox") || "").split(/[ ,]+/).map(Number);
  picture.removeAttribute("viewBox");
  const { x, y, width, height } = columns.length ? { x: x0, y: y0, width: across0, height: down0 } : view.getBBox();
  extent = { x, y, width, height };
  picture.setAttribute("role", "group");
  picture.setAttribute("aria-label", short(data.title || "graph"));
  const moved = world.transform.baseVal.consolidate(); // once: it makes the browser lay out the picture again
  if (moved) Object.assign(shift, { x: moved.matrix.e, y: moved.matrix.f });
  const paper = world.querySelector(":scope > polygon");
  if (paper) paper.remove();
  allOf(".node").forEach((el) => {
    const id = el.dataset.box, of = boxNodes.get(id);
    const box = { el, ...outlineOf(el) };
    boxes.set(id, box);
    widen(el, box);
    if (!of) return;
    el.setAttribute("role", "button");
    el.setAttribute("tabindex", -1);
    const texts = [...el.querySelectorAll("text")], written = texts.map((text) => text.textContent).join(" ");
    texts.slice(1).forEach((text) => text.before(" "));
    el.setAttribute("aria-label", `${written}: ${spoken(of[of.length - 1])}`);
  });
  allOf(".edge").forEach((el) => {
    const edge = { el, from: el.dataset.from, to: el.dataset.to, shapes: null };
    if (!edgesTo.has(edge.to)) edgesTo.set(edge.to, []);
    edgesTo.get(edge.to).push(edge);
    edges.push(edge);
  });
  world.addEventListener("click", (event) => {
    const box = event.target.closest(".node");
    if (box && !dragged) clicked(box.dataset.box);
  });
  world.addEventListener("pointerover", (event) => { // a tooltip is made when it is needed
    const box = event.target.closest(".node"), of = box && boxNodes.get(box.dataset.box);
    if (!of || box.querySelector(":scope > title")) return;
    const about = (i) => `%${i} ${nodes[i].name || ""} ${nodes[i].expr} ${dims(i)} ${nodes[i].scope || ""}`.replace(/ +/g, " ");
    box.prepend(shape("title", {}, of.map(about).join("\n")));
  });
  const clusters = new Map(allOf(".cluster").map((cluster) => [cluster.dataset.group, cluster]));
  for (const group of data.groups) {
    const el = clusters.get(group.id);
    const outline = el && el.querySelector("path, rect, polygon");
    if (!outline || !group.boxes.length) continue;
    const { x, y, width, height } = outlineOf(el);
    widen(el, { x, width });
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
  world.append(cells, rings, pulses);
}

function showColumns(which) {
  columns.forEach((column, k) => { if (!which(k)) column.el.remove(); });
  let next = null; // each comes before the next one that is shown
  for (let k = columns.length - 1; k >= 0; k--) {
    if (!which(k)) continue;
    if (columns[k].el.parentNode !== ground) ground.insertBefore(columns[k].el, next);
    next = columns[k].el;
  }
}
function widen(el, { x, width }) { // the column that it is in
  const column = columns.length && columns.find((each) => each.el === el.parentNode);
  if (column) Object.assign(column, { left: Math.min(column.left, x), right: Math.max(column.right, x + width) });
}
function cull() { // an arrow from one column to the next is in the second: those next to what is in sight are drawn, too
  if (!columns.length) return;
  const from = -eye.x / eye.k - shift.x, to = (stage.clientWidth - eye.x) / eye.k - shift.x;
  const seen = columns.map(({ left, right }) => across(right) >= from && across(left) <= to);
  showColumns((k) => seen[k] || seen[k - 1] || seen[k + 1]);
}
addEventListener("beforeprint", () => { // the whole picture
  if (!view) return;
  showColumns(() => true);
  const { x, y, width, height } = room().box;
  picture.setAttribute("viewBox", `${x - 4} ${y - 4} ${width + 8} ${height + 8}`);
  view.removeAttribute("transform");
});
addEventListener("afterprint", () => {
  picture.removeAttribute("viewBox");
  place();
});

function outlineOf(el) { // read from its attributes where they have it: a long picture is not measured box by box
  const first = [...el.children].find((child) => child.tagName !== "title"), at = (name) => Number(first.getAttribute(name));
  if (first && first.tagName === "rect") return { x: at("x"), y: at("y"), width: at("width"), height: at("height") };
  if (first && first.tagName === "ellipse") {
    return { x: at("cx") - at("rx"), y: at("cy") - at("ry"), width: 2 * at("rx"), height: 2 * at("ry") };
  }
  if (first && first.tagName === "text" && columns.length) {
    const high = at("font-size"), width = first.textContent.length * high * 0.6;
    return { x: at("x") - width / 2, y: at("y") - high, width, height: high };
  }
  const { x, y, width, height } = el.getBBox();
  return { x, y, width, height };
}
function shapesOf(edge) { // with their numbers, for bending
  return edge.shapes ||= [...edge.el.querySelectorAll("path, polygon, text")].map((s) => {
    const name = s.tagName === "path" ? "d" : s.tagName === "polygon" ? "points" : null;
    const pieces = name ? s.getAttribute(name).split(/(-?[\d.]+(?:e[-+]?\d+)?)/) : [s.getAttribute("x")];
    return { s, name, pieces };
  });
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
  measured = null;
  show();
}
// How much higher or lower the end of an arrow is when its box is folded into a gate.
const lift = (id, inside) => (inside && parts.has(inside.id) && boxes.has(id)
  ? inside.y + inside.height / 2 - (boxes.get(id).y + boxes.get(id).height / 2) : 0);

function bend(edge, up, down) {
  const a = boxes.get(edge.from), b = boxes.get(edge.to);
  if (!a || !b) return;
  const left = a.x <= b.x ? a.x + a.width : a.x, right = a.x <= b.x ? b.x : b.x + b.width;
  const along = (x) => Math.min(Math.max((x - left) / (right - left || 1), 0), 1);
  for (const { s, name, pieces } of shapesOf(edge)) {
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
  Object.assign(thing, { cell, patches: [] });
  if (step) {
    const middle = left + width / 2, top = thing.y + 14;
    const words = shape("text", { "font-size": 10, x: middle, y: top }, short(thing.title));
    if (thing.title.length > 8) { // written downwards
      words.setAttribute("transform", `rotate(90 ${middle} ${top}) translate(${words.textContent.length * 2.6} 3)`);
    }
    cell.append(words);
    const rows = thing.states.map((id) => [boxes.get(id).y + boxes.get(id).height / 2, boxNodes.get(id) || []]);
    if (!rows.length) rows.push([thing.y + thing.height / 2, thing.ids.flatMap((id) => boxNodes.get(id) || [])]);
    for (const [y, of] of rows) patch(thing, left + 4, y - 9, width - 8, 18, of, "");
  } else patch(thing, left, thing.y, width, thing.height, [thing.last], thing.title);
  button(cell, "Unfold " + thing.title, false, () => fold(thing.id));
  cells.append(cell);
}
function patch(thing, x, y, width, height, of, fixed) {
  const rect = shape("rect", { x, y, width, height, rx: 4, "stroke-width": 0.6 });
  const words = shape("text", { x: x + width / 2, y: y + height / 2 + 3, "font-size": 8.5 }, fixed);
  thing.cell.append(rect, " ", words);
  thing.patches.push({ thing, rect, words, of, fixed });
}

// The colour of folded things is that of the colour bar; in the backward pass its scale is logarithmic.
let measured = null; // of the pass that is played: each patch with what it shows, in time, and the ends of the scale
function measure() {
  const backwards = position >= forward, { at } = pass();
  const size = (i) => finite(normOf(backwards ? back[at.get(i) - forward].g : nodes[i].value));
  const all = [...frames.values(), ...parts.values()].filter((thing) => thing.folded).flatMap((thing) => thing.patches || []);
  for (const patch of all) {
    const known = patch.of.filter((i) => at.has(i) && (backwards || nodes[i].value));
    patch.sizes = known.map((i) => ({ at: at.get(i), size: size(i) })).sort((a, b) => a.at - b.at);
    patch.total = Math.hypot(...patch.sizes.map((each) => each.size));
  }
  const sizes = all.map((patch) => patch.total), top = Math.max(...sizes, 1e-300);
  const low = backwards ? Math.max(Math.min(...sizes.filter((x) => x > 0), top / 10), top * 1e-8) : 0;
  const times = all.flatMap((patch) => patch.sizes.map((each) => ({ at: each.at, patch }))).sort((a, b) => a.at - b.at);
  measured = { backwards, of: pass(), low, top, times, cursor: 0 };
  all.forEach(paint);
  legend();
}
function paintAll() { // only what has changed since the moment before
  if (!measured || measured.of !== pass()) measure();
  const { times } = measured, changed = new Set();
  for (; measured.cursor < times.length && times[measured.cursor].at <= position; measured.cursor++) changed.add(times[measured.cursor].patch);
  for (; measured.cursor && times[measured.cursor - 1].at > position; measured.cursor--) changed.add(times[measured.cursor - 1].patch);
  changed.forEach(paint);
}
function paint(patch) {
  const { low, top, backwards } = measured;
  const seen = patch.sizes.filter(({ at }) => at <= position), now = Math.hypot(...seen.map(({ size }) => size));
  const share = backwards ? Math.log(Math.max(now, low) / low) / Math.log(top / low || 2) : now / top;
  const heat = Math.round(15 * (Math.min(Math.max(share, 0), 1) || 0));
  patch.rect.style.fill = seen.length ? `var(--k${heat})` : "none";
  patch.words.style.fill = seen.length ? `var(--i${heat})` : "var(--ink)";
  if (patch.fixed) return;
  patch.words.textContent = seen.length ? number(Number(now.toPrecision(2))) : "";
  const { cell, patches, title } = patch.thing; // its name has all that is written on it
  cell.setAttribute("aria-label", ["Unfold", title, ...patches.map(({ words }) => words.textContent)].filter(Boolean).join(" "));
}
function legend() { // the colour bar: of the picture, or of what is folded
  const folded = measured && measured.times.length, what = folded && measured.backwards;
  const own = folded ? [what ? "norm of the gradients that are folded" : "norm of the values that are folded",
    ...[measured.low, measured.top].map((x) => number(Number(x.toPrecision(2))))] : data.legend;
  $("legend").hidden = !own;
  if (own) $("legend").replaceChildren(...own.map((words) => element("span", {}, words)));
}

function fold(id, on) {
  const thing = frames.get(id) || parts.get(id);
  if (!thing) return;
  const held = cells.contains(document.activeElement) || (thing.el && thing.el.contains(document.activeElement));
  thing.folded = on === undefined ? !thing.folded : on;
  layOut();
  const next = thing.folded ? thing.cell : thing.el && thing.el.querySelector("text");
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
  cull();
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
const room = () => ({ width: stage.clientWidth, height: stage.clientHeight, box: { ...extent, x: extent.x + shift.x, y: extent.y + shift.y, width: across(extent.x + extent.width) - extent.x } });
function fit() {
  if (!view) return;
  const { width, height, box } = room(), k = Math.min((width - 24) / box.width, (height - 24) / box.height, 2.5);
  look((width - box.width * k) / 2 - box.x * k, (height - box.height * k) / 2 - box.y * k, k, true);
}
function begin() { // as large as it can be read, from its left end
  if (!view) return;
  const { width, height, box } = room(), k = Math.min(Math.max((height - 30) / box.height, 0.9), 1.6);
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
function within(to, size, start, length) { // the nearest place at which no edge of the picture is farther in than need be
  const ends = [12 - start * eye.k, size - 12 - (start + length) * eye.k];
  return Math.min(Math.max(to, Math.min(...ends)), Math.max(...ends));
}
function follow(smoothly = true, ids = length ? lit().flatMap((i) => nodes[i].boxes || []) : []) { // keep what lights up in sight
  const rects = view ? ids.map(rectOf).filter(Boolean) : [];
  if (!rects.length) return;
  const left = Math.min(...rects.map((r) => r.x)), top = Math.min(...rects.map((r) => r.y));
  const right = Math.max(...rects.map((r) => r.x + r.width)), bottom = Math.max(...rects.map((r) => r.y + r.height));
  const whole = { x: left, y: top, width: right - left, height: bottom - top };
  const fits = whole.width * eye.k < stage.clientWidth && whole.height * eye.k < stage.clientHeight;
  const rect = fits ? whole : rects[0];
  const x = (rect.x + rect.width / 2 + shift.x) * eye.k + eye.x, y = (rect.y + rect.height / 2 + shift.y) * eye.k + eye.y;
  const { width, height, box } = room();
  const dx = x < width * 0.12 || x > width * 0.88 ? width * (position < forward ? 0.4 : 0.6) - x : 0;
  const dy = y < height * 0.08 || y > height * 0.92 ? height / 2 - y : 0;
  if (!dx && !dy) return;
  const seen = { x: within(eye.x + dx, width, box.x, box.width), y: within(eye.y + dy, height, box.y, box.height) };
  if (seen.x !== eye.x || seen.y !== eye.y) look(seen.x, seen.y, eye.k, smoothly);
}
