// The control page: shows what the channel says, and tells it what the operator wants.

import { Preview } from "./drawing.js";

const at = id => document.getElementById(id);
const STALE_MS = 1500, RETRY_MS = 1000, DRAG_MS = 120, KEPT_EVENTS = 200;
const COLOURS = ["--part-1", "--part-2", "--part-3", "--part-4", "--part-5"];
let status = null, heardAt = Date.now(), lastEvent = 0, asked = {}, strengthTimer = null, faceKeys = "";

// ---- telling the channel

async function tell(method, path, body, what) {
  try {
    const answer = await fetch(path, {
      method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body ?? {}),
    });
    if (answer.status === 401) { location.reload(); return; }
    const said = await answer.json();
    if (answer.ok) say(`${what} holds from frame ${said.frame}`);
    else say(said.error, true);
    return answer.ok;
  } catch {
    say("the channel cannot be reached", true);
  }
}

const set = (values, what) => tell("PATCH", "api/settings", values, what);

function say(text, bad = false) {
  at("said").textContent = text;
  at("said").classList.toggle("bad", bad);
}

async function toggleBypass() {
  if (!status) return;
  const wanted = !status.settings.bypass;
  at("bypass").classList.add("asked");
  await set({ bypass: wanted }, wanted ? "Bypass" : "Restoring");
  at("bypass").classList.remove("asked");
}

function setStrength(value) {
  const strength = Math.round(Math.min(1, Math.max(0, value)) * 100) / 100;
  asked.strength = Date.now();
  at("strength").value = strength;
  showStrength(strength);
  clearTimeout(strengthTimer);
  strengthTimer = setTimeout(() => set({ strength }, `Strength ${Math.round(100 * strength)} %`), DRAG_MS);
}

const choose = (x, y) => tell("POST", "api/choose", { x, y }, "This face");
const undoChoice = () => tell("POST", "api/choose", {}, "No choice");
const faceInOrder = () => [...status.faces].sort((a, b) => a.x - b.x);

function chooseNumber(number) {
  const face = faceInOrder()[number - 1];
  if (face) choose(face.x + face.width / 2, face.y + face.height / 2);
}

async function confirmed(id) {
  const dialog = at(id);
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise(done => dialog.addEventListener("close", done, { once: true }));
  return dialog.returnValue === "go";
}

// ---- showing what it says

function show(next) {
  status = next;
  document.body.dataset.state = status.state;
  at("state").textContent = status.state;
  at("why").textContent = status.bypass_reason && status.state === "bypassing" ? status.bypass_reason : "";
  at("frame").textContent = status.frame.toLocaleString("en");
  at("delay-short").textContent = `${Math.round(status.delay.declared_ms)} ms`;
  at("up").textContent = duration(status.time_s - status.started_s);
  at("source").textContent = `${status.source} → ${status.sink}`;
  document.title = `${status.state} · keeprt live`;
  showControls();
  showFaces();
  showDelay();
  showLadder();
  showCounts();
  showLine();
}

function showControls() {
  const { bypass, strength } = status.settings;
  at("bypass").setAttribute("aria-pressed", bypass);
  at("bypass-says").textContent = bypass ? "the original is on air" :
    status.state === "bypassing" ? `the original is on air: ${status.bypass_reason}` : "restoring";
  if (Date.now() - (asked.strength ?? 0) > 1000) {
    at("strength").value = strength;
    showStrength(strength);
  }
  if (document.activeElement !== at("detect-every")) at("detect-every").value = status.settings.detect_every;
}

function showStrength(value) {
  at("strength-value").textContent = `${Math.round(100 * value)} %`;
}

function showFaces() {
  const found = faceInOrder();
  preview.faces = found;
  preview.draw();
  const key = JSON.stringify([status.settings.faces, found.map(face => face.track)]);
  if (key === faceKeys) return;
  faceKeys = key;
  const modes = [["all", "All faces"], ["largest", "Largest"], ["center", "Centre"]];
  const chips = modes.map(([value, text]) =>
    chip(text, status.settings.faces === value, () => set({ faces: value }, text)));
  found.slice(0, 9).forEach((_, i) =>
    chips.push(chip(`Face ${i + 1}`, false, () => chooseNumber(i + 1))));
  chips.push(chip("Undo choice", false, undoChoice));
  at("faces").replaceChildren(...chips);
}

