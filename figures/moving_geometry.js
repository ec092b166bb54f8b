// The moving geometry, in the browser: arrows for the columns W_i of one of many small models.
//
// Streamlit calls the default export after every run whose data differ. One Figure lives on the
// component's root element for as long as that exists; new data move it, they do not rebuild it.
// A matrix W (m, n) is a flat array here: component k of feature i is W[k * n + i].

const SVG = "http://www.w3.org/2000/svg";
const SIDE = 200; // half the side of the picture, in its own units
const REACH = 144; // where the longest arrow ends; the rest is for labels
const TWEEN = 120; // milliseconds from one frame to the next
const PLAY = 5000; // milliseconds for a whole training
const CROWD = 10; // more features than this: fewer words in the picture
const GRIP = 16; // how near to an arrow counts as pointing at it
const WORDS = [
  "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
  "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
  "twenty",
];

export default function (component) {
  const root = component.parentElement.querySelector(".geometry");
  const figure = root.figure ?? (root.figure = new Figure(root));
  figure.receive(component.data, component.setStateValue);
  return () => figure.destroy();
}

// --- Numbers -----------------------------------------------------------------------------------

function decode(text, Kind) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Kind(bytes.buffer);
}

function norms(W, m, n) {
  const lengths = new Float64Array(n);
  for (let k = 0; k < m; k++) for (let i = 0; i < n; i++) lengths[i] += W[k * n + i] ** 2;
  return lengths.map(Math.sqrt);
}

/** Ŵ_i · W_j for every j, or null when feature i has no direction. */
function products(W, m, n, i) {
  const length = norms(W, m, n)[i];
  if (length < 1e-6) return null;
  const along = new Float64Array(n);
  for (let k = 0; k < m; k++) {
    for (let j = 0; j < n; j++) along[j] += (W[k * n + i] / length) * W[k * n + j];
  }
  return along;
}

function interference(along, i) {
  return along.reduce((sum, value, j) => (j === i ? sum : sum + value * value), 0);
}

function signed(value) {
  const text = Math.abs(value).toFixed(2);
  return text === "0.00" ? text : (value < 0 ? "−" : "+") + text;
}

