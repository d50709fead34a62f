// The time line: lanes of events, thumbnails, the axes below charts, and small charts of rates.

const LANE_PX = 24;
const SIGNS = {
  diamond: new Path2D('M0-5 5 0 0 5-5 0Z'),
  triangle: new Path2D('M0-5 5 4H-5Z'),
  square: new Path2D('M-4-4H4V4H-4Z'),
  circle: new Path2D('M0-4.5A4.5 4.5 0 1 1-.01-4.5Z'),
};
const STRONG = ['bad', 'warn', 'quiet'];
const lanes = new Map();
const strip = element => {
  addMarks(element);
  element.tabIndex = 0;
};

// How the style sheet has bars of a level.
const styles = new Map();
whenRecoloured.unshift(() => styles.clear());
const SVG = 'http://www.w3.org/2000/svg';
const sample = document.createElementNS(SVG, 'svg');
sample.append(document.createElementNS(SVG, 'rect'));
sample.classList.add('sample');
document.body.append(sample);
const styleOf = level => {
  if (!styles.has(level)) {
    sample.firstChild.setAttribute('class', level);
    const { fill, stroke, strokeDasharray } = getComputedStyle(sample.firstChild);
    const dash = strokeDasharray === 'none' ? [] : strokeDasharray.split(/[ ,]+/).map(parseFloat);
    styles.set(level, { fill, stroke, dash });
  }
  return styles.get(level);
};

// Make a canvas as large as its place, and return its context, in CSS pixels.
const contextOf = (canvas, width, height) => {
  const ratio = devicePixelRatio;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext('2d');
  context.scale(ratio, ratio);
  return context;
};

class Lane {
  constructor(element, { id, name, events, sign }) {
    Object.assign(this, { id, name, events, sign });
    const picture = element.querySelector('svg');
    element.style.height = `${picture?.getAttribute('height') ?? LANE_PX}px`;
    element.setAttribute('role', 'group');
    element.setAttribute('aria-label', name);
    this.canvas = make('canvas');
    element.append(this.canvas);
    strip(element);
    addPart(element, this);
    lanes.set(id, this);
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!width) return;
    const context = contextOf(this.canvas, width, height);
    this.element.classList.add('drawn');
    context.strokeStyle = colour('--grid');
    context.beginPath();
    for (const seconds of ticksFor(width).ticks) {
      const x = Math.round(shareOf(seconds) * width) + 0.5;
      context.moveTo(x, 0);
      context.lineTo(x, height);
    }
    context.stroke();
    context.font = `10.5px ${getComputedStyle(document.body).fontFamily}`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    const edge = this.sign ? 8 : 4;
    for (const [from, to, , level, label] of this.events) {
      if (to < view.from || from > view.to) continue;
      const { fill, stroke, dash } = styleOf(level);
      const [left, right] = [from, to].map(each => clamp(shareOf(each) * width, -3, width + 3));
      const middle = (left + right) / 2;
      const shown = Math.max(right - left, 2);
      const start = right - left < 2 ? middle - 1 : left;
      context.fillStyle = fill;
      context.fillRect(start, edge, shown, height - 2 * edge);
      if (stroke !== 'none') {
        context.setLineDash(dash);
        context.strokeStyle = stroke;
        context.lineWidth = dash.length ? 1.5 : 1;
        const tall = height - 2 * edge - 1;
        if (shown > 4) context.strokeRect(start + 0.5, edge + 0.5, shown - 1, tall);
        context.setLineDash([]);
      }
      if (label && context.measureText(label).width < shown - 8) {
        context.fillStyle = colour(STRONG.includes(level) ? '--card' : '--ink');
        context.fillText(label, middle, height / 2 + 0.5);
      }
    }
    if (this.sign) for (const event of this.events) this.drawSign(context, event, width, height);
  }

  drawSign(context, [from, , , level], width, height) {
    if (from < view.from || from > view.to) return;
    context.save();
    context.translate(shareOf(from) * width, height / 2);
    context.fillStyle = styleOf(level).fill;
    context.strokeStyle = colour('--card');
    context.lineWidth = 1.2;
    context.fill(SIGNS[this.sign]);
    context.stroke(SIGNS[this.sign]);
    context.restore();
  }

  // What there is at a moment, in words.
  at(seconds) {
    const reach = 6 * (view.to - view.from) / Math.max(this.element.clientWidth, 1);
    const found = this.events.filter(
      ([from, to]) => seconds > from - reach && seconds < to + reach);
    const more = found.length > 3 ? ` (and ${found.length - 3} more)` : '';
    return found.slice(0, 3).map(event => event[2]).join(' \u00b7 ') + more;
  }
}

