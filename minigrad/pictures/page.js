// Playing the forward and the backward pass on the picture of picture.js, and the panel beside it. `window.minigrad` is for
// other scripts: it can do what the buttons can, and tells what is shown.

// -- what is known of the nodes ---------------------------------------------------------------------------------------------

const short = (text) => (text.length > 60 ? text.slice(0, 57) + "..." : text);
const opOf = (i) => nodes[i].expr.split("(")[0];
const title = (i) => nodes[i].label || nodes[i].name || opOf(i);
const number = (x, digits = 4) => { // with four digits, as `explain` and the pictures write it
  if (!Number.isFinite(x)) return { Infinity: "inf", "-Infinity": "-inf" }[x] || "nan";
  const size = Math.abs(x);
  if (size === 0) return "0";
  if (size < 1e-3 || size >= 1e5) return Number(x.toPrecision(digits)).toExponential();
  return String(Number(x.toPrecision(4)));
};
const finite = (x) => (Number.isFinite(x) ? x : 0);
const words = { inf: Infinity, "-inf": -Infinity, nan: NaN }; // JSON has no such numbers
const numeric = (x) => (typeof x === "string" ? words[x] : x);
function valuesOf(packed) { // the elements of an array, if they are written one by one
  if (typeof packed.values === "string") { // little-endian float32, between zeros
    const bytes = Uint8Array.from(atob(packed.values), (letter) => letter.charCodeAt(0)), view = new DataView(bytes.buffer);
    const [before, after] = packed.zeros || [0, 0], count = bytes.length / 4;
    packed.values = Array.from({ length: before + count + after }, (_, k) =>
      k < before || k >= before + count ? 0 : view.getFloat32(4 * (k - before), true));
  }
  return packed.values && (packed.values = packed.values.map(numeric));
}
const normOf = (packed) => (packed ? numeric(packed.norm) : 0);
const dims = (i) => `(${nodes[i].shape.join(", ")}${nodes[i].shape.length === 1 ? "," : ""})`;
const placeOf = (i) => (nodes[i].t !== undefined ? `t = ${nodes[i].t}` : nodes[i].scope || "");
const spoken = (i) => [title(i), title(i) === opOf(i) ? "" : opOf(i), placeOf(i)].filter(Boolean).join(", ");

// The forward pass, and each backward pass: its positions, and that of each node in it.
const passes = [{ from: 0, to: forward, at: new Map(order.map((i, k) => [i, k])) }];
back.forEach((step, j) => { // a pass begins at its root
  if (step.root) passes.push({ from: forward + j, to: length, at: new Map(), arrivals: new Map() });
  const pass = passes[passes.length - 1];
  if (step.root) passes[passes.length - 2].to = pass.from;
  pass.at.set(step.node, forward + j);
  step.parts.forEach((part) => { // by operand, what the rules sent to it, in that order
    if (!pass.arrivals.has(part.to)) pass.arrivals.set(part.to, []);
    pass.arrivals.get(part.to).push({ part, at: forward + j, by: step.node });
  });
});
const passAt = (place) => passes.findLast((each) => each.from <= place);
const pass = () => passAt(position);
const nodeAt = (place) => (place < forward ? order[place] : back[place - forward].node);
function sentBy(place, part) { // nothing is written where it is all that its operand gets, 0 where it is the node's own
  if (part.sent === 0) return back[place - forward].g;
  return part.sent || back[passAt(place).at.get(part.to) - forward].g;
}

