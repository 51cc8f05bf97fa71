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
const MARKS = new Map([[" ", "\u2423"], ["\n", "\u21B5"], ["\t", "\u21E5"]]);
const NAMES = new Map([[" ", "a space"], ["\n", "a new line"], ["\t", "a tab"], ['"', "a quotation mark"], ["'", "an apostrophe"],
  ["(", "an opening bracket"], [")", "a closing bracket"], [".", "a full stop"], [",", "a comma"]]);
const visible = (s) => MARKS.get(s) || s.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escaped);
const quoted = (s) => (MARKS.has(s) ? NAMES.get(s) : `\u201C${visible(s)}\u201D`);
const spoken = (s) => NAMES.get(s) || visible(s);
const spaced = (s) => (s === " " ? s : visible(s));

// -- the numbers ------------------------------------------------------------------------------------------------------------

const facts = JSON.parse($("data").textContent);
const { text, symbols, scale, features } = facts;
const T = text.length;
const spans = [...$("text").children];
const parts = {}; // by name: row(k), the bytes of a row
async function unpack() {
  const bytes = new Uint8Array(await (await inflated("bytes")).arrayBuffer());
  for (const [name, { at, rows, columns, difference }] of Object.entries(facts.places)) {
    const row = (k) => bytes.subarray(at + k * columns, at + (k + 1) * columns);
    for (let k = 0; difference && k < rows; k++) row(k).forEach((_, t, r) => { if (t) r[t] += r[t - 1]; });
    parts[name] = { rows, columns, row };
  }
}

const units = facts.units.map(([state, index, f, symbol, r, chosen, chance, deviation, cost, others, mean], k) =>
  ({ heading: facts.headings[k], state, index, f, symbol, r, chosen, chance, deviation, cost, others, mean, key: `${state}[${index}]` }));
const byKey = new Map(units.map((unit) => [unit.key, unit]));
const begins = {}; // by state its first row in the correlations
let width = 0;
for (const state of facts.states) { begins[state] = width; width += facts.steps[state].length; }
const follows = (unit, f) => (parts.correlations.row(begins[unit.state] + unit.index)[f] - 100) / 100;
const guess = (t, k) => symbols[parts.guesses.row(t)[k] + 256 * parts["guesses high"].row(t)[k]];
const surprise = (t) => parts.surprise.row(0)[t] / scale.nat;

// -- what is shown ----------------------------------------------------------------------------------------------------------

const first = { state: units[0].state, unit: units[0].index };
const now = { view: "units", ...first, gate: Object.keys(facts.gates)[0], at: facts.start, deep: innerWidth > 700 };
let held = false; // a symbol was clicked, and pointing does not move on
let column = null; // where Up and Down want to be
const together = () => now.state === "together";
const gateRow = () => parts["gate " + now.gate].row(Math.min(now.unit, parts["gate " + now.gate].rows - 1));
const stateRow = (state, unit) => Array.from(parts["state " + state].row(unit), (level) => level / scale.state - 1); // from -1 to 1
const stateValue = (t) => stateRow(now.state, now.unit)[t] * scale.state * facts.steps[now.state][now.unit];
const pull = (t) => (t <= now.at && now.at - t < parts.saliency.columns ? parts.saliency.row(now.at)[now.at - t] : null);
const absolute = (f) => (unit) => Math.abs(follows(unit, f));
const where = facts.probed ? "" : " on the second half of the text";
const suffering = (unit) => (unit.symbol < 0
  ? `Held at its mean, no symbol suffers much (${signed(unit.mean)} nats on average).`
  : `Held at its mean, ${quoted(symbols[unit.symbol])} costs ${unit.cost.toFixed(1)} nats more, others ${signed(unit.others)}.`);

