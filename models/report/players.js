/* The song, the players and what of them is heard. */
const song = JSON.parse(document.getElementById("song").textContent);
const $ = (id) => document.getElementById(id);
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};
const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;

/* ---- the players: one clock, led by the first part that is heard ---- */
const parts = song.tracks.map((track) => ({ ...track, muted: false, solo: false, audio: null }));
let position = 0, playing = false, since = 0;

for (const part of parts) {
  part.peaks = bytes(part.peaks);
  part.rms = bytes(part.rms);
  if (!part.src) continue;
  part.audio = new Audio();
  part.audio.preload = "metadata";
  part.audio.src = part.src;
  part.audio.dataset.part = part.key;
  part.audio.hidden = true;
  document.body.append(part.audio);
  part.audio.addEventListener("error", () => {
    $("trouble").hidden = false;
    $("trouble").textContent = "Some audio files are not beside this page, so not every part can be played.";
  });
}
for (const part of parts) {
  const beside = parts.filter((other) => other.group === part.group).map((other) => other.peaks.reduce((a, b) => Math.max(a, b), 1));
  part.loudest = Math.max(...beside);
}
const heard = (part) => part.audio && !part.muted && (part.solo || !parts.some((other) => other.solo));
const audible = () => parts.filter((part) => heard(part) && position < part.seconds - 0.02);

function follow() {
  for (const part of parts) {
    if (!part.audio) continue;
    const on = playing && heard(part) && position < part.seconds - 0.02;
    if (on && part.audio.paused) {
      part.audio.currentTime = position;
      part.audio.play().catch(() => {});
    } else if (!on && !part.audio.paused) part.audio.pause();
  }
}
function tick() {
  if (!playing) return;
  const now = performance.now(), ready = audible().filter((part) => !part.audio.paused && part.audio.readyState > 2 && !part.audio.seeking);
  const waiting = audible().length > 0 && !ready.length;
  if (ready.length) position = ready[0].audio.currentTime;
  else if (!waiting) position += (now - since) / 1000;
  since = now;
  for (const part of ready.slice(1)) {
    const late = position - part.audio.currentTime;
    if (Math.abs(late) > 0.2) part.audio.currentTime = position + 0.03;
    part.audio.playbackRate = Math.abs(late) < 0.012 ? 1 : 1 + Math.max(-0.04, Math.min(0.04, late));
  }
  if (ready.length) ready[0].audio.playbackRate = 1;
  if (position >= song.seconds - 0.03) { pause(); position = 0; }
  follow();
  if (position > view.to || position < view.from) look(position - (view.to - view.from) * 0.05, view.to - view.from);
  moveHead();
  requestAnimationFrame(tick);
}
function play() {
  playing = true;
  since = performance.now();
  follow();
  showPlaying();
  requestAnimationFrame(tick);
}
function pause() {
  playing = false;
  follow();
  showPlaying();
}
function seek(seconds) {
  position = Math.min(Math.max(seconds, 0), song.seconds - 0.05);
  since = performance.now();
  for (const part of parts) if (part.audio && !part.audio.paused) part.audio.currentTime = position;
  follow();
  if (position > view.to || position < view.from) look(position - (view.to - view.from) / 2, view.to - view.from);
  moveHead();
}
function showPlaying() {
  $("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  $("playIcon").setAttribute("d", playing ? "M6 4.5h4.2v15H6zM13.8 4.5H18v15h-4.2z" : "M7 4.5v15l12.5-7.5z");
}
const lastAt = (times, ms) => {
  let low = 0, high = times.length;
  while (low < high) { const middle = (low + high) >> 1; if (times[middle] <= ms) low = middle + 1; else high = middle; }
  return low - 1;
};
function moveHead() {
  for (const { canvas, head } of lanes) {
    const at = x(position, canvas.clientWidth);
    head.style.transform = `translateX(${at}px)`;
    head.hidden = at < 0 || at > canvas.clientWidth;
  }
  const slider = $("position");
  slider.value = position;
  slider.setAttribute("aria-valuetext", clock(position) + " of " + clock(song.seconds));
  $("clock").textContent = clock(position);
  const ms = position * 1000, bar = lastAt(song.downbeats, ms) + 1;
  const chord = song.chords.find(([from, to]) => from <= ms && ms < to);
  $("bar").textContent = [bar > 0 ? "bar " + bar : "", chord ? chord[2] : ""].filter(Boolean).join(" · ");
}

/* ---- mute, solo and the ready-made choices ---- */
const presets = {
  Remix: (part) => part.key === "mix",
  Song: (part) => part.key === "original",
  New: (part) => part.group === "New",
  Stems: (part) => part.group.startsWith("Stems"),
};
function choose(name) {
  for (const part of parts) { part.solo = false; part.muted = !presets[name](part); }
  showParts();
}
function showParts() {
  for (const part of parts) {
    if (part.audio) {
      part.muteButton.setAttribute("aria-pressed", part.muted);
      part.soloButton.setAttribute("aria-pressed", part.solo);
    }
    part.row.classList.toggle("silent", !heard(part));
  }
  for (const button of document.querySelectorAll("[data-preset]")) {
    const wanted = presets[button.dataset.preset];
    button.setAttribute("aria-pressed", parts.every((part) => !part.audio || (heard(part) || false) === wanted(part)));
  }
  follow();
}
function toggle(part, what, letter, word) {
  const button = make("button", { type: "button", className: "toggle " + what, textContent: letter, title: `${word} ${part.label}` });
  button.setAttribute("aria-label", `${word} ${part.label}`);
  button.addEventListener("click", () => {
    if (what === "mute") part.muted = !part.muted;
    else {
      part.solo = !part.solo;
      if (part.solo) part.muted = false;
    }
    showParts();
  });
  return button;
}
