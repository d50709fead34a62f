// The samples behind the charts: unpacked, found by time, and drawn so that none is hidden.

const KINDS = {
  f4: Float32Array, f8: Float64Array, i1: Int8Array, u1: Uint8Array, i2: Int16Array,
  u2: Uint16Array, i4: Int32Array, u4: Uint32Array,
};
let block = null;

const unpackSamples = async () => {
  const element = document.getElementById('arrays');
  const text = element.textContent.trim();
  let packed;
  if (Uint8Array.fromBase64) {
    packed = Uint8Array.fromBase64(text);
  } else {
    const binary = atob(text);
    packed = new Uint8Array(binary.length);
    for (let place = 0; place < binary.length; place += 1) {
      packed[place] = binary.charCodeAt(place);
    }
  }
  const inflate = new DecompressionStream('deflate-raw');
  block = await new Response(new Blob([packed]).stream().pipeThrough(inflate)).arrayBuffer();
  element.remove();
};

const arrayOf = ([offset, , kind, count]) => new KINDS[kind](block, offset, count);

const knownTimes = new Map();
const timesOf = reference => {
  const key = reference.join();
  if (!knownTimes.has(key)) {
    let times = arrayOf(reference);
    if (reference[2] === 'i4') { // microseconds since the one before
      const deltas = times;
      let us = 0;
      times = new Float64Array(deltas.length);
      for (let place = 0; place < deltas.length; place += 1) {
        us += deltas[place];
        times[place] = us / 1e6;
      }
    }
    knownTimes.set(key, times);
  }
  return knownTimes.get(key);
};

// The first place whose time is not before a time.
const placeOf = (times, seconds) => {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < seconds) low = middle + 1; else high = middle;
  }
  return low;
};
const nearest = (times, seconds) => {
  const after = placeOf(times, seconds);
  if (after === times.length) return after - 1;
  return after && seconds - times[after - 1] <= times[after] - seconds ? after - 1 : after;
};

class Series {
  constructor(specification) { Object.assign(this, specification); }

  get times() { return timesOf(this.t); }

  get values() { return (this.kept ??= arrayOf(this.v)); }

  get blocks() { return (this.known ??= blocksOf(this)); }

  get isWhole() { return !this.v[2].startsWith('f'); }

  // Whether the line goes on from one sample to the next.
  joins(place) {
    const { times, values, wrap } = this;
    return times[place + 1] - times[place] <= this.gap
      && !(wrap && Math.abs(values[place + 1] - values[place]) > wrap / 2);
  }

  // The place of the sample that is valid at a time; -1 if there is none.
  at(seconds, reach) {
    const { times, values } = this;
    let place = nearest(times, seconds);
    if (place < 0) return -1;
    if (this.step && times[place] > seconds && place) place -= 1;
    const far = Math.abs(times[place] - seconds) > (this.step ? this.gap : this.gap / 2) + reach;
    return far || Number.isNaN(values[place]) ? -1 : place;
  }

  // Places that a line from one time to another needs: those at its ends are outside.
  within(from, to) {
    const { times } = this;
    const first = Math.max(placeOf(times, from) - 1, 0);
    return [first, Math.min(placeOf(times, to) + 1, times.length)];
  }

  // The lowest and the highest value that a line from one time to another reaches.
  bounds(from, to) {
    const { times, values } = this;
    const [first, end] = this.within(from, to);
    let [low, high] = [Infinity, -Infinity];
    const add = value => {
      if (value < low) low = value;
      if (value > high) high = value;
    };
    const { low: lows, high: highs } = this.blocks;
    for (let place = first; place < end; place += 1) {
      const last = place + BLOCK - 1;
      if (place % BLOCK === 0 && last < end && times[place] >= from && times[last] <= to) {
        low = Math.min(low, lows[place / BLOCK]);
        high = Math.max(high, highs[place / BLOCK]);
        place = last;
      } else if (times[place] >= from && times[place] <= to) {
        add(values[place]);
      }
    }
    for (const [place, edge] of [[first, from], [end - 2, to]]) {
      const isCrossed = times[place] < edge && times[place + 1] > edge; // not where there is none
      if (!isCrossed || !this.joins(place)) continue;
      const share = (edge - times[place]) / (times[place + 1] - times[place]);
      add(this.step ? values[place] : values[place] + share * (values[place + 1] - values[place]));
    }
    if (this.step && !Number.isFinite(low) && first < times.length) add(values[first]);
    return [low, high];
  }
}