// Units of playing: of every position the number of the time step, or of the gate or named value, that it is a part of.
const units = { op: null, gate: new Int32Array(length), step: new Int32Array(length) }, steps = []; // the t of each position
(() => {
  let t, gate = 0, step = 0;
  const places = order.map((i, k) => {
    const next = nodes[i].leaf ? order.slice(k, k + 50).find((j) => !nodes[j].leaf) : i; // a leaf is a part of what reads it
    const own = nodes[i].t ?? (nodes[next] || {}).t ?? t;
    if (own !== t) { step++; gate++; }
    t = own;
    const named = !nodes[i].leaf && (nodes[i].label || nodes[i].name);
    return [i, { t, step, gate: named ? gate++ : gate }];
  });
  const found = new Map(places);
  for (let place = 0; place < length; place++) {
    const { t, step, gate } = found.get(nodeAt(place));
    const offset = 2 * forward * passes.indexOf(passAt(place));
    units.step[place] = step + offset;
    units.gate[place] = gate + offset;
    steps.push(t);
  }
})();

// -- playing ----------------------------------------------------------------------------------------------------------------

let position = 0, alone = true, timer = 0, found = [], hit = -1; // alone: a single node is shown, not the unit that it ends
const current = () => nodeAt(position);
const unitAt = (place) => (units[$("by").value] || [])[place] ?? place;
function unit() { // the first and the last position of what is shown
  if (alone) return [position, position];
  let first = position, last = position;
  while (first > 0 && unitAt(first - 1) === unitAt(position)) first--;
  while (last < length - 1 && unitAt(last + 1) === unitAt(position)) last++;
  return [first, last];
}
function lit() { // the nodes that light up, which are those of the panel: of a whole unit the named ones
  const [first, last] = unit(), all = Array.from({ length: last - first + 1 }, (_, k) => nodeAt(first + k));
  const named = all.filter((i) => (nodes[i].label || nodes[i].name) && !(nodes[i].leaf && nodes[i].t === undefined));
  return named.length && !alone ? named : [current()];
}
const focus = () => lit()[position < forward ? lit().length - 1 : 0]; // the one that the panel describes
function go(to, { smoothly = true, whole = false, flow = false } = {}) {
  if (!length) return;
  position = Math.min(Math.max(Math.round(Number(to)) || 0, 0), length - 1);
  alone = !whole;
  if (whole) position = unit()[1];
  show();
  follow(smoothly);
  if (flow) pulse();
  address();
}
function step(by = 1) {
  const [first, last] = alone ? [position, position] : unit();
  const to = by > 0 ? last + 1 : first - 1;
  if (to < 0) go(0);
  else if (to < length) go(to, { whole: true, flow: by > 0 });
}
function clicked(id) { // a box: its node, in the pass that is played, if that comes to it
  const of = boxNodes.get(id) || [];
  if (of.length) goTo(of[of.length - 1]);
}
function goTo(i) { go(pass().at.get(i) ?? passes[0].at.get(i)); }
function play() {
  if (timer || !length) return;
  if (position === length - 1) go(0);
  const wait = () => Number($("speed").value) * ($("by").value === "step" ? 2 : 1);
  const tick = () => { timer = 1; step(); timer = position < length - 1 ? setTimeout(tick, wait()) : 0; playing(); };
  timer = setTimeout(tick, wait() / 2);
  playing();
}
function pause() { clearTimeout(timer); timer = 0; playing(); }
function playing() {
  $("play").classList.toggle("on", timer !== 0);
  $("play").setAttribute("aria-label", timer ? "Pause" : "Play");
  $("said").setAttribute("aria-live", timer ? "off" : "polite");
  address();
}
function playBy(how) {
  $("by").value = how;
  go(position, { whole: position > 0 });
}

