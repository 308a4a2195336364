"use strict";
(() => {
  const song = JSON.parse(document.getElementById("song").textContent);
  const $ = (id) => document.getElementById(id);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  };
  const clock = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;
  const NAMES = ["C", "C♯", "D", "D♯", "E", "F", "F♯", "G", "G♯", "A", "A♯", "B"];
  const noteName = (pitch) => NAMES[pitch % 12] + (Math.floor(pitch / 12) - 1);
  let colours = {};
  const readColours = () => {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["paper", "card", "ink", "soft", "line", "line-strong", "song", "mix", "new", "voice", "choir", "drums", "bass", "keys", "guitar"])
      colours[name] = style.getPropertyValue("--" + name).trim();
  };

  /* ---- the view: which seconds all lanes show ---- */
  const view = { from: 0, to: song.seconds };
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

  /* ---- drawing ---- */
  const named = (text, hue) => {
    const name = make("span", { className: "name", textContent: text });
    if (hue) name.style.setProperty("--hue", `var(--${hue})`);
    return name;
  };
  function drawWave(part, c, width, height) {
    const perBucket = part.peakSeconds / part.peaks.length, step = (view.to - view.from) / width;
    c.fillStyle = colours[part.hue];
    for (const [shape, strength] of [[part.peaks, 0.38], [part.rms, 1]]) {
      c.globalAlpha = strength;
      for (let column = 0; column < width; column++) {
        const from = view.from + column * step;
        const first = Math.floor(from / perBucket), last = Math.max(first + 1, Math.floor((from + step) / perBucket));
        if (first >= shape.length) break;
        let most = 0;
        for (let i = first; i < last && i < shape.length; i++) most = Math.max(most, shape[i]);
        const half = Math.max(0.4, Math.pow(most / part.loudest, 0.72) * (height / 2 - 3));
        c.fillRect(column, height / 2 - half, 1, 2 * half);
      }
    }
    c.globalAlpha = 1;
  }
  function tag(c, name, y) {
    c.fillStyle = colours.card;
    c.globalAlpha = 0.78;
    c.fillRect(3, y - 8, c.measureText(name).width + 6, 15);
    c.globalAlpha = 1;
    c.fillStyle = colours.soft;
    c.fillText(name, 6, y + 3.5);
  }
  function drawRuler(c, width, height) {
    const span = view.to - view.from;
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600].find((s) => (s / span) * width > 64) || 1200;
    c.fillStyle = colours.soft;
    for (let s = Math.ceil(view.from / step) * step; s < view.to; s += step) {
      const at = x(s, width);
      c.fillRect(at, height - 5, 1, 5);
      if (at < width - 30) c.fillText(clock(s), at + 4, height - 4);
    }
  }
  function drawBars(c, width, height, numbers) {
    const spacing = song.downbeats.length > 1 ? x((song.downbeats[1] - song.downbeats[0]) / 1000 + view.from, width) : width;
    const every = [1, 2, 4, 8, 16, 32, 64].find((n) => n * spacing > 34) || 128;
    song.downbeats.forEach((ms, i) => {
      const at = x(ms / 1000, width);
      if (at < -1 || at > width || (spacing < 5 && i % every)) return;
      c.fillStyle = i % every ? colours.line : colours["line-strong"];
      c.fillRect(at, 0, 1, height);
      if (numbers && i % every === 0) { c.fillStyle = colours.soft; c.fillText(i + 1, at + 4, 11); }
    });
    if (spacing > 90) {
      c.fillStyle = colours.line;
      for (const ms of song.beats) c.fillRect(x(ms / 1000, width), 0, 1, height);
    }
  }
  function drawEnd(c, width, height) {
    if (song.seconds - song.songSeconds < 0.3) return;
    c.save();
    c.fillStyle = colours.ink;
    c.globalAlpha = 0.045;
    c.fillRect(x(song.songSeconds, width), 0, width, height);
    c.restore();
  }
  function drawChords(c, width, height) {
    drawBars(c, width, height, false);
    c.font = "500 13px system-ui, sans-serif";
    let free = -1;
    for (const [from, to, name] of song.chords) {
      const left = x(from / 1000, width), right = x(to / 1000, width);
      if (right < 0 || left > width) continue;
      c.fillStyle = colours["line-strong"];
      c.fillRect(left, 0, 1, height);
      const at = Math.max(left, 0) + 5, wide = c.measureText(name).width;
      if (at < free || at + wide > Math.max(right, at + 14) + 12 || at + wide > width) continue;
      c.fillStyle = colours.ink;
      c.fillText(name, at, height / 2 + 5);
      free = at + wide + 6;
    }
  }
  const allNotes = song.rolls.flatMap((roll) => roll.tracks.filter((t) => !t.drum).flatMap((t) => t.notes.map((n) => n[2])));
  const lowest = allNotes.reduce((a, b) => Math.min(a, b), 127), highest = allNotes.reduce((a, b) => Math.max(a, b), 0);
  const pitchRange = allNotes.length ? [lowest - 2, highest + 3] : [48, 72];
  const drumRow = (pitch) => pitch < 37 ? 4 : pitch < 41 ? 3 : [42, 44, 46].includes(pitch) ? 1 : [41, 43, 45, 47, 48, 50].includes(pitch) ? 2 : 0;
  function drawRoll(roll, c, width, height) {
    const drums = roll.tracks.some((t) => t.drum) ? 42 : 0, top = 16, room = height - drums - top;
    const [low, high] = pitchRange, row = room / (high - low);
    drawEnd(c, width, height);
    drawBars(c, width, height, true);
    for (let pitch = Math.ceil(low / 12) * 12; pitch < high; pitch += 12) {
      const y = top + (high - pitch) * row;
      c.fillStyle = colours.line;
      c.fillRect(0, y, width, 1);
    }
    if (drums) { c.fillStyle = colours["line-strong"]; c.fillRect(0, height - drums, width, 1); }
    for (const track of roll.tracks) {
      c.fillStyle = colours[track.hue];
      for (const [onset, duration, pitch, velocity] of track.notes) {
        const left = x(onset / 1000, width), right = x((onset + duration) / 1000, width);
        if (right < 0 || left > width) continue;
        c.globalAlpha = 0.45 + 0.55 * Math.min(velocity / 110, 1);
        if (track.drum) c.fillRect(left, height - drums + 3 + drumRow(pitch) * 7.6, Math.max(1.5, Math.min(4, right - left)), 5.6);
        else {
          const thick = Math.max(row - 0.6, 2);
          c.beginPath();
          c.roundRect(left, top + (high - pitch - 0.5) * row - thick / 2, Math.max(right - left - 0.7, 1.5), thick, Math.min(2, thick / 2));
          c.fill();
        }
      }
    }
    c.globalAlpha = 1;
    for (let pitch = Math.ceil(low / 12) * 12; pitch < high; pitch += 12) tag(c, noteName(pitch), top + (high - pitch) * row);
    if (!roll.tracks.length) { c.fillStyle = colours.soft; c.fillText("no notes", 12, height / 2); }
  }
  const voices = song.f0.map((v) => ({ ...v, cents: new Uint16Array(bytes(v.cents).buffer) }));
  const sung = voices.flatMap((v) => Array.from(v.cents.filter((value) => value))).sort((a, b) => a - b);
  const sungRange = sung.length ? [sung[Math.floor(sung.length * 0.02)] / 100 - 3, sung[Math.floor(sung.length * 0.98)] / 100 + 3] : [48, 72];
  function drawPitch(c, width, height) {
    const [low, high] = sungRange, y = (pitch) => ((high - pitch) / (high - low)) * height;
    drawEnd(c, width, height);
    drawBars(c, width, height, false);
    const step = high - low > 30 ? 12 : high - low > 14 ? 4 : 2;
    for (let pitch = Math.ceil(low / step) * step; pitch < high; pitch += step) {
      c.fillStyle = colours.line;
      c.fillRect(0, y(pitch), width, 1);
    }
    voices.forEach((voice, order) => {
      const skip = Math.max(1, Math.floor(((view.to - view.from) / voice.hop / width) * 0.5));
      const first = Math.max(0, Math.floor(view.from / voice.hop)), last = Math.min(voice.cents.length, Math.ceil(view.to / voice.hop));
      c.strokeStyle = colours[voice.hue];
      c.lineWidth = order ? 1.8 : 3.2;
      c.globalAlpha = order ? 1 : 0.55;
      c.lineJoin = "round";
      c.beginPath();
      let open = false, before = 0;
      for (let i = first; i < last; i += skip) {
        const value = voice.cents[i];
        if (!value) { open = false; continue; }
        const at = x(i * voice.hop, width), up = y(value / 100);
        if (open && Math.abs(value - before) < 500) c.lineTo(at, up); else { c.moveTo(at, up); c.lineTo(at + 0.6, up); }
        open = true;
        before = value;
      }
      c.stroke();
    });
    c.globalAlpha = 1;
    for (let pitch = Math.ceil(low / step) * step; pitch < high; pitch += step) tag(c, noteName(pitch), y(pitch));
  }
  const RAMPS = {
    light: [[255, 254, 251], [250, 226, 190], [232, 150, 92], [180, 66, 62], [96, 30, 74], [30, 16, 46]],
    dark: [[20, 21, 26], [44, 26, 66], [122, 38, 92], [205, 76, 78], [247, 160, 96], [255, 240, 205]],
  };
  function tint(picture) {
    if (!picture.image.complete || !picture.image.naturalWidth) return;
    const ramp = RAMPS[matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"];
    const { naturalWidth: width, naturalHeight: height } = picture.image;
    picture.tinted = make("canvas", { width, height });
    const c = picture.tinted.getContext("2d", { willReadFrequently: true });
    c.drawImage(picture.image, 0, 0);
    const pixels = c.getImageData(0, 0, width, height);
    for (let i = 0; i < pixels.data.length; i += 4) {
      const at = (pixels.data[i] / 255) * (ramp.length - 1), k = Math.min(Math.floor(at), ramp.length - 2), part = at - k;
      for (let j = 0; j < 3; j++) pixels.data[i + j] = ramp[k][j] + (ramp[k + 1][j] - ramp[k][j]) * part;
    }
    c.putImageData(pixels, 0, 0);
  }
  const MEL = (hz) => 2595 * Math.log10(1 + hz / 700);
  function drawPicture(picture, c, width, height) {
    if (!picture.tinted) return;
    const { width: columns, height: rows } = picture.tinted, left = (view.from / picture.seconds) * columns;
    const wide = Math.min(((view.to - view.from) / picture.seconds) * columns, columns - left);
    if (wide <= 0) return;
    c.drawImage(picture.tinted, left, 0, wide, rows, 0, 0, ((wide / columns) * picture.seconds / (view.to - view.from)) * width, height);
    for (const [hz, name] of [[200, "200 Hz"], [1000, "1 kHz"], [4000, "4 kHz"]]) {
      const y = height * (1 - (MEL(hz) - MEL(40)) / (MEL(16000) - MEL(40)));
      tag(c, name, y);
    }
  }
  function chart(c, width, height, xTicks, yTicks, across, up, lines) {
    const left = 34, bottom = height - 20, px = (v) => left + across(v) * (width - left - 6), py = (v) => 8 + (1 - up(v)) * (bottom - 8);
    for (const v of yTicks) {
      c.fillStyle = colours.line;
      c.fillRect(left, py(v), width - left, 1);
      c.fillStyle = colours.soft;
      c.textAlign = "right";
      c.fillText(String(v).replace("-", "−"), left - 6, py(v) + 4);
    }
    c.textAlign = "center";
    for (const [v, name] of xTicks) {
      c.fillStyle = colours.line;
      c.fillRect(px(v), 8, 1, bottom - 8);
      c.fillStyle = colours.soft;
      c.fillText(name, Math.min(Math.max(px(v), left + 8), width - 16), height - 5);
    }
    c.save();
    c.beginPath();
    c.rect(left, 0, width - left, bottom + 1);
    c.clip();
    for (const line of lines) {
      c.strokeStyle = colours[line.hue];
      c.lineWidth = line.thick || 2;
      c.lineJoin = "round";
      c.beginPath();
      line.x.forEach((v, i) => c.lineTo(px(v), py(line.y[i])));
      c.stroke();
    }
    c.restore();
    c.textAlign = "left";
  }
  function drawLagPower(c, width, height) {
    const { x: lags, y } = song.lagPower, end = lags[lags.length - 1];
    chart(c, width, height, [[-end, `−${end} s`], [-end / 2, `−${end / 2}`], [0, "0"], [end / 2, `+${end / 2}`], [end, `+${end} s`]], [0, -20, -40, -60],
      (v) => (v + end) / (2 * end), (v) => Math.max(0, 1 + v / 64), [{ x: lags, y, hue: "mix", thick: 1.5 }]);
  }
  function drawSpectra(c, width, height) {
    const values = song.spectra.flatMap((s) => s.y).filter((v) => v > -95);
    const top = Math.ceil((values.length ? Math.max(...values) : 0) / 10) * 10;
    const span = Math.min(80, Math.max(30, top - (values.length ? Math.min(...values) : 0) + 4));
    const ticks = [0, 10, 20, 30, 40, 50, 60, 70].filter((v) => v < span && (span < 45 || v % 20 === 0)).map((v) => top - v);
    chart(c, width, height, [[100, "100 Hz"], [1000, "1 k"], [10000, "10 k"]], ticks,
      (v) => Math.log(v / 45) / Math.log(18000 / 45), (v) => Math.max(0, (v - top + span) / span), song.spectra);
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
})();
