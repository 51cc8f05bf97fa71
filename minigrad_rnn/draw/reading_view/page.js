"use strict";
{
// A reading: the text coloured by what the network does. The numbers come deflated; the page is a still picture without them.
// `window.minigrad` is for other scripts: it can do what the controls can, and returns what is shown.

const $ = (id) => document.getElementById(id);
const element = (tag, kind, ...parts) => {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  made.append(...parts);
  return made;
};
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const signed = (x, digits = 2) => (x < 0 ? "\u2212" : x > 0 ? "+" : "") + Math.abs(x).toFixed(digits);
const escaped = (c) => "\\u" + c.codePointAt(0).toString(16).padStart(4, "0");
const visible = (s) => ({ " ": "\u2423", "\n": "\u21B5", "\t": "\u21E5" })[s] || s.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escaped);
const NAMES = { " ": "a space", "\n": "a new line", "\t": "a tab", '"': "a quotation mark", "'": "an apostrophe",
  "(": "an opening bracket", ")": "a closing bracket", ".": "a full stop", ",": "a comma" };
const quoted = (s) => (/^[ \n\t]$/.test(s) ? NAMES[s] : `\u201C${visible(s)}\u201D`);
const spoken = (s) => NAMES[s] || visible(s);

// -- the numbers ------------------------------------------------------------------------------------------------------------