function unitHeading() {
  const unit = byKey.get(`${now.state}[${now.unit}]`), name = `Unit ${unit.index} of ${unit.state}`;
  if (unit.f >= 0) {
    const feature = features[unit.f], r = signed(unit.r);
    const twin = facts.twin ? `; an untrained twin up to ${feature.twin.toFixed(2)}` : "";
    const others = `by chance up to ${unit.chance.toFixed(2)}${twin}; all units together ${signed(feature.together)}`;
    return [unit.heading, name, ` follows \u201C${feature.name}\u201D with r = ${r}${where} (${others}). ${suffering(unit)}`];
  }
  const nearest = features.map((_, f) => f).sort((a, b) => absolute(b)(unit) - absolute(a)(unit))[0];
  const most = nearest === undefined ? " follows nothing"
    : ` is most like \u201C${features[nearest].name}\u201D, r = ${signed(follows(unit, nearest))}, not clearly enough for a label`;
  return [`${name}: it follows nothing single`, name, `${most}. ${suffering(unit)}`];
}
function togetherHeading() {
  const { name, together: r } = features[now.unit], best = Math.max(...units.map(absolute(now.unit))).toFixed(2);
  return [`All units together on \u201C${name}\u201D`, `A linear mixture of ${width} numbers`,
    `, fitted where labels are chosen, follows it with r = ${signed(r)}${where}. The best single unit has |r| = ${best}.`];
}
function gateHeading() {
  const words = facts.gates[now.gate], role = GATES.get(words) || "";
  return [`How far the ${words} of unit ${now.unit} is open`, `Gate ${now.gate}[${now.unit}]`, `, from 0 to 1. ${role}`];
}
function surpriseHeading() {
  const below = now.deep ? " Blue under it: what the network expected there, the deeper the surer; bold was right." : "";
  const right = `${Math.round(100 * facts.accuracy)} % guessed right`;
  return ["What the network did not expect", `${facts.mean.toFixed(2)} nats a symbol`,
    ` on average, ${right}. Red is surprising: \u2212log p of the symbol, given all before it.${below}`];
}
function backHeading() {
  const pulls = Array.from(parts.saliency.row(now.at), (level) => level * level), all = pulls.reduce((a, b) => a + b, 0);
  let half = 0;
  for (let sum = 0; half < pulls.length && sum < all / 2; half++) sum += pulls[half];
  return [`It expects ${quoted(guess(now.at, 0))} next. Which symbols lead to that?`, "Half of the pull",
    ` on this guess comes from the last ${half === 1 ? "symbol" : `${half} symbols`}. Green is |d logit of the guess / d input|, `
    + `over the ${pulls.length} symbols before.`];
}
const GATES = new Map([
  ["forget gate", "Shut (pale), it drops what the cell remembers."], ["input gate", "Open, it lets something new in."],
  ["output gate", "Open, it shows what the cell remembers."], ["update gate", "Open, it keeps the old state."],
  ["reset gate", "Shut, the candidate does not read the old state."],
]);

// Each view: the class of symbol t, its curve, the ends of the legend, what is said of the chosen symbol, and the heading.
const views = {
  units: {
    colour() {
      const row = parts["state " + now.state].row(now.unit);
      return (t) => `p${Math.floor(16.5 + (row[t] - scale.state) * 16 / scale.state)}`;
    },
    curve: () => stateRow(now.state, now.unit),
    ends() {
      const most = (facts.steps[now.state][now.unit] * scale.state).toFixed(2);
      return [`\u2264 \u2212${most}`, `\u2265 +${most}`];
    },
    value: () => `${together() ? features[now.unit].name : `${now.state}[${now.unit}]`} = ${signed(stateValue(now.at))}`,
    heading: () => (together() ? togetherHeading() : unitHeading()),
  },
  gates: {
    colour() { const row = gateRow(); return (t) => `s${Math.round(row[t] * 16 / scale.gate)}`; },
    curve: () => Array.from(gateRow(), (level) => level / scale.gate),
    ends: () => ["0 shut", "1 open"],
    value: () => `${now.gate}[${now.unit}] = ${(gateRow()[now.at] / scale.gate).toFixed(2)}`,
    heading: gateHeading,
  },
  surprise: {
    colour: () => (t) => `s${t ? Math.min(16, Math.round(surprise(t) / 6 * 16)) : 0}`,
    curve: () => text.map((_, t) => Math.min(1, surprise(t) / 6)),
    ends: () => ["expected", "6 nats or more"],
    value: () => (now.at ? `${surprise(now.at).toFixed(1)} nats` : "the first symbol"),
    heading: surpriseHeading,
  },
  back: {
    colour: () => (t) => (pull(t) === null ? "s0 far" : `s${pull(t)}`),
    curve: () => text.map((_, t) => (pull(t) || 0) / scale.pull),
    ends: () => ["no pull", "strongest"],
    value: () => `after ${quoted(text[now.at])}`,
    heading: backHeading,
  },
};