// The lowest and the highest of each block of samples, and whether the line breaks in it or before.
const BLOCK = 64;
const blocksOf = series => {
  const { times, values } = series;
  const count = Math.floor(times.length / BLOCK);
  const blocks = {
    low: new Float64Array(count).fill(Infinity), high: new Float64Array(count).fill(-Infinity),
    breaks: new Uint8Array(count),
  };
  for (let block = 0; block < count; block += 1) {
    let [low, high, breaks] = [Infinity, -Infinity, 0];
    for (let place = block * BLOCK; place < (block + 1) * BLOCK; place += 1) {
      const value = values[place];
      if (value < low) low = value;
      if (value > high) high = value;
      if (value !== value || !place || !series.joins(place - 1)) breaks = 1;
    }
    [blocks.low[block], blocks.high[block], blocks.breaks[block]] = [low, high, breaks];
  }
  return blocks;
};

const seriesById = new Map(data.series.map(each => [each.id, new Series(each)]));

// Trace a line for canvas. Where a column of pixels has several samples, the first, the lowest,
// the highest and the last are drawn: at any zoom, a single sample is as visible as a longer one.
// Returns the path, the area below it down to `bottom` (null: none), and samples that no line
// reaches.
const trace = (series, from, to, xOf, yOf, bottom) => {
  const { times, values, wrap, gap, step } = series;
  const [start, end] = series.within(from, to);
  const line = new Path2D();
  const area = bottom === null ? null : new Path2D();
  const dots = [];
  let [pen, column, count, at] = [false, 0, 0, 0];
  let [first, low, high, last] = [0, 0, 0, 0];
  let [leftX, lastX, lastY, columns] = [0, 0, 0, 0];
  const draw = (x, y) => { line.lineTo(x, y); area?.lineTo(x, y); };
  const flush = () => {
    if (!count) return;
    const x = count === 1 ? at : column + 0.5;
    const y = yOf(first);
    if (!pen) {
      line.moveTo(x, y);
      area?.moveTo(x, bottom);
      area?.lineTo(x, y);
      [leftX, columns, pen] = [x, 0, true];
    } else {
      if (step) draw(x, lastY);
      draw(x, y);
    }
    if (low !== high) {
      draw(x, yOf(low));
      draw(x, yOf(high));
      draw(x, yOf(last));
      columns += 1;
    }
    columns += 1;
    [lastX, lastY, count] = [x, yOf(last), 0];
  };
  const lift = until => {
    flush();
    if (!pen) return;
    if (step && until > lastX) draw(lastX = until, lastY);
    else if (columns === 1) dots.push([lastX, lastY]);
    area?.lineTo(lastX, bottom);
    area?.lineTo(leftX, bottom);
    pen = false;
  };
  let [before, was] = [0, 0];
  const { low: lows, high: highs, breaks } = series.blocks;
  for (let place = start; place < end; place += 1) {
    const block = place / BLOCK;
    const blockEnd = place + BLOCK - 1;
    if (count && place % BLOCK === 0 && blockEnd < end && !breaks[block]
        && Math.floor(xOf(times[blockEnd])) === column) { // all of it is in this column
      low = Math.min(low, lows[block]);
      high = Math.max(high, highs[block]);
      last = was = values[blockEnd];
      before = times[blockEnd];
      count += BLOCK;
      place = blockEnd;
      continue;
    }
    const value = values[place];
    const seconds = times[place];
    if ((pen || count) && (value !== value || seconds - before > gap
        || (wrap && Math.abs(value - was) > wrap / 2))) {
      lift(step ? xOf(Math.min(seconds, before + gap)) : 0);
    }
    if (value !== value) continue;
    const x = xOf(seconds);
    const here = Math.floor(x);
    if (count && here === column) {
      if (value < low) low = value;
      if (value > high) high = value;
      last = value;
      count += 1;
    } else {
      flush();
      [column, count, at, first, low, high, last] = [here, 1, x, value, value, value, value];
    }
    [before, was] = [seconds, value];
  }
  lift(step ? xOf(Math.min(before + gap, data.span)) : 0);
  return { line, area, dots, samples: end - start };
};