function chip(text, isChosen, act) {
  const button = document.createElement("button");
  button.type = "button";
  button.setAttribute("role", "radio");
  button.setAttribute("aria-checked", isChosen);
  button.textContent = text;
  button.addEventListener("click", act);
  return button;
}

function showDelay() {
  const { declared_ms: declared, parts_ms: parts, measured_ms: measured, restores, repeats } = status.delay;
  const names = Object.keys(parts), sum = names.reduce((all, name) => all + parts[name], 0);
  const whole = Math.max(declared, sum, 1);
  const bars = names.map((name, i) => {
    const bar = document.createElement("span");
    bar.style.width = `${100 * parts[name] / whole}%`;
    bar.style.background = `var(${COLOURS[i % COLOURS.length]})`;
    return bar;
  });
  const mark = document.createElement("i");
  mark.style.left = `calc(${100 * declared / whole}% - 2px)`;
  at("delay-bar").replaceChildren(...bars, mark);
  at("delay-bar").setAttribute("aria-label", `${sum.toFixed(0)} ms of ${declared.toFixed(0)} ms declared`);
  const rows = names.map((name, i) => [name, ms(parts[name]), "", COLOURS[i % COLOURS.length]]);
  rows.push(["declared", ms(declared)]);
  if (measured.count) rows.push(["median, p99", `${ms(measured.median)}, ${ms(measured.p99)}`]);
  pairs("delay-parts", rows);
  const verdict = at("delay-verdict");
  verdict.classList.toggle("bad", repeats || !restores);
  verdict.textContent = repeats ? "Too short even for originals: frames are repeated." :
    restores ? "Long enough for 99 of 100 restorations." : "Too short to restore every frame.";
}

function showLadder() {
  const rungs = [["picture", "the source's picture"], ...status.on_loss.split(",").filter(Boolean).map(rung => {
    const [name, value] = rung.trim().split("=");
    const says = name === "slate" ? value.split("/").pop() : value ? `for ${value}` : "from then on";
    return [name, says];
  })];
  const onAir = ["live", "bypassing"].includes(status.state), current = status.cover || (onAir ? "picture" : "");
  at("ladder").replaceChildren(...rungs.map(([name, says]) => {
    const item = document.createElement("li"), what = document.createElement("span"), how = document.createElement("span");
    what.textContent = name;
    how.textContent = says;
    item.append(what, how);
    item.classList.toggle("now", name === current);
    item.classList.toggle("good", name === "picture");
    return item;
  }));
}

function showCounts() {
  const frames = status.frames, shown = ["out", "restored", "original", "repeat", "black", "slate", "late", "dropped", "duplicate"];
  const rows = shown.filter(name => name in frames).map(name => [name, frames[name].toLocaleString("en")]);
  for (const [reason, count] of Object.entries(status.bypass)) rows.push([`original: ${reason}`, count.toLocaleString("en")]);
  if (status.jitter_ms.count) rows.push(["tick jitter p99", ms(status.jitter_ms.p99)]);
  pairs("counts", rows);
}

function showLine() {
  const { picture, worker } = status, errors = sum(status.ts_errors), size = `${picture.width}×${picture.height}${picture.interlaced ? "i" : ""}`;
  const rows = [["picture", picture.width ? `${size}, ${picture.rate}/s, ${picture.pixel_format}` : "–"],
    ["codec in, out", `${picture.codec_in || "–"}, ${picture.codec_out || "–"}`],
    ["source's clock", `${status.clock_ppm.toFixed(1)} ppm`],
    ["stream errors", errors + status.decode_errors, errors + status.decode_errors ? "warn" : ""],
    ["reconnects", sum(status.reconnects)],
    ["restorer", `${worker.state}${worker.restarts ? `, restarted ${worker.restarts}` : ""}`, worker.state === "backing off" ? "bad" : ""]];
  if (status.sound_ms !== null) rows.push(["sound later by", ms(status.sound_ms)]);
  for (const [name, value] of Object.entries(status.transport)) rows.push([name, value]);
  rows.push(["memory", `${Math.round((status.memory_bytes + worker.memory_bytes) / 1e6)} MB`]);
  pairs("line", rows);
}

