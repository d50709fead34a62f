// Charts of values over time, drawn by uPlot; the legend has the values at the moment shown.

const COLOURS = 6;
const DECIMALS = { V: 2, A: 1, m: 2, '\u00b0': 1, s: 3, 'm/s': 2 };
const POWERS = [...Array(28).keys()].map(place => place - 12);
const INCREMENTS = POWERS.flatMap(power => [1, 2, 5].map(part => Number(`${part}e${power}`)));
const ANGLES = [...INCREMENTS.filter(step => step < 15), 15, 30, 45, 90, 180, 360, 720];
const SIGN_OF_NONE = '\u2013';

const charts = new Map();
// How many ticks a time axis of a width has.
const mostTicks = (width, decimals) => Math.max(width / ((width < 500 ? 76 : 96) + 7 * decimals), 1);
const ticksFor = width => {
  const { decimals } = timeTicks(view.from, view.to, mostTicks(width, 0));
  return timeTicks(view.from, view.to, mostTicks(width, decimals));
};
const addMarks = element => element.append(
  make('i', { className: 'sel' }), make('i', { className: 'cur' }));

class Chart {
  constructor(element, specification) {
    const { id, title, unit, series, bands = [] } = specification;
    Object.assign(this, { ...specification, bands });
    this.block = element.closest('.chart');
    this.isAdded = this.block.classList.contains('added');
    this.lines = series.map(each => seriesById.get(each)).filter(Boolean);
    this.fewest = specification.decimals ?? DECIMALS[unit] ?? 0;
    this.own = new Set(this.lines);
    const picture = element.querySelector(':scope > svg');
    element.style.height = `${picture?.getAttribute('height') ?? 120}px`;
    element.tabIndex = 0;
    element.setAttribute('role', 'group');
    element.setAttribute('aria-label', `${title} over time`);
    const head = this.block.querySelector('.head');
    this.keys = head.querySelector('.keys') ?? make('span', { className: 'keys' });
    this.output = head.querySelector('output');
    this.output.classList.add('vh');
    this.tools = make('span', { className: 'tools' },
      button('Add a field to this chart', '+', () => openSearch(this)));
    head.append(this.keys, this.output, this.tools);
    addMarks(element);
    addPart(element, this);
    charts.set(id, this);
    this.relabel();
  }

  // Setpoints are dashed, in the colour of what they are for.
  get colours() {
    const found = new Map();
    let next = 0;
    for (const line of this.lines) if (!this.isSetpoint(line)) found.set(line, next++ % COLOURS);
    for (const line of this.lines) {
      if (this.isSetpoint(line)) found.set(line, found.get(seriesById.get(line.setpoint_of)));
    }
    return found;
  }

  nameOf(line) {
    if (this.own.has(line) && this.isSetpoint(line)) return 'setpoint';
    if (this.own.has(line)) return this.isAdded ? line.field : line.name;
    return line.topic === this.lines[0].topic ? line.field : `${line.topic} ${line.field}`;
  }

  isSetpoint(line) { return this.lines.includes(seriesById.get(line.setpoint_of)); }

  add(line) {
    if (!this.lines.includes(line)) this.lines.push(line);
    this.rebuild();
  }

  remove(line) {
    this.lines = this.lines.filter(each => each !== line);
    this.rebuild();
  }

  rebuild() {
    this.u?.destroy();
    this.u = null;
    this.relabel();
    this.isStale = true;
    redraw();
    keepState();
  }

  relabel() {
    const { colours: colour_of, lines } = this;
    const isOne = lines.length === 1;
    this.labels = lines.map(line => {
      const name = this.nameOf(line);
      const key = make('span', { className: `key s${colour_of.get(line)}` });
      key.classList.toggle('set', this.isSetpoint(line));
      key.title = `${line.topic} ${line.field}`;
      const value = make('b');
      if (!isOne) key.append(make('span', { className: 'name' }, name));
      key.append(value);
      if (!line.exact) {
        const title = 'The lowest and the highest of each of many short times';
        key.append(make('small', { title }, 'extremes'));
      }
      if (!this.own.has(line)) {
        key.append(button(`Remove ${name} from this chart`, '\u00d7', () => this.remove(line)));
      }
      return { line, name, value };
    });
    this.keys.classList.toggle('one', isOne);
    this.keys.replaceChildren(...this.labels.map(label => label.value.parentElement));
    for (const dot of all('.dot', this.element)) dot.remove();
    this.dots = lines.map(line => make('i', { className: `dot s${colour_of.get(line)}` }));
    this.element.append(...this.dots);
    this.measure();
  }

