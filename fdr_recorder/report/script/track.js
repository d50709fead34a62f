// The map: the part of the track in the range shown stands out, the moment shown is a dot.

const SHORTEST_UNITS = 1.2;

class Track {
  constructor(element, specification) {
    Object.assign(this, specification);
    this.isMap = true;
    this.output = element.querySelector('output');
    this.picture = element.querySelector('svg');
    this.dot = this.picture.querySelector('.dot');
    this.part = document.createElementNS(SVG, 'path');
    this.part.setAttribute('class', 'seen');
    this.picture.insertBefore(this.part, this.picture.querySelector('.start'));
    element.tabIndex = 0;
    addPart(element, this);
  }

  get times() { return timesOf(this.t); }

  get places() {
    if (this.known) return this.known;
    const [right, up] = [arrayOf(this.x), arrayOf(this.y)];
    const { side, unit, x0, y0 } = this.map;
    return (this.known = {
      x: Float64Array.from(right, x => side / 2 + (x - x0) * unit),
      y: Float64Array.from(up, y => side / 2 - (y - y0) * unit),
    });
  }

  draw() {
    const { times, places: { x, y } } = this;
    const steps = [];
    let [pen, lastX, lastY] = [false, 0, 0];
    const end = isWhole() ? 0 : placeOf(times, view.to);
    for (let place = placeOf(times, view.from); place < end; place += 1) {
      if (Number.isNaN(x[place] + y[place])) { pen = false; continue; }
      const isNear = Math.hypot(x[place] - lastX, y[place] - lastY) < SHORTEST_UNITS;
      if (pen && isNear && place + 1 < end) continue;
      steps.push(`${pen ? 'L' : 'M'}${x[place].toFixed(1)} ${y[place].toFixed(1)}`);
      [pen, lastX, lastY] = [true, x[place], y[place]];
    }
    this.part.setAttribute('d', steps.join(''));
  }

  show() {
    const { times, places: { x, y } } = this;
    if (view.now === null || !times.length) {
      this.output.textContent = '';
      return;
    }
    const place = nearest(times, view.now);
    if (Number.isNaN(x[place] + y[place])) return;
    this.dot.setAttribute('cx', x[place]);
    this.dot.setAttribute('cy', y[place]);
    this.output.textContent = this.words(times[place]);
  }

  // What was measured there: latitude and longitude, or metres, and the height.
  words(seconds) {
    return this.values.map(id => seriesById.get(id)).map(series => {
      const value = series.values[nearest(series.times, seconds)];
      if (Number.isNaN(value)) return '';
      if (series.unit === '\u00b0') return `${number(value, 7)}\u00b0`;
      const axis = series.name.length === 1 ? `${series.name} ` : '';
      return `${axis}${number(value, 2)} ${series.unit}`;
    }).filter(Boolean).join(', ');
  }

  // The time at which the track comes nearest to a place of the picture.
  nearestTo(event) {
    const { times, places: { x, y } } = this;
    const box = this.picture.getBoundingClientRect();
    const scale = this.map.side / box.width;
    const [px, py] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let [best, found] = [Infinity, 0];
    const [first, end] = [placeOf(times, view.from), placeOf(times, view.to + 1e-9)];
    for (let place = first; place < end; place += 1) {
      const distance = (x[place] - px) ** 2 + (y[place] - py) ** 2;
      if (distance < best) [best, found] = [distance, place];
    }
    return times[found];
  }
}