// Links to a moment: #t=3 and #t=3,backward are time steps, #backward is the beginning of that pass, #step=12 a position.
function moment(hash) {
  const [, t, backward] = /^#(?:t=(-?\d+))?,?(backward)?$/.exec(hash) || [], place = /^#step=(\d+)$/.exec(hash);
  if (place) return [Number(place[1]), false];
  const at = steps.findIndex((own, k) => (t === undefined || own === Number(t)) && (k >= forward) === Boolean(backward));
  return (t || backward) && at >= 0 ? [at, t !== undefined] : null;
}
let writing = 0;
function address() { // the link to what is shown, once it stays: browsers limit how often it may change
  clearTimeout(writing);
  if (timer || self !== top || !length) return;
  const t = steps[position], step = !alone && $("by").value === "step" && t !== undefined;
  const hash = step ? `#t=${t}${position < forward ? "" : ",backward"}` : `#step=${position}`;
  writing = setTimeout(() => location.hash === hash || (position === 0 && !location.hash) || history.replaceState(null, "", hash), 300);
}
function open(hash) {
  const [to, whole] = moment(hash) || [0, false];
  if (whole) $("by").value = "step";
  go(to, { whole, smoothly: false });
}

// What is still to come is pale, except at the very beginning. Only what differs from the moment before is changed.
const changes = new Map(); // by pass, everything that pales, in the order in which it gets its colours
let shown = null, cursor = 0, active = [], reachable = null;
function changesOf(which) {
  const users = new Map(); // of a box, the boxes that read it: a leaf gets its colour with the first of them
  edges.forEach(({ from, to }) => users.has(from) ? users.get(from).push(to) : users.set(from, [to]));
  const first = (all) => all.reduce((least, at) => Math.min(least, at), Infinity);
  const own = (id) => (boxNodes.get(id) ? first(boxNodes.get(id).map((i) => which.at.get(i) ?? Infinity)) : -1);
  const when = (id) => {
    const leaf = own(id) >= 0 && boxNodes.get(id).every((i) => nodes[i].leaf && which.at.has(i));
    return leaf && users.has(id) ? first(users.get(id).map(own)) : own(id);
  };
  const all = view ? [...boxes].map(([id, { el }]) => ({ el, at: when(id) })).concat(edges.map(({ el, to }) => ({ el, at: when(to) })))
    : [...$("list").children].map((item, i) => ({ el: item.firstChild, at: which.at.get(i) ?? Infinity }));
  return all.sort((a, b) => a.at - b.at);
}
function reveal() {
  const which = pass();
  if (shown === null && position === 0) return; // nothing is pale yet
  if (!changes.has(which)) changes.set(which, changesOf(which));
  const all = changes.get(which);
  if (which !== shown) {
    all.forEach(({ el, at }) => el.classList.toggle("todo", at > position));
    cursor = all.filter(({ at }) => at <= position).length;
    shown = which;
  }
  for (; cursor < all.length && all[cursor].at <= position; cursor++) all[cursor].el.classList.remove("todo");
  for (; cursor && all[cursor - 1].at > position; cursor--) all[cursor - 1].el.classList.add("todo");
}