  // Find the range of values, and how many decimals tell them apart.
  measure() {
    let [low, high] = [Infinity, -Infinity];
    for (const line of this.lines) {
      const [least, most] = this.isSeen ? line.bounds(view.from, view.to) : [line.lo, line.hi];
      low = Math.min(low, least ?? Infinity);
      high = Math.max(high, most ?? -Infinity);
    }
    this.found = low <= high ? [low, high] : null;
    if (!this.found) {
      low = Math.min(...this.lines.map(line => line.lo ?? 0));
      high = Math.max(...this.lines.map(line => line.hi ?? 0));
    }
    if (isWhole()) {
      low = Math.min(low, this.low ?? low);
      high = Math.max(high, this.high ?? high);
    }
    const size = Math.max(Math.abs(low), Math.abs(high));
    const room = high - low > 1e-9 * size ? 0.05 * (high - low) : Math.max(0.05 * size, 0.5);
    this.range = [low - (low === 0 && this.area ? 0 : room), high + room];
    const digits = clamp(2 - Math.floor(Math.log10(high - low || 1)), 0, 9);
    this.decimals = Math.max(this.lines.every(line => line.isWhole) ? 0 : digits, this.fewest);
  }

  say(value, line) {
    const text = short(value, line.isWhole ? Math.min(this.decimals, this.fewest) : this.decimals);
    return this.unit ? `${text}\u00a0${this.unit}` : text;
  }

  draw(paperWidth) {
    this.measure();
    const { element } = this;
    const gutter = element.getBoundingClientRect().left
      - element.parentElement.getBoundingClientRect().left;
    const width = paperWidth ?? element.clientWidth;
    const size = { width: width + gutter, height: element.clientHeight };
    if (!width) return;
    if (!this.u) this.build(size, gutter);
    else if (this.u.width !== size.width || this.u.height !== size.height) this.u.setSize(size);
    this.u.root.style.left = `${-gutter}px`;
    this.u.setScale('x', { min: view.from, max: view.to });
  }

  build(size, gutter) {
    const colour_of = this.colours;
    const grid = { stroke: () => colour('--grid'), width: 1 };
    const font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const steps = this.unit === '\u00b0' ? ANGLES : INCREMENTS;
    // setpoints lie over what they are for
    const drawn = [...this.lines].sort((a, b) => this.isSetpoint(a) - this.isSetpoint(b));
    this.u = new uPlot({
      ...size,
      padding: [6, 0, 6, 0],
      legend: { show: false },
      cursor: { show: false },
      select: { show: false },
      scales: {
        x: { time: false, range: () => [view.from, view.to] },
        y: { range: () => this.range },
      },
      axes: [
        {
          size: 0, gap: 0, grid, ticks: { show: false },
          values: (u, splits) => splits.map(() => ''),
          splits: u => ticksFor(u.bbox.width / devicePixelRatio).ticks,
        },
        {
          size: gutter, gap: 8, grid, ticks: { show: false }, font,
          space: (u, axis, low, high, height) => (height < 140 ? 20 : 44),
          stroke: () => colour('--soft'),
          incrs: this.decimals || this.unit === '\u00b0' ? steps : steps.filter(step => step >= 1),
          values: (u, splits, axis, space, step) => {
            const decimals = clamp(-Math.floor(Math.log10(step) + 1e-9), 0, 9);
            const digits = most => clamp(Math.ceil(Math.log10(most / step)), 2, 6);
            return splits.map(value => short(value, decimals, 1e7, digits(Math.abs(value) || step)));
          },
        },
      ],
      series: [{}, ...drawn.map(line => ({
        width: 1.5,
        pxAlign: 0,
        points: { show: false },
        cap: 'round',
        dash: this.isSetpoint(line) ? [5 * devicePixelRatio, 4 * devicePixelRatio] : undefined,
        stroke: () => colour(`--${this.isSetpoint(line) ? 'p' : 's'}${colour_of.get(line)}`),
        fill: this.area ? () => colour('--area') : undefined,
        paths: u => this.path(u, line),
      }))],
      hooks: {
        drawClear: [u => this.drawBands(u)],
        draw: [u => this.drawDots(u, drawn, colour_of)],
      },
    }, [[0, data.span], ...drawn.map(() => [null, null])], this.element);
    this.element.classList.add('drawn');
  }