const facts = JSON.parse($("data").textContent);
const { text, symbols, scale, features } = facts;
const T = text.length;
const spans = [...$("text").children];
const parts = {}; // by name: row(k), the bytes of a row
async function unpack() {
  const packed = Uint8Array.from(atob($("bytes").textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  for (const [name, { at, rows, columns, difference }] of Object.entries(facts.places)) {
    const row = (k) => bytes.subarray(at + k * columns, at + (k + 1) * columns);
    for (let k = 0; difference && k < rows; k++) row(k).forEach((_, t, r) => { if (t) r[t] += r[t - 1]; });
    parts[name] = { rows, columns, row };
  }
}

const units = facts.units.map(([state, index, f, symbol, r, chosen, chance, deviation, cost, others, mean]) =>
  ({ state, index, f, symbol, r, chosen, chance, deviation, cost, others, mean, key: `${state}[${index}]` }));
const byKey = new Map(units.map((unit) => [unit.key, unit]));
const begins = {}; // by state its first row in the correlations
let width = 0;
for (const state of facts.states) { begins[state] = width; width += facts.steps[state].length; }
const follows = (unit, f) => (parts.correlations.row(begins[unit.state] + unit.index)[f] - 100) / 100;
const guess = (t, k) => symbols[parts.guesses.row(t)[k] + 256 * parts["guesses high"].row(t)[k]];
const surprise = (t) => parts.surprise.row(0)[t] / scale.nat;

// -- what is shown ----------------------------------------------------------------------------------------------------------

const now = { view: "units", state: units[0].state, unit: units[0].index, gate: Object.keys(facts.gates)[0], at: facts.start, deep: innerWidth > 700 };
let held = false; // a symbol was clicked, and pointing does not move on
let column = null; // where Up and Down want to be
const together = () => now.state === "together";
const gateRow = () => { const part = parts["gate " + now.gate]; return part.row(Math.min(now.unit, part.rows - 1)); };
const stateRow = (state, unit) => Array.from(parts["state " + state].row(unit), (level) => level / scale.state - 1);
const share = (f) => (facts.twin ? `; an untrained twin ${features[f].twin.toFixed(2)}` : "");
const where = facts.probed ? "" : " on the second half of the text";
const suffering = (unit) => (unit.symbol < 0
  ? `Held at its mean, no symbol suffers much (${signed(unit.mean)} nats on average).`
  : `Held at its mean, ${quoted(symbols[unit.symbol])} costs ${unit.cost.toFixed(1)} nats more, all others ${signed(unit.others)}.`);

// Each view: the colour of symbol t, its curve (two-sided or not), the ends of the legend, the heading and the value of a symbol.
const views = {
  units: {
    colours() { const row = parts["state " + now.state].row(now.unit); return (t) => "p" + Math.floor(16.5 + (row[t] - scale.state) * 16 / scale.state); },
    curve: () => stateRow(now.state, now.unit),
    ends() { const most = facts.steps[now.state][now.unit] * scale.state; return [`\u2264 \u2212${most.toFixed(2)}`, `\u2265 +${most.toFixed(2)}`]; },
    value: () => `${together() ? features[now.unit].name : `${now.state}[${now.unit}]`} = ${signed((parts["state " + now.state].row(now.unit)[now.at] - scale.state) * facts.steps[now.state][now.unit])}`,
    heading() {
      if (together()) {
        const { name, together: r } = features[now.unit];
        const best = Math.max(...units.map((unit) => Math.abs(follows(unit, now.unit))));
        return [`What all units together say of \u201C${name}\u201D`, `A linear mixture of ${width} numbers`,
          `, fitted elsewhere, follows it with r = ${signed(r)}${where}. The best single unit has |r| = ${best.toFixed(2)}.`];
      }
      const unit = byKey.get(`${now.state}[${now.unit}]`), name = `Unit ${unit.index} of ${unit.state}`;
      if (unit.f >= 0) return [features[unit.f].heading, name, ` follows \u201C${features[unit.f].name}\u201D with r = ${signed(unit.r)}${where} (by chance up to ${unit.chance.toFixed(2)}${share(unit.f)}; all units together ${signed(features[unit.f].together)}). ${suffering(unit)}`];
      const nearest = features.length ? features.map((_, f) => f).reduce((a, b) => (Math.abs(follows(unit, b)) > Math.abs(follows(unit, a)) ? b : a)) : -1;
      const most = nearest < 0 ? "" : ` is most like \u201C${features[nearest].name}\u201D, r = ${signed(follows(unit, nearest))}, which does not count as following it`;
      return [`${name}: it follows nothing single`, name, `${most || " follows nothing"}. ${suffering(unit)}`];
    },
  },
  gates: {
    colours() { const row = gateRow(); return (t) => "s" + Math.round(row[t] * 16 / scale.gate); },
    curve: () => Array.from(gateRow(), (level) => level / scale.gate),
    ends: () => ["0 shut", "1 open"],
    value: () => `${now.gate}[${now.unit}] = ${(gateRow()[now.at] / scale.gate).toFixed(2)}`,
    heading() {
      const words = facts.gates[now.gate];
      const role = { "forget gate": "Shut (pale), it drops what the cell remembers.", "input gate": "Open, it lets something new in.", "output gate": "Open, it shows what the cell remembers.",
        "update gate": "Open, it keeps the old state.", "reset gate": "Shut, the candidate does not read the old state." }[words] || "";
      return [`How far the ${words} of unit ${now.unit} is open`, `Gate ${now.gate}[${now.unit}]`, `, from 0 to 1. ${role}`];
    },
  },
  surprise: {
    colours: () => (t) => "s" + (t ? Math.min(16, Math.round(surprise(t) / 6 * 16)) : 0),
    curve: () => text.map((_, t) => Math.min(1, surprise(t) / 6)),
    ends: () => ["expected", "6 nats or more"],
    value: () => (now.at ? `${surprise(now.at).toFixed(1)} nats` : "the first symbol"),
    heading: () => ["What the network did not expect", `${facts.mean.toFixed(2)} nats a symbol`, ` on average, ${Math.round(100 * facts.accuracy)} % guessed right. Red is surprising: \u2212log p of the symbol, given all before it.${now.deep ? " Blue under it: what the network expected there, the deeper the surer; bold was right." : ""}`],
  },
  back: {
    colours() { const row = parts.saliency.row(now.at); return (t) => (t <= now.at && now.at - t < row.length ? "s" + row[now.at - t] : "s0 far"); },
    curve() { const row = parts.saliency.row(now.at); return text.map((_, t) => (t <= now.at && now.at - t < row.length ? row[now.at - t] / scale.pull : 0)); },
    ends: () => ["no pull", "strongest"],
    value: () => `after ${quoted(text[now.at])}`,
    heading() {
      const pulls = Array.from(parts.saliency.row(now.at), (level) => level * level), all = pulls.reduce((a, b) => a + b, 0);
      let half = 0;
      for (let sum = 0; half < pulls.length && sum < all / 2; half++) sum += pulls[half];
      return [`It expects ${quoted(guess(now.at, 0))} next. Which symbols lead to that?`, "Half of the pull", ` on this guess comes from the last ${half === 1 ? "symbol" : `${half} symbols`}. Green is |d logit of the guess / d input|, over the ${parts.saliency.columns} symbols before.`];
    },
  },
};

// -- painting ---------------------------------------------------------------------------------------------------------------

function paint() {
  const colour = views[now.view].colours();
  spans.forEach((span, t) => {
    const kind = `${text[t] === "\n" ? "n " : ""}${colour(t)}${t === now.at ? " now" : ""}`;
    if (span.className !== kind) span.className = kind;
  });
}
function area(row, sign) { // what of a curve is above 0, or below, as a path over 0 ... row.length
  const steps = row.map((x, t) => { const y = (-sign * Math.max(0, sign * x)).toFixed(2); return `L${t} ${y}L${t + 1} ${y}`; });
  return `M0 0${steps.join("")}L${row.length} 0Z`;
}
function curve(frame, group, row, twoSided) {
  frame.setAttribute("viewBox", `0 -1.08 ${row.length} ${twoSided ? 2.16 : 1.12}`);
  frame.setAttribute("preserveAspectRatio", "none");
  group.replaceChildren(...[["up", 1], ["down", -1]].slice(0, twoSided ? 2 : 1).map(([kind, sign]) => {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", kind);
    path.setAttribute("d", area(row, sign));
    return path;
  }));
}
function thinned(row, count) { // the largest of each stretch
  const size = row.length / count;
  return Array.from({ length: count }, (_, k) => row.slice(Math.floor(k * size), Math.max(Math.floor((k + 1) * size), Math.floor(k * size) + 1)).reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0));
}
function trace() {
  const twoSided = now.view === "units";
  curve($("trace"), $("curve"), views[now.view].curve(), twoSided);
  $("cursor").setAttribute("y1", -1.08);
  $("cursor").setAttribute("y2", twoSided ? 1.08 : 0.04);
}
function legend() {
  const [low, high] = views[now.view].ends(), ramp = element("span", "ramp");
  for (let k = 0; k <= 16; k++) ramp.append(element("i", now.view === "units" ? `p${2 * k}` : `s${k}`));
  $("legend").replaceChildren(low, ramp, high);
}
function card() {
  const { at } = now, before = text.slice(0, at).join(""), line = before.split("\n");
  const value = views[now.view].value(), cost = at ? `${surprise(at).toFixed(1)} nats of surprise` : "the first symbol";
  $("glyph").textContent = visible(text[at]);
  $("glyph").className = spans[at].className.replace(/\b(n|now|far)\b/g, "");
  $("facts").replaceChildren(value, element("small", "", `${now.view === "surprise" ? "of surprise" : cost} \u00B7 line ${line.length}, column ${line[line.length - 1].length + 1}`));
  $("guesses").replaceChildren(...Array.from(parts.probabilities.row(at), (percent, k) => {
    const bar = element("b");
    bar.style.width = `${percent}%`;
    return element("div", guess(at, k) === text[at + 1] ? "guess hit" : "guess", element("code", "", visible(guess(at, k))), element("em", "", bar), element("span", "", `${percent} %`));
  }));
  $("text").setAttribute("aria-valuenow", at + 1);
  $("text").setAttribute("aria-valuetext", `${spoken(text[at])}, ${at + 1} of ${T}; ${value}; ${cost}; next it expects ${spoken(guess(at, 0))}, ${parts.probabilities.row(at)[0]} percent`);
  for (const end of ["x1", "x2"]) $("cursor").setAttribute(end, at + 0.5);
}
function guessesBelow() {
  const on = now.view === "surprise" && now.deep;
  if (on === $("text").classList.contains("deep")) return;
  $("text").classList.toggle("deep", on);
  if (!on) { for (const below of $("text").querySelectorAll("u")) below.remove(); return; }
  for (let t = 1; t < T; t++) {
    const chances = parts.probabilities.row(t - 1);
    for (let k = 0; k < Math.min(3, chances.length); k++) {
      const symbol = guess(t - 1, k);
      if (chances[k] > 1) spans[t].append(element("u", `g${k} p${16 + Math.round(chances[k] * 0.14)}${symbol === text[t] ? " right" : ""}`, visible(symbol)));
    }
  }
}
function headings() {
  const [title, strong, rest] = views[now.view].heading();
  $("title").textContent = title;
  $("sub").replaceChildren(element("b", "", strong), rest);
}
function controls() {
  document.body.className = now.view;
  for (const name of ["view", "state", "gate"]) for (const radio of document.getElementsByName(name)) radio.checked = radio.value === now[name];
  const { view } = now, ofUnits = view === "units" || view === "gates";
  for (const [id, on] of [["states", view === "units"], ["gates", view === "gates"], ["pick", ofUnits], ["under", view === "surprise"], ["hint", view === "back"], ["telling", ofUnits], ["where", !ofUnits]]) $(id).hidden = !on;
  $("deep").checked = now.deep;
  $("unit").max = parts[view === "gates" ? "gate " + now.gate : "state " + now.state].rows - 1;
  $("unit").value = now.unit;
  const name = together() ? features[now.unit].name : String(now.unit);
  $("number").textContent = name;
  $("what").textContent = together() ? "feature" : "unit";
  $("unit").setAttribute("aria-valuetext", name);
}
function show() {
  controls();
  guessesBelow();
  headings();
  legend();
  trace();
  paint();
  card();
  places();
  mark($("list"), `${now.state}[${now.unit}]`);
  link();
}
function go(t, scroll = false) {
  t = clamp(t, 0, T - 1);
  if (t === now.at) return;
  spans[now.at].classList.remove("now");
  now.at = t;
  spans[t].classList.add("now");
  if (now.view === "back") { headings(); trace(); paint(); }
  card();
  mark($("places"), String(t));
  if (scroll) spans[t].scrollIntoView({ block: "nearest" });
  link();
}
function link() {
  try { history.replaceState(null, "", `#${[now.view, now.state, now.unit, now.gate || "", now.at].map(encodeURIComponent).join("/")}`); } catch { /* in a frame without an address */ }
}

// -- lists: one tab stop each, arrows choose ----------------------------------------------------------------------------------

const option = (value, ...inside) => {
  const made = element("div", "", ...inside);
  made.setAttribute("role", "option");
  made.dataset.value = value;
  return made;
};
function fill(list, options) {
  options.forEach((made, k) => { made.id = `${list.id}-${k}`; });
  list.replaceChildren(...options);
}
function mark(list, value) {
  list.removeAttribute("aria-activedescendant");
  for (const made of list.children) {
    const chosen = made.dataset.value === value;
    made.setAttribute("aria-selected", chosen);
    if (chosen) list.setAttribute("aria-activedescendant", made.id);
  }
}
function listens(list, choose) {
  list.addEventListener("click", (event) => { const made = event.target.closest("[role=option]"); if (made) choose(made.dataset.value); });
  list.addEventListener("keydown", (event) => {
    const all = [...list.children], k = all.findIndex((made) => made.getAttribute("aria-selected") === "true");
    const to = { ArrowDown: k + 1, ArrowUp: Math.max(k, 1) - 1, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || !all.length) return;
    event.preventDefault();
    const next = all[clamp(to, 0, all.length - 1)];
    choose(next.dataset.value);
    next.scrollIntoView({ block: "nearest" });
  });
}
function listed() { // the units in the chosen order, with what is written at the right
  const by = $("sort").value, plain = (unit) => (unit.f < 0 ? `\u00B1${unit.deviation.toFixed(2)}` : `r ${signed(unit.r)}`);
  const label = (unit) => (unit.f < 0 ? "nothing single" : features[unit.f].name);
  if (by === "telling") return units.map((unit) => [unit, label(unit), plain(unit)]);
  if (by === "varied") return [...units].sort((a, b) => b.deviation - a.deviation).map((unit) => [unit, label(unit), `\u00B1${unit.deviation.toFixed(2)}`]);
  if (by === "needed") {
    return units.filter((unit) => unit.symbol >= 0).sort((a, b) => b.cost - a.cost)
      .map((unit) => [unit, label(unit), `${visible(symbols[unit.symbol])} ${signed(unit.cost, 1)} nats`]);
  }
  const f = Number(by), all = { state: "together", index: f, key: `together[${f}]` };
  const sorted = [...units].sort((a, b) => Math.abs(follows(b, f)) - Math.abs(follows(a, f)));
  return [[all, features[f].name, `r ${signed(features[f].together)}`], ...sorted.map((unit) => [unit, features[f].name, `r ${signed(follows(unit, f))}`])];
}
function list() {
  fill($("list"), listed().slice(0, 24).map(([unit, label, right]) => {
    const frame = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    frame.setAttribute("aria-hidden", "true");
    curve(frame, frame, thinned(stateRow(unit.state, unit.index), Math.min(170, T)), true);
    return option(unit.key, element("small", "name", unit.state === "together" ? "all" : unit.key), element("span", "label", label), element("small", "", right), frame);
  }));
  mark($("list"), `${now.state}[${now.unit}]`);
}
function places() {
  if ($("where").hidden) return;
  const wrong = now.view === "surprise", worth = (t) => (wrong ? surprise(t) : facts.lags[t]), chosen = [];
  const order = [...text.keys()].filter((t) => t > 20 && t < T - 1 && (wrong || text[t].trim())).sort((a, b) => worth(b) - worth(a));
  for (const t of order) if (chosen.length < 12 && chosen.every((c) => Math.abs(c - t) > 3)) chosen.push(t);
  $("found").textContent = wrong ? "Where it was most wrong" : "Where it looks back farthest";
  fill($("places"), chosen.map((t) => option(String(t),
    element("code", "", text.slice(Math.max(0, t - 18), t).map((s) => (s === " " ? s : visible(s))).join("").slice(-18), element("b", "", visible(text[t])), text.slice(t + 1, t + 9).map((s) => (s === " " ? s : visible(s))).join("").slice(0, 8)),
    element("small", "", wrong ? `${worth(t).toFixed(1)} nats` : `${worth(t).toFixed(0)} back`))));
  mark($("places"), String(now.at));
}

// -- hands ------------------------------------------------------------------------------------------------------------------

function choose(change) { // a view, a state, a unit, a gate
  Object.assign(now, change);
  if (now.view === "gates" && together()) Object.assign(now, { state: units[0].state, unit: units[0].index });
  now.unit = clamp(now.unit, 0, parts["state " + now.state].rows - 1);
  show();
}
function vertical(direction) { // the symbol above or below, nearest to the wished column
  const here = spans[now.at].getClientRects()[0];
  column = column === null ? here.left : column;
  let line = null, best = now.at, least = Infinity;
  for (let t = now.at + direction; t >= 0 && t < T; t += direction) {
    const box = spans[t].getClientRects()[0];
    if (!box || (box.top - here.top) * direction < 4) continue;
    if (line === null) line = box.top;
    if (Math.abs(box.top - line) > 4) break;
    if (Math.abs(box.left - column) < least) { least = Math.abs(box.left - column); best = t; }
  }
  return best;
}
const moves = {
  ArrowLeft: () => now.at - 1, ArrowRight: () => now.at + 1, ArrowUp: () => vertical(-1), ArrowDown: () => vertical(1),
  Home: () => (now.at ? text.lastIndexOf("\n", now.at - 1) + 1 : 0), End: () => { const n = text.indexOf("\n", now.at); return n < 0 ? T - 1 : n; },
};
function next(by) {
  const k = units.findIndex((unit) => unit.state === now.state && unit.index === now.unit);
  const { state, index } = units[(k + by + units.length) % units.length];
  choose({ state, unit: index });
}
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const view = document.getElementsByName("view")[Number(event.key) - 1];
  if (event.target === $("text") && moves[event.key]) {
    held = true;
    if (!event.key.startsWith("Arrow") || /Left|Right/.test(event.key)) column = null;
    go(moves[event.key](), true);
    event.preventDefault();
  } else if (event.key === "n" || event.key === "p") next(event.key === "n" ? 1 : -1);
  else if (view && !view.parentElement.hidden) choose({ view: view.value });
}
const placeOf = (event) => spans.indexOf(event.target.closest("#text > i"));
function listen() {
  for (const name of ["view", "state", "gate"]) for (const radio of document.getElementsByName(name)) radio.addEventListener("change", () => choose({ [name]: radio.value }));
  $("unit").addEventListener("input", () => choose({ unit: Number($("unit").value) }));
  $("deep").addEventListener("change", () => choose({ deep: $("deep").checked }));
  $("sort").addEventListener("change", list);
  listens($("list"), (key) => { const [, state, unit] = /^(.*)\[(\d+)\]$/.exec(key); choose({ state, unit: Number(unit), ...(state === "together" ? { view: "units" } : {}) }); });
  listens($("places"), (t) => { held = true; go(Number(t), true); });
  $("text").addEventListener("pointermove", (event) => { const t = placeOf(event); if (event.pointerType === "mouse" && !held && t >= 0) go(t); });
  $("text").addEventListener("click", (event) => { const t = placeOf(event); if (t >= 0) { held = !(held && t === now.at); column = null; go(t); } });
  $("trace").addEventListener("click", (event) => { const box = $("trace").getBoundingClientRect(); held = true; go(Math.floor((event.clientX - box.left) / box.width * T), true); });
  document.addEventListener("keydown", pressed);
}
function follow(address) { // #view/state/unit/gate/symbol
  const [view, state, unit, gate, at] = address.slice(1).split("/").map((part) => { try { return decodeURIComponent(part); } catch { return ""; } });
  if (at === undefined) return;
  const usable = [...document.getElementsByName("view")].filter((radio) => !radio.parentElement.hidden).map((radio) => radio.value);
  if (usable.includes(view)) now.view = view;
  if (parts["state " + state]?.rows) Object.assign(now, { state, unit: clamp(Number(unit) || 0, 0, parts["state " + state].rows - 1) });
  if (parts["gate " + gate]) now.gate = gate;
  now.at = clamp(Number(at) || 0, 0, T - 1);
}
function about() {
  const chosen = facts.probed ? "on another text, and r is measured on this one" : "on the first half of this text, and r is measured on the second";
  const twin = facts.twin ? ` An untrained twin has ${facts.twin.labelled} labelled units and needs ${facts.twin.needed}.` : "";
  $("about").textContent = `Labels are chosen ${chosen}. ${facts.labelled} of ${units.length} units have one; ${facts.needed} are needed: some next symbol suffers when the unit is held.${twin}`;
}

unpack().then(() => {
  if (!features.length) document.querySelector("[name=state][value=together]").parentElement.hidden = true;
  follow(location.hash);
  about();
  listen();
  list();
  choose({});
  window.minigrad = { choose, go, next, state: () => ({ ...now }), facts, parts };
}, () => { $("about").textContent = "This browser cannot unpack the numbers (DecompressionStream); the first unit is shown."; });
}