// -- painting ---------------------------------------------------------------------------------------------------------------

function paint() {
  const colour = views[now.view].colour();
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
  return Array.from({ length: count }, (_, k) => row.slice(Math.floor(k * size), Math.ceil((k + 1) * size))
    .reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a), 0));
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
function guessRow(k) {
  const percent = parts.probabilities.row(now.at)[k], symbol = guess(now.at, k), bar = element("b");
  bar.style.width = `${percent}%`;
  const kind = symbol === text[now.at + 1] ? "guess hit" : "guess";
  return element("div", kind, element("code", "", visible(symbol)), element("em", "", bar), element("span", "", `${percent} %`));
}
function card() {
  const { at } = now, lines = text.slice(0, at).join("").split("\n");
  const value = views[now.view].value(), cost = at ? `${surprise(at).toFixed(1)} nats of surprise` : "the first symbol";
  const place = `line ${lines.length}, column ${lines[lines.length - 1].length + 1}`;
  $("glyph").textContent = visible(text[at]);
  $("glyph").className = spans[at].className.replace(/\b(n|now|far)\b/g, "");
  $("facts").replaceChildren(value, element("small", "", `${now.view === "surprise" ? "of surprise" : cost} \u00B7 ${place}`));
  $("guesses").replaceChildren(...Array.from(parts.probabilities.row(at), (_, k) => guessRow(k)));
  const expected = `next it expects ${spoken(guess(at, 0))}, ${parts.probabilities.row(at)[0]} percent`;
  $("text").setAttribute("aria-valuenow", at + 1);
  $("text").setAttribute("aria-valuetext", `${spoken(text[at])}, ${at + 1} of ${T}; ${value}; ${cost}; ${expected}`);
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
      const kind = `g${k} p${16 + Math.round(chances[k] * 0.14)}${symbol === text[t] ? " right" : ""}`;
      if (chances[k] > 1) spans[t].append(element("u", kind, visible(symbol)));
    }
  }
}
function headings() {
  const [title, strong, rest] = views[now.view].heading();
  $("title").textContent = title;
  $("sub").replaceChildren(element("b", "", strong), rest);
}
const radios = (name) => [...document.getElementsByName(name)];
function controls() {
  const { view } = now, ofUnits = view === "units" || view === "gates";
  const name = together() ? features[now.unit].name : String(now.unit);
  const shown = { states: view === "units", gates: view === "gates", pick: ofUnits, telling: ofUnits, where: !ofUnits,
    under: view === "surprise", hint: view === "back" };
  document.body.className = view;
  for (const [id, on] of Object.entries(shown)) $(id).hidden = !on;
  for (const group of ["view", "state", "gate"]) for (const radio of radios(group)) radio.checked = radio.value === now[group];
  $("deep").checked = now.deep;
  $("unit").max = parts[view === "gates" ? "gate " + now.gate : "state " + now.state].rows - 1;
  $("unit").value = now.unit;
  $("unit").setAttribute("aria-valuetext", name);
  $("number").textContent = name;
  $("what").textContent = together() ? "feature" : "unit";
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
let later = 0;
function link() { // when the pointer rests: browsers refuse to change the address often
  const place = [now.view, now.state, now.unit, now.gate || "", now.at].map(encodeURIComponent).join("/");
  clearTimeout(later);
  later = setTimeout(() => {
    try { history.replaceState(null, "", `#${place}`); } catch { /* a frame in a notebook has no address */ }
  }, 200);
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
  list.addEventListener("click", (event) => {
    const made = event.target.closest("[role=option]");
    if (made) choose(made.dataset.value);
  });
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
function listed() { // the units in the chosen order, each with its label and what is written at the right
  const by = $("sort").value, varies = (unit) => `\u00B1${unit.deviation.toFixed(2)}`;
  const label = (unit) => (unit.f < 0 ? "nothing single" : features[unit.f].name);
  const rows = (chosen, right) => chosen.map((unit) => [unit, label(unit), right(unit)]);
  const sorted = (worth) => [...units].sort((a, b) => worth(b) - worth(a));
  if (by === "telling") return rows(units, (unit) => (unit.f < 0 ? varies(unit) : `r ${signed(unit.r)}`));
  if (by === "varied") return rows(sorted((unit) => unit.deviation), varies);
  if (by === "needed") {
    const needed = sorted((unit) => unit.cost).filter((unit) => unit.symbol >= 0);
    return rows(needed, (unit) => `${visible(symbols[unit.symbol])} ${signed(unit.cost, 1)} nats`);
  }
  const f = Number(by), { name, together: r } = features[f];
  const all = { state: "together", index: f, key: `together[${f}]` };
  return [[all, name, `r ${signed(r)}`], ...sorted(absolute(f)).map((unit) => [unit, name, `r ${signed(follows(unit, f))}`])];
}
function list() {
  fill($("list"), listed().slice(0, 24).map(([unit, label, right]) => {
    const frame = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    frame.setAttribute("aria-hidden", "true");
    curve(frame, frame, thinned(stateRow(unit.state, unit.index), Math.min(170, T)), true);
    const name = element("small", "name", unit.state === "together" ? "all" : unit.key);
    return option(unit.key, name, element("span", "label", label), element("small", "", right), frame);
  }));
  mark($("list"), `${now.state}[${now.unit}]`);
}
function places() { // where the network was most wrong, or looks back farthest, at some distance from each other
  if ($("where").hidden) return;
  const wrong = now.view === "surprise", worth = (t) => (wrong ? surprise(t) : facts.lags[t]), chosen = [];
  const inside = [...text.keys()].filter((t) => t > 20 && t < T - 1 && (wrong || text[t].trim()));
  for (const t of inside.sort((a, b) => worth(b) - worth(a))) {
    if (chosen.length < 12 && chosen.every((c) => Math.abs(c - t) > 3)) chosen.push(t);
  }
  $("found").textContent = wrong ? "Where it was most wrong" : "Where it looks back farthest";
  fill($("places"), chosen.map((t) => {
    const before = text.slice(Math.max(0, t - 18), t).map(spaced).join("").slice(-18);
    const after = text.slice(t + 1, t + 9).map(spaced).join("").slice(0, 8);
    const right = wrong ? `${worth(t).toFixed(1)} nats` : `${worth(t).toFixed(0)} back`;
    return option(String(t), element("code", "", before, element("b", "", visible(text[t])), after), element("small", "", right));
  }));
  mark($("places"), String(now.at));
}

// -- hands ------------------------------------------------------------------------------------------------------------------

function choose(change) { // a view, a state, a unit, a gate
  Object.assign(now, change);
  const gate = now.gate?.replace(/\d*$/, /\d*$/.exec(now.state)[0]); // that of the same layer
  if (!change.gate && parts["gate " + gate]) now.gate = gate;
  if (now.view === "gates" && together()) Object.assign(now, first);
  now.unit = clamp(Math.floor(now.unit), 0, parts["state " + now.state].rows - 1);
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
  Home: () => (now.at ? text.lastIndexOf("\n", now.at - 1) + 1 : 0),
  End: () => { const end = text.indexOf("\n", now.at); return end < 0 ? T - 1 : end; },
};
function next(by) {
  const k = units.findIndex((unit) => unit.state === now.state && unit.index === now.unit);
  const { state, index } = units[(k + by + units.length) % units.length];
  choose({ state, unit: index });
}
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
  const view = radios("view")[Number(event.key) - 1];
  if (event.target === $("text") && moves[event.key]) {
    held = true;
    if (event.key !== "ArrowUp" && event.key !== "ArrowDown") column = null;
    go(moves[event.key](), true);
    event.preventDefault();
  } else if (event.key === "n" || event.key === "p") next(event.key === "n" ? 1 : -1);
  else if (view && !view.parentElement.hidden) choose({ view: view.value });
}
const placeOf = (event) => spans.indexOf(event.target.closest("#text > i"));
function hold(t) {
  held = true;
  column = null;
  go(t, true);
}
function listen() {
  for (const name of ["view", "state", "gate"]) {
    for (const radio of radios(name)) radio.addEventListener("change", () => choose({ [name]: radio.value }));
  }
  $("unit").addEventListener("input", () => choose({ unit: Number($("unit").value) }));
  $("deep").addEventListener("change", () => choose({ deep: $("deep").checked }));
  $("sort").addEventListener("change", list);
  listens($("list"), (key) => {
    const [, state, unit] = /^(.*)\[(\d+)\]$/.exec(key);
    choose({ state, unit: Number(unit), view: state === "together" ? "units" : now.view });
  });
  listens($("places"), (t) => hold(Number(t)));
  $("text").addEventListener("pointermove", (event) => {
    const t = placeOf(event);
    if (event.pointerType === "mouse" && !held && t >= 0) go(t);
  });
  $("text").addEventListener("click", (event) => {
    const t = placeOf(event);
    if (t < 0) return;
    held = !(held && t === now.at);
    column = null;
    go(t);
  });
  $("trace").addEventListener("click", (event) => {
    const box = $("trace").getBoundingClientRect();
    hold(Math.floor((event.clientX - box.left) / box.width * T));
  });
  document.addEventListener("keydown", pressed);
  window.addEventListener("hashchange", open);
}
function follow(address) { // #view/state/unit/gate/symbol
  const decoded = (part) => { try { return decodeURIComponent(part); } catch { return ""; } };
  const [view, state, unit, gate, at] = address.slice(1).split("/").map(decoded);
  if (at === undefined) return;
  if (radios("view").some((radio) => radio.value === view && !radio.parentElement.hidden)) now.view = view;
  if (parts["state " + state]?.rows) Object.assign(now, { state, unit: Number(unit) || 0 });
  if (parts["gate " + gate]) now.gate = gate;
  now.at = clamp(Math.floor(Number(at)) || 0, 0, T - 1);
}
function open() {
  follow(location.hash);
  choose({});
  if (location.hash) spans[now.at].scrollIntoView({ block: "nearest" });
}
function about() {
  const chosen = facts.probed ? "on another text, and r is measured on this one"
    : "on the first half of this text, and r is measured on the second";
  const twin = facts.twin ? ` An untrained twin has ${facts.twin.labelled} labels and ${facts.twin.needed} needed units.` : "";
  const needed = "some next symbol suffers when the unit is held at its mean";
  $("about").textContent = `Labels are chosen ${chosen}. ${facts.labelled} of ${units.length} units have one. `
    + `${facts.needed} are needed: ${needed}.${twin}`;
}

unpack().then(() => {
  for (const radio of radios("state")) radio.parentElement.hidden = !parts["state " + radio.value].rows; // there may be no features
  about();
  listen();
  list();
  open();
  window.minigrad = { choose, go, next, state: () => ({ ...now }), facts, parts };
}, () => { $("about").textContent = "This browser cannot unpack the numbers (DecompressionStream); the first unit is shown."; });