  path(u, line) {
    const { left, top, width, height } = u.bbox;
    const [low, high] = this.range;
    const x = width / (view.to - view.from);
    const y = height / (high - low);
    const traced = trace(line, view.from, view.to,
      seconds => left + (seconds - view.from) * x, value => top + (high - value) * y,
      this.area ? top + height : null);
    (this.alone ??= new Map()).set(line, traced.dots);
    return {
      stroke: traced.line, fill: traced.area, clip: null, band: null, gaps: null, flags: 0,
    };
  }

  // What happened, behind the lines.
  drawBands({ ctx, bbox }) {
    for (const id of this.bands) {
      for (const [from, to, , level] of lanes.get(id)?.events ?? []) {
        const [left, right] = [from, to].map(
          each => bbox.left + clamp(shareOf(each), 0, 1) * bbox.width);
        if (right <= left) continue;
        ctx.globalAlpha = STRONG.includes(level) ? 0.16 : 0.5;
        ctx.fillStyle = styleOf(level).fill;
        ctx.fillRect(left, 0, right - left, bbox.height + 2 * bbox.top);
        ctx.globalAlpha = 1;
      }
    }
  }

  // Samples that no line reaches, and all of them where there is room to tell them apart.
  drawDots({ ctx, bbox }, drawn, colour_of) {
    const ratio = devicePixelRatio;
    const [low, high] = this.range;
    for (const line of drawn) {
      const [start, end] = line.within(view.from, view.to);
      const isRoomy = line.exact && line.topic && !line.step
        && (end - start) * 10 * ratio < bbox.width;
      ctx.save();
      ctx.beginPath();
      ctx.rect(bbox.left - 3 * ratio, 0, bbox.width + 6 * ratio, bbox.height + 2 * bbox.top);
      ctx.clip();
      ctx.fillStyle = colour(`--s${colour_of.get(line)}`);
      ctx.beginPath();
      const dot = (x, y, radius) => {
        ctx.moveTo(x + radius, y);
        ctx.arc(x, y, radius, 0, 2 * Math.PI);
      };
      for (const [x, y] of this.alone.get(line) ?? []) dot(x, y, 1.75 * ratio);
      if (isRoomy) {
        for (let place = start; place < end; place += 1) {
          const value = line.values[place];
          if (Number.isNaN(value)) continue;
          dot(bbox.left + shareOf(line.times[place]) * bbox.width,
            bbox.top + (high - value) / (high - low) * bbox.height, 2 * ratio);
        }
      }
      ctx.fill();
      ctx.restore();
    }
    if (!this.found) {
      ctx.fillStyle = colour('--soft');
      ctx.font = `${12 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
      ctx.textAlign = 'center';
      const [x, y] = [bbox.left + bbox.width / 2, bbox.top + bbox.height / 2];
      ctx.fillText('no value in this range', x, y);
    }
  }

  show() {
    const said = [];
    const isOne = this.labels.length === 1;
    this.labels.forEach(({ line, name, value }, index) => {
      const dot = this.dots[index];
      let text = '';
      dot.hidden = true;
      if (view.now !== null) {
        const place = line.at(view.now, (view.to - view.from) / 800);
        const sample = line.values[place];
        const seconds = line.times[place];
        text = place < 0 ? SIGN_OF_NONE : this.say(sample, line);
        if (place >= 0 && isOne && !line.step) said.push(`${text} at ${clock(seconds)}`);
        else said.push(isOne ? text : `${name} ${text}`);
        const x = shareOf(line.step ? clamp(view.now, view.from, view.to) : seconds);
        if (place >= 0 && this.u && this.isSeen && x >= 0 && x <= 1) {
          const [low, high] = this.range;
          const height = this.element.clientHeight - 12;
          dot.hidden = false;
          dot.style.left = `${100 * x}%`;
          dot.style.top = `${6 + height * (high - sample) / (high - low)}px`;
        }
      } else if (isOne && this.found) {
        const [low, high] = this.found;
        text = low === high ? this.say(low, line)
          : `${short(low, this.decimals)} to ${this.say(high, line)}`;
      }
      if (value.textContent !== text) value.textContent = text;
    });
    const text = said.join(', ').replaceAll('\u00a0', ' ');
    if (this.output.textContent !== text) this.output.textContent = text;
  }
}
