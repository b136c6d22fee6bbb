// The image as a circle, its first byte at the top, on a canvas: what is in memory, the head, the path of each
// reader from its start, and which reader waits for which. Drawn only when something has changed.

const TAU = 2 * Math.PI;
const LEAST_LANE = 4; // pixels; if there are more readers than lanes of this width, the rest are dots
const WIDEST_LANE = 12;
const LABELLED = 16; // up to this number of readers, each has its number beside it
const COLOURS = { holds: "holds", waits: "waits", idle: "done", reads: "had" }; // of a reader's dot

// The readers that get a lane: the selected one, those that others wait for, then in order of arrival.
function chosen(readers, selected, lanes) {
  if (readers.length <= lanes) return readers;
  const rank = ({ id, waiters }) => (id === selected ? Infinity : waiters);
  const ranked = [...readers].sort((one, other) => rank(other) - rank(one));
  const first = new Set(ranked.slice(0, lanes));
  return readers.filter((reader) => first.has(reader));
}

export function draw(context, width, status, selected, colours) {
  const size = status.source.size;
  const middle = width / 2;
  const outer = middle - Math.max(16, width * 0.05);
  const band = Math.max(8, width * 0.035);
  const angle = (offset) => (offset / size) * TAU - TAU / 4;
  context.clearRect(0, 0, width, width);

  const arc = (radius, [begin, end], thickness, colour) => {
    context.beginPath();
    context.strokeStyle = colour;
    context.lineWidth = thickness;
    context.arc(middle, middle, radius, angle(begin), angle(end));
    context.stroke();
  };
  const tick = (offset, from, to, thickness, colour) => {
    const [x, y] = [Math.cos(angle(offset)), Math.sin(angle(offset))];
    context.beginPath();
    context.strokeStyle = colour;
    context.lineWidth = thickness;
    context.moveTo(middle + from * x, middle + from * y);
    context.lineTo(middle + to * x, middle + to * y);
    context.stroke();
  };

  arc(outer - band / 2, [0, size], band, colours.track);
  // A block of a large image would be too thin to see.
  const hair = size / (TAU * outer);
  for (const [begin, end] of status.ring.arcs) {
    arc(outer - band / 2, [begin, Math.max(end, begin + hair)], band, colours.ring);
  }
  tick(0, outer - band - 3, outer + 3, 1, colours.faint);

  const lanesOut = outer - band - 6;
  const lanesIn = middle * 0.3;
  const begun = status.readers.filter((reader) => reader.start !== null);
  const lanes = chosen(begun, selected, Math.floor((lanesOut - lanesIn) / LEAST_LANE));
  const step = Math.min(WIDEST_LANE, (lanesOut - lanesIn) / Math.max(1, lanes.length));
  const thick = Math.max(1.5, Math.min(6, step * 0.55));
  const dots = new Map();
  const dotAt = (reader, radius) => {
    const at = angle(reader.position);
    dots.set(reader.id, [middle + radius * Math.cos(at), middle + radius * Math.sin(at), radius]);
  };
  lanes.forEach((reader, place) => {
    const radius = lanesOut - step * (place + 0.5);
    context.globalAlpha = selected === null || selected === reader.id ? 1 : 0.2;
    for (const part of reader.to_go) arc(radius, part, Math.max(1, thick / 2.5), colours.togo);
    for (const part of reader.received) arc(radius, part, thick, reader.left ? colours.had : colours.done);
    tick(reader.start, radius - step * 0.45, radius + step * 0.45, 2, colours.ink);
    dotAt(reader, radius);
  });
  context.globalAlpha = 1;
  for (const reader of begun) if (!dots.has(reader.id)) dotAt(reader, lanesIn);

  tick(status.head, lanesIn, outer + 2, 1, colours.head);
  drawWaits(context, middle, begun, dots, selected, colours);
  drawDots(context, begun, dots, selected, Math.max(2, thick * 0.8), colours);
  drawHead(context, middle, outer, angle(status.head), Math.max(7, width * 0.018), colours);

  context.fillStyle = colours.ink;
  context.textAlign = "center";
  context.textBaseline = "middle";
  context.font = `600 ${Math.max(13, width * 0.035)}px system-ui, sans-serif`;
  context.fillText(`head ${((status.head / size) * 100).toFixed(1)} %`, middle, middle);
}

function drawWaits(context, middle, readers, dots, selected, colours) {
  context.strokeStyle = colours.waits;
  context.lineWidth = 1.5;
  context.setLineDash([5, 4]);
  for (const reader of readers) {
    const [from, to] = [dots.get(reader.id), dots.get(reader.waiting)];
    if (!from || !to) continue;
    context.globalAlpha = selected === null || selected === reader.id || selected === reader.waiting ? 0.9 : 0.1;
    context.beginPath();
    context.moveTo(from[0], from[1]);
    // Bent towards the middle, so that the line between neighbours on one lane is visible.
    const bend = 0.35;
    const x = (from[0] + to[0]) / 2;
    const y = (from[1] + to[1]) / 2;
    context.quadraticCurveTo(x + (middle - x) * bend, y + (middle - y) * bend, to[0], to[1]);
    context.stroke();
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

function drawDots(context, readers, dots, selected, radius, colours) {
  context.font = "12px system-ui, sans-serif";
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const reader of readers) {
    const [x, y] = dots.get(reader.id);
    context.globalAlpha = selected === null || selected === reader.id ? 1 : 0.25;
    context.fillStyle = colours[COLOURS[reader.emphasis]];
    context.beginPath();
    context.arc(x, y, selected === reader.id ? radius * 1.6 : radius, 0, TAU);
    context.fill();
    if (readers.length <= LABELLED || selected === reader.id) {
      context.strokeStyle = colours.paper;
      context.lineWidth = 3;
      context.strokeText(String(reader.id), x + radius + 3, y);
      context.fillStyle = colours.ink;
      context.fillText(String(reader.id), x + radius + 3, y);
    }
  }
  context.globalAlpha = 1;
}

function drawHead(context, middle, outer, angle, length, colours) {
  context.save();
  context.translate(middle, middle);
  context.rotate(angle);
  context.fillStyle = colours.head;
  context.beginPath();
  context.moveTo(outer + 1, 0);
  context.lineTo(outer + 1 + length, -length * 0.6);
  context.lineTo(outer + 1 + length, length * 0.6);
  context.fill();
  context.restore();
}
