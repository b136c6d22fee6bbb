// The page: hears the status document as it changes, and shows it as a circle and a table.
//
// An event is kept, and shown in the next frame, once: between events nothing is laid out or drawn, and
// nothing at all while the page is not looked at.

import { draw, hasAll } from "./circle.js";

const MEMORY = 5; // seconds; what was that long ago counts a third in a rate
const SWEEP = 1; // seconds; a sweep that comes sooner is not worth telling
const SILENCE = 10000; // milliseconds; the service says something every second, or so
const AGAIN = 3000; // milliseconds
const SPOKEN = 15000; // milliseconds from one spoken summary to the next

const byId = (id) => document.getElementById(id);

// ---- Figures

function formatSize(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${Number(bytes.toFixed(bytes < 10 ? 2 : bytes < 100 ? 1 : 0))} ${units[unit]}`;
}

const formatRate = (rate) => (rate === null ? "–" : `${formatSize(Math.round(rate))}/s`);

function formatTime(seconds) {
  if (seconds === null) return "–";
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  if (hours >= 48) return `${Math.floor(hours / 24)} days`;
  return `${hours}:${String(minutes).padStart(2, "0")}:${String(whole % 60).padStart(2, "0")}`;
}

// How fast a counter grows, older times counting less and less.
class Rate {
  bytes = 0;
  seconds = 0;
  last = null;

  sample(now, total) {
    if (this.last !== null) {
      const [seconds, grown] = [now - this.last[0], total - this.last[1]];
      if (seconds <= 0) return;
      if (grown < 0) {
        this.bytes = this.seconds = 0;
      } else {
        const fade = Math.exp(-seconds / MEMORY);
        this.bytes = this.bytes * fade + grown;
        this.seconds = this.seconds * fade + seconds;
      }
    }
    this.last = [now, total];
  }

  get value() {
    return this.seconds > 0 ? this.bytes / this.seconds : null;
  }
}

const rates = { producer: null, source: new Rate(), readers: new Map() };

function sample(status, now) {
  if (status.pid !== rates.producer) {
    Object.assign(rates, { producer: status.pid, source: new Rate(), readers: new Map() });
  }
  rates.source.sample(now, status.source.bytes_read);
  const before = rates.readers;
  rates.readers = new Map();
  for (const reader of status.readers) {
    const rate = before.get(reader.id) || new Rate();
    rate.sample(now, reader.delivered);
    rates.readers.set(reader.id, rate);
  }
}

// ---- Words

function timeLeft(reader) {
  if (hasAll(reader) || !reader.live || !reader.sequential) return null;
  const sweep = reader.sweep_in;
  if (sweep !== null && sweep >= SWEEP) {
    return rates.source.value ? sweep + reader.left / rates.source.value : null;
  }
  const rate = rates.readers.get(reader.id)?.value;
  return rate ? reader.left / rate : null;
}

function stateOf(reader, held) {
  let words;
  if (typeof reader.waiting === "number") {
    words = `waits for reader ${reader.waiting}`;
  } else if (reader.waiting === "source") {
    words = "waits for the source";
    if (reader.sweep_in !== null && reader.sweep_in >= SWEEP) {
      words += `, the sweep comes in about ${formatTime(reader.sweep_in)}`;
    }
  } else if (reader.start === null) words = "has not read yet";
  else if (hasAll(reader)) words = "has all of it";
  else if (!reader.live) words = "dormant, nobody waits for it";
  else words = reader.sequential ? "reads" : "reads here and there";
  return held ? `${words}; ${held} wait${held === 1 ? "s" : ""} for it` : words;
}

function kindOfState(reader, held) {
  if (held) return "holds";
  if (typeof reader.waiting === "number") return "waits";
  const idle = reader.start === null || hasAll(reader) || !reader.live;
  return idle && reader.waiting === null ? "idle" : "reads";
}

function heldUp(readers) {
  const holds = new Map();
  for (const { waiting } of readers) {
    if (typeof waiting === "number") holds.set(waiting, (holds.get(waiting) || 0) + 1);
  }
  return holds;
}

const percent = (part, whole) => `${((part / whole) * 100).toFixed(1)} %`;

// ---- The table: a row for each reader, of which only what has changed is touched.

const rows = new Map();
let selected = null;

// Class and words of each text of a row. The first two share a cell.
const TEXTS = [
  ["name", (reader) => reader.target || reader.command],
  ["state", (reader, _status, held) => stateOf(reader, held)],
  ["text more", (reader) => reader.kind],
  ["", (reader, status) => percent(reader.position, status.source.size)],
  ["most", (reader) => formatSize(reader.delivered)],
  ["more", (reader, status) => behind(reader, status)],
  ["", (reader) => formatRate(rates.readers.get(reader.id)?.value ?? null)],
  ["", (reader) => formatTime(timeLeft(reader))],
];

function behind(reader, status) {
  if (reader.start === null || hasAll(reader)) return "–";
  const size = status.source.size;
  return formatSize((((status.head - reader.position) % size) + size) % size);
}

function makeRow(reader) {
  const row = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = reader.id;
  button.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-label", `reader ${reader.id}, show its way`);
  button.addEventListener("click", () => select(selected === reader.id ? null : reader.id));
  name.append(button);
  const who = document.createElement("td");
  who.className = "text";
  row.append(name, who);
  const texts = TEXTS.map(([kind]) => {
    const inName = kind === "name" || kind === "state";
    const text = document.createElement(inName ? "div" : "td");
    text.className = kind;
    (inName ? who : row).append(text);
    if (kind !== "name") return text;
    // Of a path that does not fit the end is shown: the line runs from right to left, its text does not.
    const path = document.createElement("bdi");
    text.append(path);
    return path;
  });
  return { row, button, texts, said: TEXTS.map(() => null), state: null };
}

function showRows(status, holds) {
  const gone = new Set(rows.keys());
  const body = byId("rows");
  for (const reader of status.readers) {
    gone.delete(reader.id);
    let known = rows.get(reader.id);
    if (!known) {
      known = makeRow(reader);
      rows.set(reader.id, known);
      body.append(known.row);
    }
    const held = holds.get(reader.id) || 0;
    TEXTS.forEach(([kind, words], column) => {
      const text = words(reader, status, held);
      if (known.said[column] !== text) {
        known.said[column] = text;
        known.texts[column].textContent = text;
        if (kind === "name") known.texts[column].parentElement.title = `${text}, pid ${reader.pid}`;
      }
    });
    const state = kindOfState(reader, held);
    if (known.state !== state) known.row.dataset.state = known.state = state;
  }
  for (const id of gone) {
    rows.get(id).row.remove();
    rows.delete(id);
    if (selected === id) selected = null;
  }
}

function select(id) {
  selected = id;
  for (const [number, { row, button }] of rows) {
    row.classList.toggle("selected", number === id);
    button.setAttribute("aria-pressed", String(number === id));
  }
  schedule();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") select(null);
});

// ---- The rest of the page

const said = new Map();

function say(id, text) {
  if (said.get(id) === text) return;
  said.set(id, text);
  byId(id).textContent = text;
}

function showFigures(status) {
  const { source, ring, readers } = status;
  say("source", source.path);
  say("where", status.mountpoint ? `on ${status.mountpoint}` : "not mounted");
  say("read", `${formatSize(source.bytes_read)}, ${(source.bytes_read / source.size).toFixed(2)} times its size`);
  say("source-rate", formatRate(rates.source.value));
  say("head", `${percent(status.head, source.size)} of ${formatSize(source.size)}`);
  say("ring", `${ring.resident} of ${ring.slots} blocks of ${formatSize(ring.block_size)}`);
  let together = 0;
  for (const rate of rates.readers.values()) together += rate.value || 0;
  say("together", readers.length ? formatRate(together) : "–");
  say("errors", String(source.errors));
  say("count", String(readers.length));
  byId("nobody").hidden = readers.length > 0;
  byId("readers").hidden = readers.length === 0;
  document.title = readers.length ? `${percent(status.head, source.size)} ${source.path}` : source.path;
}

let spokenAt = -Infinity;

// What a screen reader says by itself: seldom, and only when it is another thing.
function speak(status, holds, now) {
  if (now - spokenAt < SPOKEN) return;
  spokenAt = now;
  const waiting = status.readers.filter((reader) => typeof reader.waiting === "number").length;
  const done = status.readers.filter(hasAll).length;
  const parts = [`${status.readers.length} readers`];
  if (waiting) parts.push(`${waiting} wait for ${[...holds.keys()].slice(0, 3).map((id) => `reader ${id}`).join(", ")}`);
  if (done) parts.push(`${done} have all of it`);
  if (status.readers.length) parts.push(`head at ${Math.round((status.head / status.source.size) * 100)} percent`);
  say("spoken", parts.join("; "));
}

const canvas = byId("circle");
const context = canvas.getContext("2d");
const dark = matchMedia("(prefers-color-scheme: dark)");
let colours = readColours();
let width = 0;

function readColours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["paper", "ink", "faint", "track", "ring", "head", "had", "togo", "waits", "holds", "done"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}

dark.addEventListener("change", () => {
  colours = readColours();
  schedule();
});

new ResizeObserver(([entry]) => {
  width = entry.contentRect.width;
  canvas.width = canvas.height = Math.round(width * devicePixelRatio);
  schedule();
}).observe(canvas);

let latest = null;
let scheduled = false;

function schedule() {
  if (scheduled || latest === null) return;
  scheduled = true;
  requestAnimationFrame((now) => {
    scheduled = false;
    const holds = heldUp(latest.readers);
    showFigures(latest);
    showRows(latest, holds);
    speak(latest, holds, now);
    if (width > 0) {
      const scale = canvas.width / width;
      context.setTransform(scale, 0, 0, scale, 0, 0);
      draw(context, width, latest, holds, selected, colours);
    }
  });
}

// ---- The connection

let events = null;
let heardAt = performance.now();
let watching = 0;

function connected(live) {
  const line = byId("connection");
  const state = live ? "live" : "lost";
  if (line.dataset.state === state) return;
  line.dataset.state = state;
  line.textContent = live ? "live" : `no connection since ${new Date().toLocaleTimeString()}, trying again`;
  document.body.classList.toggle("lost", !live);
}

function connect() {
  events?.close();
  heardAt = performance.now();
  events = new EventSource("/events");
  events.addEventListener("message", (message) => {
    const now = performance.now();
    heardAt = now;
    latest = JSON.parse(message.data);
    sample(latest, now / 1000);
    connected(true);
    schedule();
  });
  events.addEventListener("error", () => {
    connected(false);
    // After an answer that is no stream a browser does not try again by itself.
    if (events.readyState === EventSource.CLOSED) lookAgain();
  });
}

function lookAgain() {
  clearTimeout(watching);
  watching = setTimeout(async () => {
    try {
      const answer = await fetch("/status", { cache: "no-store" });
      if (answer.status === 401) location.reload(); // to the login form
    } catch {
      // Not there yet: the next try tells.
    }
    connect();
    watch();
  }, AGAIN);
}

function watch() {
  clearTimeout(watching);
  watching = setTimeout(() => {
    if (!document.hidden && performance.now() - heardAt > SILENCE) {
      connected(false);
      connect();
    }
    watch();
  }, SILENCE / 4);
}

connect();
watch();
