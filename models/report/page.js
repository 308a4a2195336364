/* The view that all lanes share, and the page put together. */
/* ---- the view: which seconds all lanes show ---- */
const view = { from: 0, to: Math.min(song.seconds, Math.max(30, innerWidth * 0.16)) };
const lanes = [];
const x = (seconds, width) => ((seconds - view.from) / (view.to - view.from)) * width;

function lane(parent, label, height, describe, draw) {
  const canvas = make("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", describe);
  const head = make("i", { className: "head" });
  const stage = make("div", { className: "stage" }, canvas, head);
  stage.style.height = height + "px";
  const row = make("div", { className: "lane" }, label, stage);
  parent.append(row);
  const entry = { canvas, head, draw, row };
  lanes.push(entry);
  const seekTo = (event) => {
    const box = stage.getBoundingClientRect();
    seek(view.from + ((event.clientX - box.left) / box.width) * (view.to - view.from));
  };
  stage.addEventListener("pointerdown", (event) => { if (event.button === 0) seekTo(event); });
  stage.addEventListener("pointermove", (event) => { if (event.buttons & 1) seekTo(event); });
  stage.addEventListener("wheel", (event) => {
    if (Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    look(view.from + ((view.to - view.from) * event.deltaX) / 800, view.to - view.from);
  }, { passive: false });
  return entry;
}

function paint(canvas, draw) {
  const box = canvas.getBoundingClientRect(), scale = Math.min(devicePixelRatio || 1, 2);
  const width = Math.round(box.width), height = Math.round(box.height);
  if (!width || !height) return;
  if (canvas.width !== width * scale) canvas.width = width * scale;
  if (canvas.height !== height * scale) canvas.height = height * scale;
  const c = canvas.getContext("2d");
  c.setTransform(scale, 0, 0, scale, 0, 0);
  c.clearRect(0, 0, width, height);
  c.font = "11px system-ui, sans-serif";
  draw(c, width, height);
}
let queued = false;
function redraw() {
  if (queued) return;
  queued = true;
  requestAnimationFrame(() => {
    queued = false;
    for (const { canvas, draw } of lanes) paint(canvas, draw);
    paint($("lagPower"), drawLagPower);
    paint($("spectra"), drawSpectra);
    moveHead();
  });
}
function look(from, span) {
  span = Math.min(Math.max(span, 2), song.seconds);
  from = Math.min(Math.max(from, 0), song.seconds - span);
  if (from === view.from && from + span === view.to) return;
  view.from = from;
  view.to = from + span;
  redraw();
}

/* ---- putting it together ---- */
readColours();
lane($("tracks"), make("div", { className: "label" }), 22, "Time in minutes and seconds", drawRuler).row.classList.add("ruler");
let group = "";
for (const part of parts) {
  if (part.group !== group) {
    group = part.group;
    if (group !== "Whole") $("tracks").append(make("h3", { textContent: group === "New" ? "New parts" : group }));
  }
  const label = make("div", { className: "label" }, named(part.label, part.hue));
  if (part.audio) {
    part.soloButton = toggle(part, "solo", "S", "Solo");
    part.muteButton = toggle(part, "mute", "M", "Mute");
    label.append(part.soloButton, part.muteButton);
  }
  part.row = lane($("tracks"), label, part.group === "Whole" ? 66 : 44, `Waveform: ${part.label}`, (...c) => drawWave(part, ...c)).row;
  part.row.dataset.part = part.key;
}
const chordLabel = make("div", { className: "label top" }, named("Chords"));
lane($("score"), chordLabel, 32, "Chords: " + song.chords.slice(0, 64).map((run) => run[2]).join(", "), drawChords);
for (const roll of song.rolls) {
  const label = make("div", { className: "label top" }, named(roll.label), ...roll.tracks.map((t) => named(t.name, t.hue)));
  const count = roll.tracks.reduce((sum, t) => sum + t.notes.length, 0);
  lane($("score"), label, 250, `Piano roll, ${roll.label.toLowerCase()}: ${count} notes`, (...c) => drawRoll(roll, ...c));
}
if (voices.length) {
  const label = make("div", { className: "label top" }, named("Pitch"), ...voices.map((v) => named(v.label, v.hue)));
  lane($("pitch"), label, 220, "Pitch of " + voices.map((v) => v.label.toLowerCase()).join(" and "), drawPitch);
}
for (const picture of song.pictures) {
  picture.image = new Image();
  picture.image.onload = () => { tint(picture); redraw(); };
  picture.image.src = picture.png;
  lane($("pictures"), make("div", { className: "label top" }, named(picture.label)), 150, `Spectrogram: ${picture.label}`, (...c) => drawPicture(picture, ...c));
}
$("total").textContent = clock(song.seconds);
$("play").addEventListener("click", () => (playing ? pause() : play()));
$("position").addEventListener("input", (event) => seek(Number(event.target.value)));
for (const button of document.querySelectorAll("[data-preset]")) {
  if (!parts.some((part) => part.audio && presets[button.dataset.preset](part))) button.hidden = true;
  button.addEventListener("click", () => choose(button.dataset.preset));
}
for (const button of document.querySelectorAll("[data-zoom]"))
  button.addEventListener("click", () => {
    const factor = Number(button.dataset.zoom), span = factor ? (view.to - view.from) * factor : song.seconds;
    look(position - span * 0.3, span);
  });
document.addEventListener("keydown", (event) => {
  if (event.target.closest("button, input") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === " ") { event.preventDefault(); playing ? pause() : play(); }
  else if (event.key === "ArrowLeft") seek(position - 5);
  else if (event.key === "ArrowRight") seek(position + 5);
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { readColours(); song.pictures.forEach(tint); redraw(); });
new ResizeObserver(redraw).observe(document.body);
choose(parts.some((part) => part.key === "mix" && part.audio) ? "Remix" : "Song");
redraw();