function show() {
  if (!length) return;
  const backwards = position >= forward, i = focus(), [first, last] = unit();
  document.body.classList.toggle("backward", backwards);
  document.body.classList.toggle("played", position > 0);
  scrub.value = position;
  scrub.setAttribute("aria-valuetext", `${backwards ? "backward" : "forward"}, ${short(title(i))}`);
  const count = (name, at, all) => element("span", {}, ...(at ? [element("b", { class: name === "backward" ? "back" : "" },
    `${name} ${at}`), ` of ${all}`] : [`${name} ${all}`]));
  const counts = [count("forward", backwards ? 0 : position + 1, forward)];
  if (back.length) counts.push(count("backward", backwards ? position - forward + 1 : 0, back.length));
  $("where").replaceChildren(...counts);
  reveal();
  if (view) {
    const ids = (list) => list.flatMap((n) => nodes[n].boxes || []).filter((id) => boxes.has(id));
    const now = ids(lit()), near = new Set();
    active.forEach(({ edge }) => edge.el.classList.remove("active"));
    active = [];
    for (let place = first; place <= last; place++) {
      const own = new Set(ids([nodeAt(place)])), given = new Set(nodes[nodeAt(place)].from || []);
      for (const edge of [...own].flatMap((id) => edgesTo.get(id) || [])) {
        if (!own.has(edge.from) && !(boxNodes.get(edge.from) || []).some((n) => given.has(n))) continue;
        edge.el.classList.add("active");
        active.push({ edge, place });
        if (!own.has(edge.from) && first === last) near.add(edge.from);
      }
    }
    const around = (ids, kind, gap) => { // one for each place: what is folded into one has one
      const rects = new Map(ids.map(rectOf).filter(Boolean).map((rect) => [rect.x + ":" + rect.y, rect]));
      return [...rects.values()].map(({ x, y, width, height }) => shape("rect", { class: "ring " + kind, rx: 6,
        x: x - gap, y: y - gap, width: width + 2 * gap, height: height + 2 * gap }));
    };
    const hits = found.flatMap((n) => nodes[n].boxes || []);
    rings.replaceChildren(...around(now, "now", 3), ...around([...near], "operand", 1.5), ...around(hits, "found", 5));
    paintAll();
    if (reachable) reachable.setAttribute("tabindex", -1);
    reachable = now.length ? boxes.get(now[now.length - 1]).el : null; // with Tab; from there the arrow keys go to the others
    if (reachable) reachable.setAttribute("tabindex", 0);
  } else {
    active.forEach((item) => item.classList.remove("now"));
    active = [$("list").children[i].firstChild];
    active[0].classList.add("now");
    active[0].scrollIntoView({ block: "nearest" });
  }
  gather(first);
  tell(i, first, last);
}

