"use strict";
{
// The snapshots of a training: a slider goes through them. The page is a still picture of the last one without this script.
// `window.minigrad` is for other scripts: it can do what the controls can, and returns what is shown.

const $ = (id) => document.getElementById(id);
const clamp = (x, low, high) => Math.max(low, Math.min(high, x));
const facts = JSON.parse($("data").textContent);
const { updates, losses, says, lines } = facts;
const S = updates.length, T = lines[0].norms[0].length;
const rows = [...$("rows").children], heats = [...document.querySelectorAll(".heat")];
const radios = () => [...document.getElementsByName("line")];
const number = (x) => { // as in the table: three digits, with a power of ten from 1000 on and below 0.0001
  if (x === null) return "not known";
  const [digits, power] = x.toExponential(2).split("e");
  if (!x || (power >= -4 && power < 3)) return Number(x.toPrecision(3)).toString();
  return `${Number(digits)}e${power[0]}${power.slice(1).padStart(2, "0")}`;
};
const many = (count) => `${count.toLocaleString("en")} update${count === 1 ? "" : "s"}`;

const now = { at: S - 1, line: 0 };
let timer = 0; // while it plays

// -- what is shown ----------------------------------------------------------------------------------------------------------

const level = (x) => { // from 0 to 1 on the logarithmic scale of the line; 0 is below it
  const { low, high } = lines[now.line];
  return x > 0 ? clamp(0.06 + 0.94 * Math.log(x / low) / Math.log(high / low), 0, 1) : 0;
};
function bars() {
  const norms = lines[now.line].norms, top = (x) => (1.04 - level(x)).toFixed(4);
  $("bars").setAttribute("viewBox", `0 0 ${T} 1.04`);
  $("present").setAttribute("d", norms[now.at].map((x, t) => (level(x) ? `M${t} 1.04V${top(x)}h1V1.04z` : "")).join(""));
  $("former").setAttribute("d", norms[0].map((x, t) => (level(x) ? `M${t} ${top(x)}h1` : "")).join(""));
}
function changed(text, before) { // the text in parts, those that are new marked, where only a few are
  const here = [...text], there = [...(before ?? text)];
  const other = here.map((c, k) => c !== there[k]);
  if (here.length !== there.length || 2 * other.filter(Boolean).length > here.length) return [text];
  return here.map((c, k) => {
    if (!other[k]) return c;
    const made = document.createElement("b");
    made.append(c);
    return made;
  });
}
function gradient() { // a sentence about the gradient
  const { name, norms } = lines[now.line], row = norms[now.at];
  const most = row.reduce((k, x, t) => ((x ?? -1) > (row[k] ?? -1) ? t : k), 0);
  if (!row[most]) return ` No gradient reaches ${name}.`;
  const other = most ? 0 : T - 1;
  return ` |dL/d${name}[t]| is largest at t = ${most}, ${number(row[most])}; at t = ${other} it is ${number(row[other])}.`;
}
function words() {
  const text = says[now.at], first = updates[0] ? `after ${many(updates[0])}` : "before training";
  const since = now.at ? ` (${number(losses[0])} ${first})` : "";
  $("title").textContent = `After ${many(updates[now.at])}${text === null ? "" : " it says"}`;
  $("sub").textContent = `Loss ${number(losses[now.at])}${since}.${gradient()}`;
  if (text !== null) {
    $("says").replaceChildren(...changed(text, now.at ? says[now.at - 1] : null));
  }
  $("update").textContent = `update ${updates[now.at].toLocaleString("en")}`;
  $("at").value = now.at;
  const said = text === null ? "" : `, it says ${text.slice(0, 200)}`;
  $("at").setAttribute("aria-valuetext", `after ${many(updates[now.at])}, loss ${number(losses[now.at])}${said}`);
}
function places() { // the row of the snapshot, and its place on the curve
  $("row").style.top = `${100 * now.at / S}%`;
  $("row").style.height = `${100 / S}%`;
  $("mark").style.left = `${100 * updates[now.at] / Math.max(1, facts.count)}%`;
  rows.forEach((row, k) => row.classList.toggle("now", k === now.at));
  const frame = $("list"), row = rows[now.at], head = 32;
  if (row.offsetTop - head < frame.scrollTop) frame.scrollTop = row.offsetTop - head;
  else if (row.offsetTop + row.offsetHeight > frame.scrollTop + frame.clientHeight) {
    frame.scrollTop = row.offsetTop + row.offsetHeight - frame.clientHeight;
  }
}
function chosen() { // the state
  heats.forEach((heat, k) => { heat.hidden = k !== now.line; });
  for (const radio of radios()) radio.checked = Number(radio.value) === now.line;
  const { name, low, high } = lines[now.line];
  $("state").textContent = name;
  $("low").textContent = number(low);
  $("high").textContent = number(high);
}
function show() {
  chosen();
  bars();
  words();
  places();
  link();
}

// -- hands ------------------------------------------------------------------------------------------------------------------

function go(k) {
  now.at = clamp(Math.round(k), 0, S - 1);
  show();
}
function choose(k) {
  now.line = clamp(Math.floor(k), 0, lines.length - 1);
  show();
}
function play() { // from the beginning, if it is at its end
  if (timer) return pause();
  if (now.at === S - 1) go(0);
  timer = setInterval(() => { go(now.at + 1); if (now.at === S - 1) pause(); }, clamp(6000 / S, 60, 300));
  label("\u275A\u275A", "Pause");
}
function pause() {
  clearInterval(timer);
  timer = 0;
  label("\u25B6", "Play the training");
}
function label(sign, words) {
  $("play").textContent = sign;
  $("play").setAttribute("aria-label", words);
}
const nearest = (update) => updates.reduce((best, x, k) => (Math.abs(x - update) < Math.abs(updates[best] - update) ? k : best), 0);
const share = (event, frame, side) => {
  const box = frame.getBoundingClientRect();
  return side === "x" ? (event.clientX - box.left) / box.width : (event.clientY - box.top) / box.height;
};
function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "p") return play();
  if (event.target.tagName === "INPUT" || event.target === $("list")) return; // they have their own
  const to = { ArrowLeft: now.at - 1, ArrowRight: now.at + 1, Home: 0, End: S - 1 }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  go(to);
}
let later = 0;
function link() { // when the slider rests: browsers refuse to change the address often
  clearTimeout(later);
  later = setTimeout(() => {
    const place = `#update=${updates[now.at]},${encodeURIComponent(lines[now.line].name)}`;
    try { history.replaceState(null, "", place); } catch { /* a frame in a notebook has no address */ }
  }, 200);
}
function follow() { // #update=12,h
  const found = /^#update=(\d+)(?:,(.*))?$/.exec(location.hash);
  if (found) {
    let name = "";
    try { name = decodeURIComponent(found[2] || ""); } catch { /* not from this page */ }
    now.at = nearest(Number(found[1]));
    now.line = Math.max(0, lines.findIndex((line) => line.name === name));
  }
  show();
}

document.body.classList.remove("still");
const longest = Math.max(...says.map((text) => (text === null ? 0 : text.length))); // the page has the same height all along
$("says").classList.toggle("long", longest > 120);
$("says").classList.toggle("several", longest > 60 || says.some((text) => text !== null && text.includes("\n")));
$("at").addEventListener("input", () => go(Number($("at").value)));
$("play").addEventListener("click", play);
$("all").addEventListener("click", (event) => go(Math.floor(share(event, $("all"), "y") * S)));
$("curve").addEventListener("click", (event) => go(nearest(share(event, $("curve"), "x") * facts.count)));
for (const radio of radios()) radio.addEventListener("change", () => choose(Number(radio.value)));
rows.forEach((row, k) => row.addEventListener("click", () => go(k)));
document.addEventListener("keydown", pressed);
window.addEventListener("hashchange", follow);
follow();
window.minigrad = { go, choose, play, state: () => ({ ...now, playing: Boolean(timer) }), facts };
}
