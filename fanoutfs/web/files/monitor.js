// The page: receives the status document, with its texts, whenever it changes; shows a circle and a table.
//
// Each event is shown once, in the next frame: between events nothing is laid out or drawn, and nothing at all
// while the page is not visible.

import { draw } from "./circle.js";

const SILENCE = 10000; // milliseconds; the service sends an event about every second
const AGAIN = 3000; // milliseconds
const SPOKEN = 15000; // milliseconds from one spoken summary to the next

const byId = (id) => document.getElementById(id);

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// ---- The table: a row for each reader; only texts that have changed are set.

const rows = new Map();
let selected = null;

// Class of each text of a row. The first two share a cell.
const TEXTS = ["name", "state", "text more", "", "most", "more", "", ""];

function makeRow(reader) {
  const row = document.createElement("tr");
  const name = document.createElement("th");
  name.scope = "row";
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = reader.id;
  button.setAttribute("aria-pressed", "false");
  button.setAttribute("aria-label", `reader ${reader.id}, show only its circle`);
  button.addEventListener("click", () => select(selected === reader.id ? null : reader.id));
  name.append(button);
  const cell = document.createElement("td");
  cell.className = "text";
  row.append(name, cell);
  const texts = TEXTS.map((kind) => {
    const inName = kind === "name" || kind === "state";
    const text = document.createElement(inName ? "div" : "td");
    text.className = kind;
    (inName ? cell : row).append(text);
    if (kind !== "name") return text;
    // The end of a path that does not fit is shown: the line runs from right to left, its text does not.
    const path = document.createElement("bdi");
    text.append(path);
    return path;
  });
  return { row, button, texts };
}

function showRows(status) {
  const gone = new Set(rows.keys());
  for (const reader of status.readers) {
    gone.delete(reader.id);
    if (!rows.has(reader.id)) {
      rows.set(reader.id, makeRow(reader));
      byId("rows").append(rows.get(reader.id).row);
    }
    const { row, texts } = rows.get(reader.id);
    reader.texts.forEach((text, column) => setText(texts[column], text));
    const title = `${reader.texts[0]}, pid ${reader.pid}`;
    const name = texts[0].parentElement;
    if (name.title !== title) name.title = title;
    if (row.dataset.state !== reader.emphasis) row.dataset.state = reader.emphasis;
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

let spokenAt = -Infinity;

function showTexts({ page, readers }, now) {
  for (const [id, text] of Object.entries(page.texts)) setText(byId(id), text);
  byId("nobody").hidden = readers.length > 0;
  byId("readers").hidden = readers.length === 0;
  if (document.title !== page.title) document.title = page.title;
  // Screen readers read this text aloud when it changes, so it changes seldom.
  if (now - spokenAt < SPOKEN) return;
  spokenAt = now;
  setText(byId("spoken"), page.spoken);
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
    showTexts(latest, now);
    showRows(latest);
    if (width > 0) {
      const scale = canvas.width / width;
      context.setTransform(scale, 0, 0, scale, 0, 0);
      draw(context, width, latest, selected, colours);
    }
  });
}

// ---- The connection

let events = null;
let receivedAt = performance.now();
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
  receivedAt = performance.now();
  events = new EventSource("/events");
  events.addEventListener("message", (message) => {
    receivedAt = performance.now();
    latest = JSON.parse(message.data);
    latest.page.rows.forEach((row, place) => Object.assign(latest.readers[place], row));
    connected(true);
    schedule();
  });
  events.addEventListener("error", () => {
    connected(false);
    // After an answer that is not a stream, a browser does not reconnect by itself.
    if (events.readyState === EventSource.CLOSED) reconnect();
  });
}

function reconnect() {
  clearTimeout(watching);
  watching = setTimeout(async () => {
    try {
      const answer = await fetch("/status", { cache: "no-store" });
      if (answer.status === 401) location.reload(); // to the login form
    } catch {
      // The service does not answer yet: the next attempt shows whether it does.
    }
    connect();
    watch();
  }, AGAIN);
}

function watch() {
  clearTimeout(watching);
  watching = setTimeout(() => {
    if (!document.hidden && performance.now() - receivedAt > SILENCE) {
      connected(false);
      connect();
    }
    watch();
  }, SILENCE / 4);
}

connect();
watch();