// Pulses along the arrows: forward with them, backward against them, one after the other as the ops were played.
let pulsing = 0;
function pulse() {
  cancelAnimationFrame(pulsing);
  pulses.replaceChildren();
  if (calm.matches || !active.length || !view) return;
  const backwards = position >= forward, [first, last] = unit(), started = performance.now();
  const whole = Number($("speed").value) * (alone || $("by").value === "op" ? 0.8 : 1.6), each = alone ? whole : whole / 3;
  const all = active.filter(({ edge }) => edge.el.isConnected && !edge.el.hasAttribute("hidden")).map(({ edge, place }) => {
    const path = edge.el.querySelector("path"), dot = shape("circle", { class: "pulse", r: 5 });
    return { path, dot, long: path.getTotalLength(), after: ((place - first) / (last - first || 1)) * (whole - each) };
  });
  pulses.append(...all.map(({ dot }) => dot));
  const frame = (now) => {
    for (const { path, dot, long, after } of all) {
      const u = Math.min(Math.max((now - started - after) / each, 0), 1), { x, y } = path.getPointAtLength(long * (backwards ? 1 - u : u));
      dot.setAttribute("cx", x);
      dot.setAttribute("cy", y);
      dot.toggleAttribute("hidden", u === 0 || u === 1);
    }
    if (now - started < whole) pulsing = requestAnimationFrame(frame);
    else pulses.replaceChildren();
  };
  pulsing = requestAnimationFrame(frame);
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
function array(packed, shape, id) {
  const holder = element("div", { id }), values = valuesOf(packed), norm = normOf(packed);
  const tint = (x) => `rgba(var(--${x < 0 ? "minus" : "plus"}), ${(0.5 * Math.abs(x)).toFixed(3)})`;
  const columns = shape.length ? shape[shape.length - 1] : 1;
  if (values && !shape.length) holder.append(element("div", { class: "number" }, number(values[0])));
  else if (values && values.length) {
    const top = Math.max(...values.map((x) => Math.abs(finite(x)))) || 1;
    const grid = element("div", { class: "grid" });
    grid.style.gridTemplateColumns = `repeat(${columns <= 6 ? columns : 5}, minmax(0, 1fr))`;
    for (const x of values) {
      const cell = element("span", { title: String(Number(x.toPrecision(7))) }, number(x, 3).replace("-", "−").replace("e−", "e-"));
      cell.style.background = tint(finite(x) / top);
      grid.append(cell);
    }
    holder.append(grid, element("p", { class: "summary" }, `norm ${number(norm)}`));
  } else if (packed.colours) {
    const colours = packed.colours.replace(/(.)(\d+)/g, (_, letter, count) => letter.repeat(Number(count))); // Z4 is ZZZZ
    const rows = colours.length / columns, canvas = element("canvas", { width: columns, height: rows, role: "img" });
    canvas.setAttribute("aria-label", `${rows} by ${columns} elements as colours`);
    canvas.style.width = `${columns * Math.min(348 / columns, 22)}px`;
    canvas.style.height = `${rows * Math.min(150 / rows, 12)}px`;
    const context = canvas.getContext("2d"), style = getComputedStyle(document.documentElement);
    [...colours].forEach((letter, k) => {
      const level = (letter.charCodeAt(0) - (letter < "a" ? 65 : 71) - 25) / 25;
      context.fillStyle = `rgba(${style.getPropertyValue(level < 0 ? "--minus" : "--plus")}, ${Math.abs(level)})`;
      context.fillRect(k % columns, Math.floor(k / columns), 1, 1);
    });
    holder.append(canvas);
  }
  const [min, mean, max] = [packed.min, packed.mean, packed.max].map(numeric);
  const summary = (words) => holder.append(element("p", { class: "summary" }, words));
  if (!values) summary(`least ${number(min)}, mean ${number(mean)}, greatest ${number(max)}, norm ${number(norm)}`);
  else if (!values.length) summary("no elements");
  return holder;
}
const heading = (words, right) => element("h3", {}, words, right ? element("span", {}, right) : undefined);

function tell(i, first, last) {
  const node = nodes[i], parts = [], place = pass().at.get(i), done = position >= forward ? back[place - forward] : null;
  const side = done ? "backward" : "forward", step = first !== last && $("by").value === "step";
  const from = done ? pass().from - 1 : -1, count = first === last ? `node ${last - from}` : `nodes ${first - from} to ${last - from}`;
  parts.push(element("div", { class: "phase" }, element("span", {}, `${side} pass, ${count}`), step ? null : element("span", {}, `%${i}`)));
  if (step) { // a whole time step: its results, each a link to all that is known of it
    const name = steps[position] === undefined ? "outside of the time steps" : `t = ${steps[position]}`;
    panel.replaceChildren(...parts, element("h2", { id: "name" }, name), results(lit(), done));
    $("said").textContent = `${side}: ${name}, ${lit().map(sized).join("; ")}`;
    return;
  }
  parts.push(element("h2", { id: "name" }, title(i)));
  parts.push(expression(i));
  const facts = element("dl", { class: "facts" });
  const fact = (name, value) => value && facts.append(element("dt", {}, name), element("dd", {}, value));
  if (node.name && node.name !== title(i)) fact("name", node.name);
  fact("part of", node.part && node.part[1]);
  fact("shape", dims(i));
  fact("dtype", node.dtype);
  fact("scope", node.scope);
  fact("code", node.line);
  parts.push(facts);
  if (done) cotangent(i, done, parts);
  parts.push(heading("value"));
  parts.push(node.value ? array(node.value, node.shape, "value") : element("p", { class: "quiet", id: "value" }, "not known: nothing kept it"));
  if (node.left) parts.push(heading("gradient that backward() left"), array(node.left, node.shape, "left"));
  if (!(node.boxes || []).length && view) parts.push(element("p", { class: "quiet" }, "It has no box of its own in this picture."));
  panel.replaceChildren(...parts);
  $("said").textContent = `${side}: ${spoken(i)}, shape ${dims(i)}, ${sized(i)}`;
  if (!timer) requestAnimationFrame(() => (panel.scrollTop = 0));
}

const shownOf = (i) => (position < forward ? nodes[i].value : back[pass().at.get(i) - forward].g);
const sized = (i) => `${title(i)} ${position < forward ? "norm" : "gradient"} ${shownOf(i) ? number(normOf(shownOf(i))) : "unknown"}`;
function results(all, done) { // what a step made, or what came back to it
  const rows = all.map((i) => element("tr", {}, element("td", {}, link(i, short(title(i)))),
    element("td", {}, opOf(i) === title(i) || nodes[i].leaf ? "" : opOf(i)), element("td", {}, shownOf(i) ? number(normOf(shownOf(i))) : "–")));
  const head = ["result", "op", done ? "norm of its gradient" : "norm"].map((words) => element("th", {}, words));
  return element("table", { id: "unit" }, element("tr", {}, ...head), ...rows);
}

function cotangent(i, done, parts) {
  const leaf = nodes[i].leaf, sent = pass().arrivals.get(i) || [];
  parts.push(heading(leaf ? "gradient" : "cotangent", done.root ? "the seed: ones" : done.hooked ? "after a hook" : ""));
  parts.push(array(done.g, nodes[i].shape, "cotangent"));
  if (sent.length > 1) {
    const row = (kind, ...cells) => element("tr", {}, ...cells.map((cell) => element(kind, {}, ...[cell].flat())));
    const rows = sent.map(({ by, at, part }) => row("td", [link(by), ` ${short(title(by))}  ${placeOf(by)}`],
      number(normOf(sentBy(at, part))), number(numeric(part.sum))));
    const table = element("table", { id: "arrived" }, row("th", "sent by", "norm", "norm of the sum"), ...rows);
    parts.push(heading(`sum of ${sent.length} parts`), table);
  }
  if (done.parts.length) parts.push(heading("what its rules send"));
  for (const part of done.parts) {
    const block = element("div", { class: "sends small" }), sent = sentBy(pass().at.get(i), part), numbers = inNumbers(i, done, part, sent);
    block.append(element("div", {}, "to ", link(part.to), " ", short(title(part.to)), " ", dims(part.to)));
    block.append(element("code", {}, rules[part.rule]));
    if (numbers) block.append(element("code", { class: "numbers", title: "of the element where it sends most" }, numbers));
    block.append(array(sent, nodes[part.to].shape));
    if (part.sum !== undefined) {
      const all = pass().arrivals.get(part.to), nth = all.findIndex((other) => other.part === part) + 1;
      const words = `part ${nth} of ${all.length}; norm of the sum so far ${number(numeric(part.sum))}`;
      block.append(element("p", { class: "summary" }, words));
    }
    parts.push(block);
  }
}

// A rule with numbers put in: of an elementwise op for the element where it sends most, of others with the shapes.
function inNumbers(i, done, part, sent) {
  const names = data.ops[opOf(i)] || [], elementwise = names[names.length - 1], rule = rules[part.rule];
  const operands = nodes[i].expr.slice(nodes[i].expr.indexOf("(") + 1, -1).split(", ");
  const node = (k) => (/^%\d+$/.test(operands[k]) ? Number(operands[k].slice(1)) : null);
  if (!elementwise) {
    const named = names.slice(0, -1).map((name, k) => (node(k) === null ? "" : `${name} ${dims(node(k))}`)).filter(Boolean);
    return `g ${dims(i)}, ${named.join(", ")} → ${dims(part.to)}`;
  }
  const [, formula = rule] = /^g \* \(lambda [\w, ]+: (.*)\)$/.exec(rule) || [];
  const values = valuesOf(sent), g = valuesOf(done.g), count = g && g.length;
  if (rule === "g" || !values || values.length !== count || !count || /\b(lambda|where)\b/.test(formula)) return "";
  const top = values.reduce((best, x, k) => (Math.abs(x) > Math.abs(values[best]) ? k : best), 0);
  const element = (packed) => { const all = packed && valuesOf(packed); return all && (all[all.length === 1 ? 0 : top] ?? NaN); };
  const known = { g: g[top], out: element(nodes[i].value) };
  names.slice(0, -1).forEach((name, k) => {
    const at = node(k), fits = at !== null && [1, count].includes(nodes[at].shape.reduce((a, b) => a * b, 1));
    known[name] = at === null ? Number(operands[k]) : fits ? element(nodes[at].value) : undefined;
  });
  const whole = formula === rule ? rule : `g * (${formula})`;
  const put = whole.replace(/\b[a-z]\w*\b(?!\()/g, (name) => (known[name] === undefined ? name : number(known[name])));
  return `${put} = ${number(values[top])}`;
}

// The weights that several steps use: the share of each step, as they add up.
let gathered = null;
function gather(first) {
  const { arrivals } = pass();
  if (!gathered || gathered.arrivals !== arrivals) {
    const every = arrivals || (passes[1] || {}).arrivals || new Map(); // in the forward pass the bars are still empty
    const all = [...every].filter(([i, list]) => nodes[i].leaf && list.length > 1).map(([i, list]) => chart(i, list));
    $("shares").replaceChildren(...all.map(({ line }) => line));
    $("shares").hidden = !all.length;
    gathered = { arrivals, all };
  }
  for (const each of gathered.all) {
    const { list, line, said, drawn } = each, before = each.cursor;
    while (each.cursor < list.length && list[each.cursor].at <= position) each.cursor++;
    while (each.cursor && list[each.cursor - 1].at > position) each.cursor--;
    let from = each.cursor;
    while (from && list[from - 1].at >= first) from--;
    if (from === each.from && each.cursor === before) continue;
    each.from = from;
    drawn.children[1].setAttribute("d", each.bars.slice(0, from).join(""));
    drawn.children[2].setAttribute("d", each.bars.slice(from, each.cursor).join(""));
    const sum = each.cursor ? numeric(list[each.cursor - 1].part.sum) : 0;
    line.dataset.sum = sum;
    said.textContent = `${each.cursor} of ${list.length}, norm ${number(sum)}`;
  }
}
function chart(i, list) { // with one path for all bars of a colour: an element for each would be laid out at every step
  const sorted = [...list].sort((a, b) => (nodes[a.by].t ?? -1) - (nodes[b.by].t ?? -1) || a.at - b.at), wide = 100 / list.length;
  const size = ({ at, part }) => finite(normOf(sentBy(at, part))), top = Math.max(...list.map(size)) || 1;
  const bars = new Map(sorted.map((each, k) => {
    const high = Math.max((24 * size(each)) / top, 0.6).toFixed(2);
    return [each, `M${((k + 0.1) * wide).toFixed(3)} 26v-${high}h${(wide * 0.8).toFixed(3)}v${high}z`];
  }));
  const drawn = shape("svg", { viewBox: "0 0 100 26", preserveAspectRatio: "none", "aria-hidden": true },
    shape("path", { d: [...bars.values()].join("") }), shape("path", { class: "sent" }), shape("path", { class: "last" }));
  const said = element("span"), line = element("div", { class: "shared", "data-node": i },
    element("div", {}, link(i, short(title(i)))), drawn, said);
  return { list, bars: list.map((each) => bars.get(each)), line, said, drawn, cursor: 0, from: -1 };
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
  Home: () => go(0), End: () => go(length - 1, { whole: true }), b: () => back.length && go(forward), " ": () => (timer ? pause() : play()),
  u: () => playBy(next($("by"))), "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: fit, s: fullScreen,
  "/": () => $("query").focus(), "?": () => { $("help").showModal(); $("help-title").focus(); },
  ArrowLeft: () => pan(60, 0), ArrowRight: () => pan(-60, 0), ArrowUp: () => pan(0, 60), ArrowDown: () => pan(0, -60),
  f: () => foldCurrent(inFrame), F: () => foldAll("steps"), g: () => foldCurrent(inPart), G: () => foldAll("parts"),
};
function next(select) {
  const all = [...select.options].filter((option) => !option.hidden);
  return all[(all.findIndex((option) => option.selected) + 1) % all.length].value;
}
function fullScreen() {
  if (document.fullscreenElement) document.exitFullscreen();
  else document.documentElement.requestFullscreen().catch(() => ($("screen").hidden = true));
}
function neighbour(from, key) { // the box that is nearest in the direction of an arrow key
  const sign = /Left|Up/.test(key) ? -1 : 1, sideways = /Left|Right/.test(key);
  const middle = ({ x, y, width, height }) => (sideways ? [x + width / 2, y + height / 2] : [y + height / 2, x + width / 2]);
  const [a, b] = middle(rectOf(from));
  let best = null, least = Infinity;
  for (const id of boxNodes.keys()) {
    if (id === from || !boxes.has(id) || hiddenIn(id)) continue;
    const [c, d] = middle(rectOf(id)), along = sign * (c - a), apart = along + 3 * Math.abs(d - b);
    if (along > 1 && apart < least) [best, least] = [id, apart];
  }
  return best;
}
function onBox(event, box) { // with a box in focus
  if (event.key === "Escape") { stage.focus(); return true; }
  if (event.key === "Enter") { clicked(box.dataset.box); box.focus({ preventScroll: true }); return true; }
  const to = /^Arrow/.test(event.key) ? neighbour(box.dataset.box, event.key) : null;
  if (!to) return /^Arrow/.test(event.key);
  follow(false, [to]); // where it is drawn it can have the focus
  boxes.get(to).el.focus({ preventScroll: true });
  return true;
}
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
  if (at === stage && event.key === "Enter" && reachable) { follow(false); reachable.focus({ preventScroll: true }); return; }
  const box = at.closest && at.closest(".node");
  if (box && onBox(event, box)) { event.preventDefault(); return; }
  const action = actions[event.key];
  if (action && (view || length)) { event.preventDefault(); action(); }
});
$("query").addEventListener("keydown", (event) => { // not "submit": the frame of a notebook has none
  if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); nextHit(); }
});
$("query").addEventListener("input", () => search($("query").value));
scrub.addEventListener("input", () => go(scrub.value, { whole: true, smoothly: false }));
$("by").addEventListener("change", () => playBy($("by").value));
const buttons = {
  first: actions.Home, before: actions.p, after: actions.n, play: actions[" "], turn: actions.b, out: actions["-"],
  in: actions["+"], fit, screen: fullScreen, steps: actions.F, parts: actions.G, keys: actions["?"],
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
$("screen").hidden = !document.fullscreenEnabled;
if (!length) { // a picture and nothing else
  document.querySelector("footer").hidden = panel.hidden = true;
  document.querySelector("main").classList.add("alone");
}
const kinds = { step: new Set(steps).size > 1, gate: nodes.some((node) => !node.leaf && (node.label || node.name)), op: true };
for (const option of $("by").options) option.hidden = option.disabled = !kinds[option.value];
$("by").value = Object.keys(kinds).find((kind) => kinds[kind]);
legend();
open(location.hash);
begin();
playing();
document.addEventListener("fullscreenchange", begin);
window.addEventListener("hashchange", () => open(location.hash));
window.minigrad = Object.freeze({
  length, forward, data, go, goTo, step, play, pause, playBy, fold, foldAll, search, nextHit, fit, zoom, pan,
  state: () => ({
    position, phase: position < forward ? "forward" : "backward", node: length ? focus() : null, unit: length ? unit() : [],
    t: steps[position], lit: length ? lit() : [],
    playing: Boolean(timer), found: [...found],
    folded: [...frames.values(), ...parts.values()].filter((thing) => thing.folded).map((thing) => thing.id), eye: { ...eye } }),
});
