/* What each lane draws: waveforms, notes, pitch, spectrograms and charts. */
const noteName = (pitch) => song.noteNames[pitch % 12] + (Math.floor(pitch / 12) - 1);
let colours = {};
const readColours = () => {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["paper", "card", "ink", "soft", "line", "line-strong", "song", "mix", "new", "voice", "choir", "drums", "bass", "keys", "guitar"])
    colours[name] = style.getPropertyValue("--" + name).trim();
};

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
  const crowded = song.chords.length && width / (view.to - view.from) * song.chords[song.chords.length - 1][1] / 1000 / song.chords.length < 9;
  for (const [from, to, name] of song.chords) {
    const left = x(from / 1000, width), right = x(to / 1000, width);
    if (right < 0 || left > width) continue;
    if (!crowded) {
      c.fillStyle = colours["line-strong"];
      c.fillRect(left, 0, 1, height);
    }
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