function number(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return String(Math.round(value)).replace("-", "−");
  if (size >= 1e-4 || size === 0) return value.toPrecision(3).replace("-", "−");
  const [mantissa, power] = value.toExponential(2).split("e");
  const raised = power.replace(/./g, (sign) => ({ "-": "⁻", "+": "" })[sign] ?? "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign]);
  return `${mantissa}×10${raised}`.replace("-", "−");
}

function counted(value) {
  return value.toLocaleString("en");
}

function word(count) {
  return WORDS[count] ?? String(count);
}

/** The picture in one sentence, from the weights alone. */
function describe(W, m, n, threshold, names) {
  const lengths = norms(W, m, n);
  const kept = [...names.keys()].filter((i) => lengths[i] > threshold);
  if (kept.length === 0) return "no feature represented";
  if (kept.length === 1) return `one feature represented (${names[kept[0]]})`;
  const nearest = kept.map(() => 180);
  let opposite = 0;
  kept.forEach((i, a) => {
    const along = products(W, m, n, i);
    kept.forEach((j, b) => {
      if (a === b) return;
      const cosine = Math.max(-1, Math.min(1, along[j] / lengths[j]));
      const angle = (Math.acos(cosine) * 180) / Math.PI;
      nearest[a] = Math.min(nearest[a], angle);
      if (a < b && angle > 172) opposite += 1;
    });
  });
  const start = `${word(kept.length)} features represented`;
  const low = Math.round(Math.min(...nearest));
  const high = Math.round(Math.max(...nearest));
  if (kept.length === 2 && opposite) return `${start}, pointing opposite ways`;
  if (m === 1) return opposite ? `${start}, some on either side` : `${start}, all on one side`;
  const apart =
    high - low > 6 ? `${low}° to ${high}° apart` : `about ${Math.round((low + high) / 2)}° apart`;
  if (kept.length === 2) return `${start}, ${apart}`;
  const pairs = opposite
    ? `, ${word(opposite)} opposite ${opposite === 1 ? "pair" : "pairs"}`
    : "";
  return `${start}, nearest neighbours ${apart}${pairs}`;
}

function upperFirst(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// --- Small helpers for the page ----------------------------------------------------------------

function element(name, attributes = {}, parent = null) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  parent?.append(node);
  return node;
}

function html(name, className, parent) {
  const node = document.createElement(name);
  if (className) node.className = className;
  parent?.append(node);
  return node;
}

/** Write text only where it differs: an untouched node costs the browser nothing. */
function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function place(node, attributes) {
  for (const key in attributes) node.setAttribute(key, attributes[key].toFixed(1));
}

function calm() {
  return window.matchMedia("(prefers-reduced-motion: reduce)").matches;
}

// --- The figure --------------------------------------------------------------------------------

class Figure {
  constructor(root) {
    const find = (selector) => root.querySelector(selector);
    this.root = root;
    this.parts = {
      tracks: find(".tracks"),
      stage: find(".stage"),
      picture: find(".picture"),
      ground: find(".ground"),
      falls: find(".falls"),
      arrows: find(".arrows"),
      labels: find(".labels"),
      hint: find(".hint"),
      sweep: find(".sweep"),
      axis: find(".axis"),
      value: find(".value"),
      slider: find("#frame"),
      ends: find(".ends").children,
      count: find(".count"),
      lossReadout: find(".loss-readout"),
      loss: find(".loss"),
      bars: find(".bars"),
      readingTitle: find(".reading-title"),
      products: find(".products"),
      total: find(".total"),
      training: find(".training"),
      play: find(".play"),
      restart: find(".restart"),
      step: find(".step"),
      curve: find(".curve"),
      scrubber: find("#step"),
      caption: find(".caption"),
      live: find(".live"),
    };
    this.data = null;
    this.frame = 0;
    this.track = 0;
    this.moment = null; // position among the training's snapshots, or null for the trained model
    this.playing = false;
    this.hovered = this.focused = this.pinned = -1;
    this.yaw = -0.5;
    this.pitch = 0.35;
    this.extent = { trained: 1, from: 1, to: 1, now: 1 };
    this.pending = 0;
    this.timers = {};
    this.ending = new AbortController();
    this.listen();
  }

  destroy() {
    this.ending.abort();
    cancelAnimationFrame(this.pending);
    Object.values(this.timers).forEach(clearTimeout);
    delete this.root.figure;
  }

  // --- Data ---

  receive(data, setStateValue) {
    this.report = setStateValue;
    if (data === this.data) return; // the theme changed; style sheets see to that
    const before = this.data;
    const now = performance.now();
    this.data = data;
    this.m = data.hidden;
    this.n = data.features;
    this.tracks = data.tracks.map((track) => this.unpack(track));
    const same = before && before.hidden === this.m && before.features === this.n;
    const start = data.start;
    const moved =
      !before || before.start.track !== start.track || before.start.frame !== start.frame;
    if (moved && !this.dragging && this.addressAgrees(start)) {
      this.track = start.track;
      this.frame = start.frame;
      this.moment = null;
    }
    this.track = Math.min(this.track, this.tracks.length - 1);
    this.frame = Math.min(this.frame, this.tracks[this.track].labels.length - 1);
    this.build(same ? before : null);
    this.setExtent(same);
    this.showTrack();
    if (same) {
      // Numbers pushed while a model trains come every so often: take that long to reach them.
      const pause = now - this.received;
      const streamed = this.tracks[0].labels.length === 1 && pause < 2000;
      this.aim(streamed ? Math.max(TWEEN, pause) : TWEEN, streamed);
    } else {
      this.shown = this.goal().slice();
      this.aim(0);
    }
    this.received = now;
  }

  unpack(track) {
    const training = track.training && {
      ...track.training,
      directions: decode(track.training.directions, Int16Array),
    };
    return {
      ...track,
      directions: decode(track.directions, Float32Array),
      biases: track.biases && decode(track.biases, Float32Array),
      training,
    };
  }

  /** Whether a start read from the address is still what the address says. */
  addressAgrees(start) {
    const { frame, track } = this.data.url;
    const query = new URLSearchParams(window.location.search);
    const chosen = this.tracks[start.track];
    const frameText = frame && query.get(frame);
    const trackText = track && query.get(track);
    const inTrack = (text) => chosen.texts.includes(text);
    return (
      (!frameText || frameText === chosen.texts[start.frame] || !inTrack(frameText)) &&
      (!trackText ||
        trackText === chosen.slug ||
        !this.tracks.some((other) => other.slug === trackText))
    );
  }

  /** The weights to be shown: the trained model's, or those at a moment of its training. */
  goal() {
    const size = this.m * this.n;
    const track = this.tracks[this.track];
    if (this.moment === null) {
      return track.directions.subarray(this.frame * size, (this.frame + 1) * size);
    }
    const { directions, steps, largest } = track.training;
    const moment = calm() ? Math.floor(this.moment) : this.moment;
    const left = Math.min(Math.floor(moment), steps.length - 2);
    const share = moment - left;
    const offset = (this.frame * steps.length + left) * size;
    const W = new Float32Array(size);
    for (let index = 0; index < size; index++) {
      const a = directions[offset + index];
      const b = directions[offset + size + index];
      W[index] = ((a + (b - a) * share) * largest) / 32767;
    }
    return W;
  }

  loss() {
    const track = this.tracks[this.track];
    if (this.moment === null) return track.losses ? track.losses[this.frame] : null;
    const losses = track.training.losses?.[this.frame];
    return losses ? losses[Math.round(this.moment)] : null;
  }

  /** The norm at the edge of the picture: one for all trained models, so their sizes compare. */
  setExtent(same) {
    const size = this.m * this.n;
    const largest = Math.max(...this.tracks.map((track) => this.longest(track.directions, size)));
    const needed = Math.max(1, largest);
    const before = this.extent.trained;
    // A single frame that is replaced again and again keeps its scale while it fits well enough.
    const keep = same && this.tracks[0].labels.length === 1 && needed <= before;
    this.extent.trained = keep && needed > 0.6 * before ? before : needed;
    this.extent.to = this.extentNeeded();
    if (!same) this.extent.now = this.extent.to;
  }

  /** The largest norm of a feature among matrices that follow one another. */
  longest(matrices, size) {
    let largest = 0;
    for (let at = 0; at < matrices.length; at += size) {
      const W = matrices.subarray(at, at + size);
      largest = Math.max(largest, ...norms(W, this.m, this.n));
    }
    return largest;
  }

  /** Random starting weights may be long: while training is shown, the picture makes room. */
  extentNeeded() {
    const { trained } = this.extent;
    const { training } = this.tracks[this.track];
    if (this.moment === null || !training) return trained;
    const { directions, steps, largest } = training;
    const size = this.m * this.n;
    const path = directions.subarray(
      this.frame * steps.length * size,
      (this.frame + 1) * steps.length * size,
    );
    return Math.max(trained, (this.longest(path, size) * largest) / 32767);
  }

  // --- The page's elements ---

  build(before) {
    const { parts, data, n } = this;
    const names = (payload) => payload && JSON.stringify([payload.names, payload.colours]);
    this.root.classList.toggle("solid", this.m === 3);
    this.root.classList.toggle("crowded", n > CROWD);
    parts.hint.hidden = this.m !== 3;
    if (this.m === 3) {
      parts.stage.tabIndex = 0;
      parts.stage.setAttribute("role", "group");
      parts.stage.setAttribute("aria-label", "Picture in three dimensions; arrow keys turn it");
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) parts.stage.removeAttribute(name);
    }
    write(parts.axis, upperFirst(data.axis));
    write(parts.lossReadout.firstElementChild, data.lossTitle);
    this.buildTracks();
    this.buildGround(before);
    if (names(before) === names(data)) return;

    this.hovered = this.focused = this.pinned = -1;
    for (const part of [parts.falls, parts.arrows, parts.labels, parts.bars, parts.products]) {
      part.replaceChildren();
    }
    this.order = [...data.names.keys()];
    this.along = element("line", { class: "along" }, parts.falls);
    this.dropped = element("text", { class: "dropped" }, parts.labels);
    this.features = data.names.map((name, i) => {
      const colour = data.colours[i];
      const arrow = element("g", { class: "arrow" }, parts.arrows);
      const feature = {
        name,
        arrow,
        line: element("line", { stroke: colour }, arrow),
        dot: element("circle", { fill: colour }, arrow),
        fall: element("line", { class: "fall", stroke: colour }, parts.falls),
        foot: element("circle", { class: "foot", fill: colour, r: 5 }, parts.falls),
        ...this.buildLabel(name),
        base: [0, 0],
        tip: [0, 0],
        depth: 0,
      };
      feature.bar = this.buildBar(name, colour, i);
      feature.fill = feature.bar.querySelector(".fill");
      const item = html("li", "", parts.products);
      html("i", "", item).style.background = colour;
      html("span", "", item).textContent = name;
      feature.item = item;
      feature.product = html("b", "", item);
      return feature;
    });
    const threshold = html("div", "threshold", parts.bars);
    html("span", "", threshold).textContent = String(data.threshold);
    this.threshold = threshold;
    const longest = Math.max(...data.names.map((name) => name.length));
    parts.products.style.setProperty("--name", `${longest}ch`);
    parts.bars.setAttribute("aria-label", `${n} features: arrow keys move between them`);
    this.features[0].bar.tabIndex = 0;
  }

  buildBar(name, colour, i) {
    const bar = html("button", "bar", this.parts.bars);
    bar.type = "button";
    bar.tabIndex = -1;
    bar.dataset.feature = i;
    bar.setAttribute("aria-pressed", "false");
    const column = html("span", "column", bar);
    html("span", "fill", column).style.background = colour;
    html("span", "name", bar).textContent = name;
    return bar;
  }

  buildLabel(name) {
    const label = element("g", {}, this.parts.labels);
    element("text", {}, label).textContent = name;
    return { label, figure: element("text", { y: 16, class: "figure" }, label) };
  }

  buildTracks() {
    const { tracks } = this.parts;
    const wanted = this.tracks.map((track) => track.name);
    if (JSON.stringify(wanted) === tracks.dataset.names) return;
    tracks.dataset.names = JSON.stringify(wanted);
    tracks.querySelectorAll("label").forEach((label) => label.remove());
    tracks.hidden = wanted.length < 2;
    wanted.forEach((name, index) => {
      const label = html("label", "", tracks);
      const input = html("input", "", label);
      input.type = "radio";
      input.name = "track";
      input.value = index;
      html("span", "", label).textContent = name;
    });
  }

  buildGround(before) {
    const { ground } = this.parts;
    const { hiddenNames, threshold } = this.data;
    const key = JSON.stringify([hiddenNames, threshold]);
    if (before && key === this.groundFor) return;
    this.groundFor = key;
    this.groundDrawn = "";
    ground.replaceChildren();
    this.hiddenAxes = (hiddenNames ?? []).map((name) => ({
      line: element("line", { class: "hidden-axis" }, ground),
      text: Object.assign(element("text", { "text-anchor": "middle" }, ground), {
        textContent: name,
      }),
    }));
    const mark = (text) =>
      Object.assign(element("text", { "text-anchor": "middle" }, ground), { textContent: text });
    if (this.m === 1) {
      this.marks = [-1, 0, 1].map((at) => ({
        at,
        line: element("line", { y1: -170, y2: 170 }, ground),
        text: mark(String(at).replace("-", "−")),
      }));
      return;
    }
    this.unit = element("circle", { class: this.m === 3 ? "ball" : "" }, ground);
    if (this.m === 2) {
      this.half = element("circle", { class: "half" }, ground);
      this.unitText = mark("norm 1");
      this.halfText = mark(String(threshold));
    } else {
      this.circles = [0, 1, 2].map((axis) => ({
        axis,
        behind: element("path", { class: "behind" }, ground),
        front: element("path", {}, ground),
      }));
    }
  }

  showTrack() {
    const { parts } = this;
    const track = this.tracks[this.track];
    const last = track.labels.length - 1;
    parts.tracks.querySelectorAll("input").forEach((input, index) => {
      input.checked = index === this.track;
    });
    parts.sweep.hidden = last === 0;
    parts.slider.max = last;
    const words = this.data.ends ?? [];
    for (const [end, at] of [0, last].entries()) {
      write(parts.ends[end], [track.labels[at], words[end]].filter(Boolean).join(", "));
    }
    parts.lossReadout.hidden = !track.losses && !track.training?.losses;
    // Where only some tracks keep their training, its room stays, so that nothing below jumps.
    parts.training.hidden = !this.tracks.some((other) => other.training);
    parts.training.style.visibility = track.training ? "" : "hidden";
    if (!track.training) {
      this.moment = null;
      this.playing = false;
      return;
    }
    parts.scrubber.max = track.training.steps.length - 1;
    parts.curve.style.display = track.training.losses ? "" : "none";
  }

  // --- Moving ---

  /** Go from what is drawn to the present goal, in so many milliseconds. */
  aim(duration, even = false) {
    this.from = this.shown.slice();
    this.extent.from = this.extent.now;
    this.extent.to = this.extentNeeded();
    this.tween = { start: performance.now(), duration: calm() ? 0 : duration, even };
    this.stale = true;
    this.schedule();
  }

  schedule() {
    if (!this.pending) this.pending = requestAnimationFrame((now) => this.tick(now));
  }

  tick(now) {
    this.pending = 0;
    if (this.playing) this.advance(now);
    const { start, duration, even } = this.tween;
    const time = duration > 0 ? Math.max(0, Math.min(1, (now - start) / duration)) : 1;
    const share = even ? time : 1 - (1 - time) ** 3;
    const goal = this.goal();
    for (let index = 0; index < goal.length; index++) {
      this.shown[index] = this.from[index] + (goal[index] - this.from[index]) * share;
    }
    this.extent.now = this.extent.from + (this.extent.to - this.extent.from) * share;
    if (this.stale) this.tell(goal);
    this.stale = this.playing;
    this.draw();
    if (this.playing || time < 1) this.schedule();
  }

  advance(now) {
    const last = this.tracks[this.track].training.steps.length - 1;
    // A page in the background draws no frames; do not jump when it comes back.
    this.moment += (Math.min(now - this.lastTick, 50) * last) / PLAY;
    this.lastTick = now;
    this.stale = true;
    if (this.moment >= last) {
      this.moment = null;
      this.playing = false;
      this.aim(TWEEN);
      this.announce();
    }
  }

  setFrame(frame) {
    if (frame === this.frame && this.moment === null) return;
    this.frame = frame;
    this.moment = null;
    this.playing = false;
    this.aim(TWEEN);
    this.announce();
  }

  setTrack(index) {
    const value = this.tracks[this.track].values[this.frame];
    const { values } = this.tracks[index];
    const gap = (other) =>
      value > 0 && other > 0 ? Math.abs(Math.log(other / value)) : Math.abs(other - value);
    this.track = index;
    this.frame = values.reduce((best, other, at) => (gap(other) < gap(values[best]) ? at : best), 0);
    this.moment = null;
    this.playing = false;
    this.showTrack();
    this.aim(2 * TWEEN);
    this.announce();
    this.settle();
  }

  setMoment(moment) {
    const last = this.tracks[this.track].training.steps.length - 1;
    this.playing = false;
    this.moment = moment >= last ? null : moment;
    this.aim(TWEEN);
    this.announce();
  }

  togglePlay(restart) {
    this.playing = restart || !this.playing;
    if (this.playing && (restart || this.moment === null)) this.moment = 0;
    this.lastTick = performance.now();
    this.aim(TWEEN);
  }

  /** The reader let go: write the address, and tell Python if it asked. */
  settle() {
    clearTimeout(this.timers.settle);
    this.timers.settle = setTimeout(() => {
      this.writeAddress();
      if (!this.data.report) return;
      const shown = { track: this.track, frame: this.frame };
      if (JSON.stringify(shown) === JSON.stringify(this.reported)) return;
      this.reported = shown;
      this.report("shown", shown);
    }, 150);
  }

  writeAddress() {
    const { frame, track } = this.data.url;
    const shown = this.tracks[this.track];
    const address = new URL(window.location.href);
    if (frame) address.searchParams.set(frame, shown.texts[this.frame]);
    if (track) address.searchParams.set(track, shown.slug);
    if (address.href === window.location.href) return;
    try {
      window.history.replaceState(window.history.state, "", address);
    } catch {
      // Browsers refuse when the address changes too often; the next change will do.
    }
  }

  // --- Words and numbers ---

  tell(W) {
    const { parts, m, n, data } = this;
    const track = this.tracks[this.track];
    const label = track.labels[this.frame];
    const lengths = norms(W, m, n);
    const kept = lengths.filter((length) => length > data.threshold).length;
    const loss = number(this.loss());

    parts.slider.value = this.frame;
    parts.slider.setAttribute("aria-valuetext", label);
    parts.slider.style.setProperty("--done", this.done(this.frame, parts.slider.max));
    write(parts.value, label);
    write(parts.count, `${kept} of ${n}`);
    write(parts.loss, loss);
    if (track.training) this.tellTraining(track, loss);

    const subject = data.subject ? `${data.subject} ${label}` : label;
    const moment = this.moment === null ? "" : `, step ${this.stepNumber(track)}`;
    const words = describe(W, m, n, data.threshold, data.names);
    const start = upperFirst(`${subject}${moment}`);
    this.sentence = start ? `${start}: ${words}.` : `${upperFirst(words)}.`;
    write(parts.caption, this.sentence);
    parts.picture.setAttribute("aria-label", this.sentence);

    this.features.forEach((feature, i) => {
      const weak = lengths[i] <= data.threshold;
      feature.arrow.classList.toggle("weak", weak);
      feature.bar.classList.toggle("weak", weak);
      const state = weak ? "not represented" : "represented";
      const text = `Feature ${feature.name}: norm ${lengths[i].toFixed(2)}, ${state}`;
      if (feature.bar.title !== text) {
        feature.bar.title = text;
        feature.bar.setAttribute("aria-label", text);
      }
    });
    this.tellInterference(W, lengths);
  }

  stepNumber(track) {
    return track.training.steps[Math.round(this.moment)];
  }

  done(value, max) {
    return `${(100 * value) / Math.max(1, max)}%`;
  }

  tellTraining(track, loss) {
    const { parts } = this;
    const { steps, losses } = track.training;
    const last = steps.length - 1;
    const at = this.moment === null ? last : Math.round(this.moment);
    const text = this.moment === null ? `trained, ${counted(steps[last])} steps` : `step ${counted(steps[at])}`;
    parts.play.dataset.playing = this.playing;
    write(parts.play.lastElementChild, this.playing ? "Pause" : "Play training");
    write(parts.step, text);
    parts.scrubber.value = at;
    parts.scrubber.style.setProperty("--done", this.done(this.moment ?? last, last));
    parts.scrubber.setAttribute("aria-valuetext", losses ? `${text}, loss ${loss}` : text);
    if (!losses) return;
    // The loss on a log scale, from the top of the little picture to its bottom.
    const curve = losses[this.frame].map((value) => Math.log(Math.max(value ?? NaN, 1e-12)));
    const known = curve.filter(Number.isFinite);
    const low = Math.min(...known);
    const span = Math.max(...known) - low || 1;
    const points = curve
      .map((value, index) => [(100 * index) / last, 23 - (22 * (value - low)) / span])
      .filter((point) => Number.isFinite(point[1]))
      .map((point) => point.map((value) => value.toFixed(1)).join());
    const line = parts.curve.firstElementChild;
    if (line.getAttribute("points") !== points.join(" ")) {
      line.setAttribute("points", points.join(" "));
    }
  }

  active() {
    if (this.hovered >= 0) return this.hovered;
    return this.focused >= 0 ? this.focused : this.pinned;
  }

  tellInterference(W, lengths) {
    const { parts, m, n, features, data } = this;
    const i = this.active();
    const along = i < 0 ? null : products(W, m, n, i);
    this.root.classList.toggle("focused", along !== null);
    features.forEach((feature, j) => {
      feature.arrow.classList.toggle("active", j === i);
      feature.bar.classList.toggle("active", j === i);
      feature.bar.setAttribute("aria-pressed", String(j === this.pinned));
      feature.item.classList.toggle("self", j === i);
      const other = along !== null && j !== i;
      write(feature.product, along === null ? "0.00" : j === i ? "itself" : signed(along[j]));
      write(feature.figure, other && n <= CROWD ? signed(along[j]) : "");
      feature.visible = lengths[j] > 0.08 * this.extent.to;
      feature.named = feature.visible && (n <= CROWD || lengths[j] > data.threshold);
    });
    if (i < 0) {
      write(parts.readingTitle, "Choose a feature to see its interference.");
      write(parts.total, "–");
      this.reading = "";
      return;
    }
    const { name } = features[i];
    const bias = this.tracks[this.track].biases?.[this.frame * n + i];
    if (along === null) {
      write(parts.readingTitle, `Feature ${name} has no direction: its norm is 0.`);
      write(parts.total, "–");
      this.reading = `Feature ${name} has no direction.`;
      return;
    }
    const own = [`norm ${lengths[i].toFixed(2)}`];
    if (bias !== undefined && this.moment === null) own.push(`bias ${signed(bias)}`);
    const total = interference(along, i).toFixed(2);
    const key = `${name} ${own} ${total}`;
    if (parts.total.dataset.key !== key || parts.total.textContent === "–") {
      parts.total.dataset.key = key;
      const sub = (text) => Object.assign(document.createElement("sub"), { textContent: text });
      parts.total.replaceChildren(
        "Interference Σ(Ŵ", sub(name), "·W", sub("j"), ")² = ",
        Object.assign(document.createElement("b"), { textContent: total }),
      );
      parts.readingTitle.replaceChildren(
        `Feature ${name}: ${own.join(", ")}. Ŵ`, sub(name), "·W", sub("j"), " for each other:",
      );
    }
    this.reading = `Feature ${name}: ${own.join(", ")}, interference ${total}.`;
  }

  /** Say the caption to a screen reader, once the reader has stopped moving. */
  announce() {
    clearTimeout(this.timers.announce);
    this.timers.announce = setTimeout(() => {
      write(this.parts.live, `${this.sentence} ${this.reading}`.trim());
    }, 600);
  }

  // --- Drawing ---

  draw() {
    const { m, n, features, shown } = this;
    const unit = REACH / this.extent.now;
    const lane = Math.min(40, 320 / n);
    const turned = this.turning();
    features.forEach((feature, i) => {
      if (m === 1) {
        feature.base[1] = (i - (n - 1) / 2) * lane;
        feature.tip[0] = unit * shown[i];
        feature.tip[1] = feature.base[1];
      } else {
        this.project(shown[i], shown[n + i], m === 3 ? shown[2 * n + i] : 0, unit, turned, feature);
      }
    });
    this.drawGround(unit, turned);
    const lengths = norms(shown, m, n);
    features.forEach((feature, i) => {
      const [x, y] = feature.tip;
      const near = m === 3 ? feature.depth / REACH : 0;
      place(feature.line, { x1: feature.base[0], y1: feature.base[1], x2: x, y2: y });
      place(feature.dot, { cx: x, cy: y, r: 6.5 + 1.8 * near });
      if (m === 3) feature.arrow.style.opacity = near < -0.15 ? 0.55 : "";
      const height = Math.min(1, lengths[i] / this.extent.now);
      feature.fill.style.transform = `scaleY(${height.toFixed(4)})`;
    });
    if (m === 3) this.sortByDepth();
    this.drawFalls(unit, turned, lengths);
    this.drawLabels();
    const share = Math.min(1, this.data.threshold / this.extent.now);
    this.threshold.style.setProperty("--share", share.toFixed(4));
  }

  turning() {
    return [Math.cos(this.yaw), Math.sin(this.yaw), Math.cos(this.pitch), Math.sin(this.pitch)];
  }

  /** Where a hidden vector lands in the picture (y points down there), and how near it is. */
  project(x, y, z, unit, [cosYaw, sinYaw, cosPitch, sinPitch], into) {
    if (this.m === 2) {
      into.tip[0] = unit * x;
      into.tip[1] = -unit * y;
      return into;
    }
    const across = x * cosYaw + z * sinYaw;
    const depth = z * cosYaw - x * sinYaw;
    into.tip[0] = unit * across;
    into.tip[1] = -unit * (y * cosPitch - depth * sinPitch);
    into.depth = unit * (y * sinPitch + depth * cosPitch);
    return into;
  }

  drawGround(unit, turned) {
    const key = [unit.toFixed(2), this.m === 3 ? turned : ""].join();
    if (key === this.groundDrawn) return;
    this.groundDrawn = key;
    this.hiddenAxes.forEach((axis, k) => {
      const end = { tip: [0, 0], depth: 0 };
      const at = [0, 0, 0];
      at[k] = (SIDE - 10) / unit;
      this.project(...at, unit, turned, end);
      if (this.m === 1) end.tip = [unit * at[0], 0];
      const [x, y] = end.tip;
      place(axis.line, { x1: -x, y1: -y, x2: x, y2: y });
      // Beside the end of the axis: beyond it stand the labels of features that follow the axis.
      const reach = Math.hypot(x, y) || 1;
      const half = 3.2 * axis.text.textContent.length;
      const across = x - ((half + 8) * y) / reach;
      axis.box = {
        x: Math.max(half - SIDE, Math.min(SIDE - half, across)),
        y: y + (26 * x) / reach,
        width: half,
        height: 7,
      };
      place(axis.text, { x: axis.box.x, y: axis.box.y + 4 });
    });
    if (this.m === 1) {
      for (const { at, line, text } of this.marks) {
        place(line, { x1: at * unit, x2: at * unit });
        place(text, { x: at * unit, y: 188 });
      }
      return;
    }
    place(this.unit, { r: unit });
    if (this.m === 2) {
      const half = unit * this.data.threshold;
      place(this.half, { r: half });
      // Between two neighbours of the usual arrangements, where arrows seldom point.
      const [x, y] = [Math.cos(0.94), Math.sin(0.94)];
      place(this.unitText, { x: (unit + 12) * x + 14, y: (unit + 12) * y });
      place(this.halfText, { x: (half + 10) * x, y: (half + 10) * y });
      return;
    }
    for (const circle of this.circles) this.drawCircle(circle, unit, turned);
  }

  /** A great circle of the unit sphere, its far side fainter. */
  drawCircle({ axis, front, behind }, unit, turned) {
    const paths = ["", ""];
    let side = -1;
    const point = { tip: [0, 0], depth: 0 };
    for (let step = 0; step <= 60; step++) {
      const at = [0, 0, 0];
      at[(axis + 1) % 3] = Math.cos((step * Math.PI) / 30);
      at[(axis + 2) % 3] = Math.sin((step * Math.PI) / 30);
      this.project(...at, unit, turned, point);
      const now = point.depth >= 0 ? 1 : 0;
      const text = `${point.tip[0].toFixed(1)} ${point.tip[1].toFixed(1)}`;
      if (side >= 0) paths[side] += `L${text}`;
      if (now !== side) paths[now] += `M${text}`;
      side = now;
    }
    behind.setAttribute("d", paths[0]);
    front.setAttribute("d", paths[1]);
  }

  sortByDepth() {
    const { features, parts } = this;
    const order = [...features.keys()].sort((a, b) => features[a].depth - features[b].depth);
    if (order.every((i, at) => i === this.order[at])) return;
    this.order = order;
    parts.arrows.append(...order.map((i) => features[i].arrow));
  }

  /** The perpendiculars from the other tips onto the direction of the feature pointed at. */
  drawFalls(unit, turned, lengths) {
    const { m, n, features, shown, parts } = this;
    const i = this.active();
    const length = i < 0 ? 0 : lengths[i];
    const seen = length > 1e-6 && m > 1;
    parts.falls.style.display = seen ? "" : "none";
    if (!seen) return;
    const hat = [0, 1, 2].map((k) => (k < m ? shown[k * n + i] / length : 0));
    const along = products(shown, m, n, i);
    const point = { tip: [0, 0], depth: 0 };
    this.project(...hat.map((value) => (2 * value * SIDE) / unit), unit, turned, point);
    place(this.along, {
      x1: -point.tip[0], y1: -point.tip[1], x2: point.tip[0], y2: point.tip[1],
    });
    this.along.setAttribute("stroke", this.data.colours[i]);
    features.forEach((feature, j) => {
      const drawn = j !== i && feature.visible;
      feature.fall.style.display = feature.foot.style.display = drawn ? "" : "none";
      if (!drawn) return;
      this.project(...hat.map((value) => value * along[j]), unit, turned, point);
      const [x, y] = point.tip;
      place(feature.fall, { x1: feature.tip[0], y1: feature.tip[1], x2: x, y2: y });
      place(feature.foot, { cx: x, cy: y });
    });
  }

  /** Labels start just beyond their tips, then push one another and the dots aside. */
  drawLabels() {
    const boxes = [];
    for (const feature of this.features) {
      feature.label.style.display = feature.named ? "" : "none";
      if (!feature.named) continue;
      const [x, y] = feature.tip;
      const dx = x - feature.base[0];
      const dy = y - feature.base[1];
      const reach = Math.hypot(dx, dy) || 1;
      const letters = Math.max(feature.name.length, feature.figure.textContent.length);
      const width = 4.2 * letters + 3;
      const height = feature.figure.textContent ? 17 : 9;
      const away = 10 + (Math.abs(dx) * width + Math.abs(dy) * height) / reach;
      boxes.push({
        feature,
        width,
        height,
        x: x + (away * dx) / reach,
        y: y + (away * dy) / reach,
      });
    }
    for (let round = 0; round < 8; round++) {
      boxes.forEach((one, a) => {
        for (let b = a + 1; b < boxes.length; b++) part(one, boxes[b]);
        for (const { feature } of boxes) {
          if (feature !== one.feature) clear(one, feature.tip);
        }
        for (const { box } of this.hiddenAxes) part(one, { ...box }); // a copy: axes stay put
        const wide = SIDE - 2 - one.width;
        const high = SIDE - 2 - one.height;
        one.x = Math.max(-wide, Math.min(wide, one.x));
        one.y = Math.max(-high, Math.min(high, one.y));
      });
    }
    for (const { feature, height, x, y } of boxes) {
      const top = y + 9 - height;
      feature.label.setAttribute("transform", `translate(${x.toFixed(1)} ${top.toFixed(1)})`);
    }
    this.drawDropped();
  }

  /** The features whose dots lie at the centre, named in the widest gap between the arrows. */
  drawDropped() {
    const gone = this.features.filter((feature) => !feature.visible);
    const named = this.m === 2 && this.n <= CROWD && gone.length > 0;
    this.dropped.style.display = named ? "" : "none";
    if (!named) return;
    const text = `${gone.map((feature) => feature.name).join(", ")} dropped`;
    write(this.dropped, text);
    const width = 3.4 * text.length;
    const height = 8;
    const angles = this.features
      .filter((feature) => feature.visible)
      .map((feature) => Math.atan2(feature.tip[1], feature.tip[0]))
      .sort((a, b) => a - b);
    let best = { middle: -Math.PI / 2, half: Math.PI / 2, score: -Infinity };
    angles.forEach((angle, k) => {
      const gap = k + 1 < angles.length ? angles[k + 1] - angle : angles[0] + 2 * Math.PI - angle;
      const middle = angle + gap / 2;
      // Of gaps that are about as wide the one up left, so that the words stay where they are.
      const score = 4 * Math.round((gap * 12) / Math.PI) + Math.cos(middle + (3 * Math.PI) / 4);
      if (score > best.score) best = { middle, half: Math.min(gap / 2, Math.PI / 2), score };
    });
    // As far out as it takes for the box of the words to clear the arrows on either side.
    const needed = [-1, 1].map((side) => {
      const edge = best.middle + side * best.half;
      return width * Math.abs(Math.sin(edge)) + height * Math.abs(Math.cos(edge)) + 6;
    });
    const away = Math.max(...needed) / Math.sin(best.half);
    this.dropped.setAttribute("x", (away * Math.cos(best.middle)).toFixed(1));
    this.dropped.setAttribute("y", (away * Math.sin(best.middle)).toFixed(1));
  }

  // --- The reader's hand ---

  listen() {
    const { parts, root } = this;
    const on = (node, name, handle) =>
      node.addEventListener(name, handle, { signal: this.ending.signal });

    on(parts.slider, "input", () => this.setFrame(Number(parts.slider.value)));
    on(parts.slider, "change", () => this.settle());
    on(parts.slider, "pointerdown", () => (this.dragging = true));
    for (const name of ["pointerup", "pointercancel"]) {
      on(parts.slider, name, () => (this.dragging = false));
    }
    on(parts.tracks, "change", (event) => this.setTrack(Number(event.target.value)));

    on(parts.play, "click", () => this.togglePlay(false));
    on(parts.restart, "click", () => this.togglePlay(true));
    on(parts.scrubber, "input", () => this.setMoment(Number(parts.scrubber.value)));

    const barOf = (event) => event.target.closest?.(".bar");
    const indexOf = (event) => Number(barOf(event)?.dataset.feature ?? -1);
    on(parts.bars, "click", (event) => this.pin(indexOf(event)));
    on(parts.bars, "pointerover", (event) => {
      if (event.pointerType !== "touch") this.hover(indexOf(event));
    });
    on(parts.bars, "pointerleave", () => this.hover(-1));
    on(parts.bars, "focusin", (event) => {
      if (event.target.matches(":focus-visible")) this.focus(indexOf(event));
    });
    on(parts.bars, "focusout", () => this.focus(-1));
    on(parts.bars, "keydown", (event) => this.walkBars(event));
    on(root, "keydown", (event) => this.pickByKey(event));

    on(parts.picture, "pointerdown", (event) => {
      this.grip = { x: event.clientX, y: event.clientY, moved: false };
      if (this.m === 3) parts.picture.setPointerCapture(event.pointerId);
    });
    on(parts.picture, "pointermove", (event) => this.point(event));
    for (const name of ["pointerup", "pointercancel"]) {
      on(parts.picture, name, () => {
        this.turned = this.grip?.moved;
        this.grip = null;
        parts.picture.classList.remove("turning");
      });
    }
    on(parts.picture, "pointerleave", () => this.hover(-1));
    on(parts.picture, "click", (event) => {
      if (!this.turned) this.pin(this.nearest(event));
      this.turned = false;
    });
    on(parts.stage, "keydown", (event) => this.turnByKey(event));
  }

  point(event) {
    if (this.m === 3 && this.grip) {
      const dx = event.clientX - this.grip.x;
      const dy = event.clientY - this.grip.y;
      if (!this.grip.moved && Math.hypot(dx, dy) < 4) return;
      const speed = 3.2 / this.parts.picture.clientWidth;
      this.grip = { x: event.clientX, y: event.clientY, moved: true };
      this.parts.picture.classList.add("turning");
      this.turn(dx * speed, dy * speed);
    } else if (event.pointerType !== "touch") {
      this.hover(this.nearest(event));
    }
  }

  turn(yaw, pitch) {
    this.yaw += yaw;
    this.pitch = Math.max(-1.5, Math.min(1.5, this.pitch + pitch));
    this.schedule();
  }

  turnByKey(event) {
    if (this.m !== 3 || event.target !== this.parts.stage) return;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const by = step[event.key];
    if (!by) return;
    event.preventDefault();
    this.turn(0.12 * by[0], 0.12 * by[1]);
  }

  /** The feature whose arrow is nearest to the pointer and near enough, or -1. */
  nearest(event) {
    const box = this.parts.picture.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width - 0.5) * 2 * SIDE;
    const y = ((event.clientY - box.top) / box.height - 0.5) * 2 * SIDE;
    let best = -1;
    let gap = GRIP;
    this.features.forEach(({ base, tip, visible }, i) => {
      if (!visible) return;
      const dx = tip[0] - base[0];
      const dy = tip[1] - base[1];
      const share = ((x - base[0]) * dx + (y - base[1]) * dy) / (dx * dx + dy * dy || 1);
      const at = Math.max(0, Math.min(1, share));
      const distance = Math.hypot(x - base[0] - at * dx, y - base[1] - at * dy);
      if (distance < gap) [best, gap] = [i, distance];
    });
    return best;
  }

  hover(i) {
    if (i === this.hovered) return;
    this.hovered = i;
    this.parts.picture.classList.toggle("over", i >= 0);
    this.refresh();
  }

  focus(i) {
    if (i === this.focused) return;
    this.focused = i;
    this.refresh();
    this.announce();
  }

  pin(i) {
    this.pinned = i === this.pinned ? -1 : i;
    this.refresh();
    this.announce();
  }

  refresh() {
    this.stale = true;
    this.schedule();
  }

  walkBars(event) {
    const at = Number(event.target.dataset.feature);
    const step = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: this.n - 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const bar = this.features[(step + this.n) % this.n].bar;
    this.features.forEach((feature) => (feature.bar.tabIndex = feature.bar === bar ? 0 : -1));
    bar.focus({ focusVisible: true });
  }

  pickByKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && this.pinned >= 0) this.pin(this.pinned);
    const digit = "1234567890".indexOf(event.key);
    if (event.key.length === 1 && digit >= 0 && digit < this.n) this.pin(digit);
  }
}

/** Push two overlapping boxes apart, along the axis where they overlap least. */
function part(one, other) {
  const dx = other.x - one.x;
  const dy = other.y - one.y;
  const wide = one.width + other.width - Math.abs(dx);
  const high = one.height + other.height - Math.abs(dy);
  if (wide <= 0 || high <= 0) return;
  if (wide < high) {
    const push = ((dx < 0 ? -1 : 1) * wide) / 2;
    one.x -= push;
    other.x += push;
  } else {
    const push = ((dy < 0 ? -1 : 1) * high) / 2;
    one.y -= push;
    other.y += push;
  }
}

/** Push a box off a dot. */
function clear(box, [x, y]) {
  const dx = box.x - x;
  const dy = box.y - y;
  const wide = box.width + 8 - Math.abs(dx);
  const high = box.height + 8 - Math.abs(dy);
  if (wide <= 0 || high <= 0) return;
  if (wide < high) box.x += dx < 0 ? -wide : wide;
  else box.y += dy < 0 ? -high : high;
}