function pairs(id, rows) {
  at(id).replaceChildren(...rows.map(([name, value, kind, colour]) => {
    const row = document.createElement("div"), term = document.createElement("dt"), says = document.createElement("dd");
    if (kind) row.className = kind;
    if (colour) {
      term.dataset.dot = "■ ";
      term.style.setProperty("--dot", `var(${colour})`);
    }
    term.append(name);
    says.textContent = value;
    row.append(term, says);
    return row;
  }));
}

function addEvent(event) {
  lastEvent = Math.max(lastEvent, event.number);
  const item = document.createElement("li"), time = document.createElement("time"), frame = document.createElement("span"), text = document.createElement("span"), name = document.createElement("b");
  item.className = event.level;
  time.textContent = new Date(event.time_s * 1000).toLocaleTimeString("en-GB");
  frame.className = "at";
  frame.textContent = `frame ${event.frame}`;
  name.textContent = event.name;
  text.append(name, ` ${event.text}`);
  item.append(time, frame, text);
  at("events").prepend(item);
  while (at("events").childElementCount > KEPT_EVENTS) at("events").lastElementChild.remove();
}

const ms = value => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
const sum = counts => Object.values(counts).reduce((all, one) => all + one, 0);

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds)), two = value => String(value).padStart(2, "0");
  const days = Math.floor(whole / 86400), clock = `${two(Math.floor(whole / 3600) % 24)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return days ? `${days} d ${clock}` : clock;
}

// ---- hearing it

function connect() {
  const url = new URL("api/events", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.search = `?status=1&after=${lastEvent}`;
  const socket = new WebSocket(url);
  socket.onmessage = message => {
    const { kind, ...said } = JSON.parse(message.data);
    heardAt = Date.now();
    if (kind === "status") show(said);
    else if (kind === "event") addEvent(said);
  };
  socket.onclose = () => setTimeout(connect, RETRY_MS);
}

function watch() {
  const stale = Date.now() - heardAt > STALE_MS;
  document.body.classList.toggle("stale", stale);
  at("alarm").hidden = !stale;
  if (stale) {
    at("alarm").textContent = "No contact with the channel: what is below is old. The programme may well be on air.";
    document.body.dataset.state = "none";
    at("state").textContent = "no contact";
  } else preview.open();
}

const KEYS = {
  b: toggleBypass,
  a: () => set({ faces: "all" }, "All faces"),
  l: () => set({ faces: "largest" }, "Largest face"),
  c: () => set({ faces: "center" }, "Centre face"),
  u: undoChoice,
  r: () => at("reset").click(),
  "?": () => at("help-dialog").showModal(),
  ArrowUp: () => setStrength(Number(at("strength").value) + 0.05),
  ArrowDown: () => setStrength(Number(at("strength").value) - 0.05),
};

document.addEventListener("keydown", event => {
  const typing = event.target.closest("input, textarea, dialog");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat && event.key === "b" || !status) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (/^[1-9]$/.test(key)) chooseNumber(Number(key));
  else if (KEYS[key]) KEYS[key]();
  else return;
  event.preventDefault();
});

const preview = new Preview(choose);
at("bypass").addEventListener("click", toggleBypass);
at("strength").addEventListener("input", event => setStrength(Number(event.target.value)));
at("detect-every").addEventListener("change", event => set({ detect_every: Number(event.target.value) }, "This"));
at("reset").addEventListener("click", () => tell("POST", "api/reset", {}, "A new beginning"));
at("help").addEventListener("click", () => at("help-dialog").showModal());
at("reload").addEventListener("click", async () => {
  if (!await confirmed("reload-dialog")) return;
  const bundle = at("bundle").value.trim();
  tell("POST", "api/reload", bundle ? { bundle } : {}, "The reload");
});
at("stop").addEventListener("click", async () => {
  if (await confirmed("stop-dialog")) tell("POST", "api/stop", {}, "The end");
});
connect();
setInterval(watch, 500);