const eventsOutput = document.querySelector('.events');
const showEvents = () => {
  if (!eventsOutput) return;
  const text = view.now === null ? eventsOutput.dataset.hint
    : [...lanes.values()].map(lane => [lane.name, lane.at(view.now)])
      .filter(pair => pair[1]).map(pair => pair.join(': ')).join('\n');
  if (eventsOutput.textContent !== text) eventsOutput.textContent = text;
};

class Axis {
  constructor(element) {
    this.ticks = make('div', { className: 'ticks' });
    element.append(this.ticks);
    addPart(element, this);
  }

  draw() {
    const width = this.ticks.clientWidth;
    if (!width) return;
    const { ticks, decimals } = ticksFor(width);
    const half = 28 + 3.5 * decimals;
    this.ticks.replaceChildren(...ticks.map(seconds => {
      const tick = make('span', {}, clock(seconds, decimals));
      const x = Math.max(Math.min(shareOf(seconds) * width, width - half), half);
      tick.style.left = `${100 * x / width}%`;
      return tick;
    }));
  }
}

class Spark {
  constructor(element, { w, r }) {
    Object.assign(this, { step: w, rates: r });
    this.picture = element.querySelector('svg');
    this.output = element.querySelector('output');
    this.height = this.picture.getAttribute('height');
    addMarks(element);
    element.addEventListener('click', event => event.preventDefault()); // it is in a summary
    addPart(element, this);
  }

  draw() {
    const [left, right] = [view.from, view.to].map(each => 1000 * each / data.span);
    this.picture.setAttribute('viewBox', `${left} 0 ${right - left} ${this.height}`);
  }

  show() {
    const rate = this.rates[Math.min(Math.floor(view.now / this.step), this.rates.length - 1)];
    this.output.textContent = view.now === null ? '' : `${number(rate ?? 0, 1)} Hz`;
  }
}

// Pictures of cameras, at their times; the one at the moment shown is enlarged.
const preview = make('figure', { className: 'preview', hidden: true });
document.body.append(preview);

class Thumbs {
  constructor(element) {
    this.topic = element.dataset.thumbs;
    this.images = all('img', element);
    this.times = Float64Array.from(this.images, image => Number(image.dataset.t));
    this.figure = make('span', { hidden: true }, make('img', { alt: '' }), make('figcaption'));
    preview.append(this.figure);
    element.setAttribute('role', 'group');
    element.setAttribute('aria-label', `Pictures of ${this.topic}`);
    element.classList.add('drawn');
    strip(element);
    addPart(element, this);
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    let free = -Infinity;
    this.images.forEach((image, place) => {
      const size = height * image.width / image.height;
      const middle = shareOf(this.times[place]) * width;
      const left = clamp(middle - size / 2, 0, Math.max(width - size, 0));
      image.hidden = middle < 0 || middle > width || left < free;
      if (image.hidden) return;
      image.style.left = `${left}px`;
      free = left + size + 2;
    });
  }

  show() {
    const place = view.now === null || !this.times.length ? -1 : nearest(this.times, view.now);
    this.images.forEach((image, index) => image.classList.toggle('here', index === place));
    this.figure.hidden = place < 0;
    if (place < 0) return;
    const [image, caption] = this.figure.children;
    if (image.src !== this.images[place].src) image.src = this.images[place].src;
    caption.textContent = `${this.topic} at ${clock(this.times[place])}`;
  }
}

// Pictures are shown in a corner where the pointer is not.
const keepClear = ({ clientX, clientY }) => {
  preview.classList.toggle('left', clientX > innerWidth / 2 && clientY > innerHeight / 2);
};
const showPreview = () => {
  preview.hidden = ![...preview.children].some(figure => !figure.hidden);
};
