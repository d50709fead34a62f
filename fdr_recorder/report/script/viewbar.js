// The bar that says which part of the flight is shown, and changes it; the state in the address.

const atOutput = document.querySelector('.at');
const overview = make('div', { className: 'overview' },
  make('canvas'), make('i', { className: 'window' }), make('i', { className: 'mark' }));
overview.setAttribute('aria-hidden', 'true');
const rangeButtons = {
  earlier: button('Earlier', '\u2039', () => pan(-0.5)),
  later: button('Later', '\u203a', () => pan(0.5)),
  out: button('Zoom out', '\u2212', () => zoom(2)),
  into: button('Zoom in', '+', () => zoom(0.5)),
  whole: button('Whole flight', 'All', showWhole),
};
const viewbar = make('div', { className: 'viewbar' },
  make('div', { className: 'buttons' }, ...Object.values(rangeButtons)), overview);
viewbar.setAttribute('role', 'group');
viewbar.setAttribute('aria-label', 'Range of time');

// The window can be dragged; a press beside it brings it there; over the whole flight, a drag
// chooses a range.
let grip = null;
const overviewTime = event => {
  const box = overview.getBoundingClientRect();
  return data.span * clamp((event.clientX - box.left) / box.width, 0, 1);
};
overview.addEventListener('pointerdown', event => {
  const at = overviewTime(event);
  grip = { at, isWhole: isWhole() };
  overview.setPointerCapture(event.pointerId);
  if (!grip.isWhole && (at < view.from || at > view.to)) {
    const half = (view.to - view.from) / 2;
    const start = clamp(at - half, 0, data.span - 2 * half);
    setRange(start, start + 2 * half);
  }
});
overview.addEventListener('pointermove', event => {
  if (!grip) return;
  const at = overviewTime(event);
  if (grip.isWhole) {
    const [from, to] = [Math.min(at, grip.at), Math.max(at, grip.at)];
    if (to - from > data.span / 200) setRange(from, to);
  } else {
    pan((at - grip.at) / (view.to - view.from));
    grip.at = at;
  }
});
for (const kind of ['pointerup', 'pointercancel']) {
  overview.addEventListener(kind, () => { grip = null; });
}
overview.addEventListener('dblclick', showWhole);

const overviewPart = {
  draw() {
    const { clientWidth: width, clientHeight: height } = overview;
    if (!width) return;
    const context = contextOf(overview.firstChild, width, height);
    this.drawRates(context, width, height);
    for (const lane of lanes.values()) {
      for (const [from, to, , level] of lane.events) {
        if (!STRONG.includes(level)) continue;
        context.fillStyle = styleOf(level).fill;
        const [left, right] = [from, to].map(each => width * each / data.span);
        context.fillRect(Math.min(left, width - 2), 3, Math.max(right - left, 2), height - 6);
      }
    }
  },
  // The rate of all messages together.
  drawRates(context, width, height) {
    const rates = new Float64Array(Math.max(Math.floor(width / 2), 1));
    for (const { w, r } of Object.values(data.sparks)) {
      rates.forEach((rate, place) => {
        rates[place] = rate + (r[Math.floor((place + 0.5) / rates.length * data.span / w)] ?? 0);
      });
    }
    const most = Math.max(...rates, 1e-9);
    context.fillStyle = colour('--area');
    context.beginPath();
    rates.forEach((rate, place) => {
      const tall = (height - 6) * rate / most;
      context.rect(place * width / rates.length, height - tall, width / rates.length + 0.5, tall);
    });
    context.fill();
  },
  show() {
    overview.style.setProperty('--from', view.from / data.span);
    overview.style.setProperty('--to', view.to / data.span);
    overview.style.setProperty('--now', (view.now ?? 0) / data.span);
    // not `disabled`, which would take the focus away
    const useless = {
      earlier: view.from <= 0, later: view.to >= data.span, out: isWhole(), whole: isWhole(),
      into: view.to - view.from <= SHORTEST_S,
    };
    for (const [name, is] of Object.entries(useless)) {
      rangeButtons[name].setAttribute('aria-disabled', is);
    }
    const decimals = view.to - view.from < 0.05 ? 6 : 3;
    let text = '';
    if (view.now !== null) {
      text = `${clock(view.now, decimals)} UTC  +${elapsed(view.now, decimals)}`;
    } else if (!isWhole()) {
      const { decimals: few } = timeTicks(view.from, view.to, 20);
      text = `${clock(view.from, few)} to ${clock(view.to, few)}, ${lasting(view.to - view.from)}`;
    }
    if (atOutput.textContent !== text) atOutput.textContent = text;
  },
};
const startViewbar = () => {
  document.querySelector('body > header').append(viewbar);
  viewbar.append(atOutput);
  addPart(overview, overviewPart);
};

// --- the state in the address, so that a link shows the same ------------------------------------

let keeping = 0;
const round = seconds => Number(seconds.toFixed(6));
const keepState = () => {
  clearTimeout(keeping);
  keeping = setTimeout(() => {
    const kept = [];
    if (!isWhole()) kept.push(`from=${round(view.from)}`, `to=${round(view.to)}`);
    if (view.pinned && view.now !== null) kept.push(`at=${round(view.now)}`);
    const fields = fieldState();
    if (fields) kept.push(`fields=${fields}`);
    const had = new URLSearchParams(location.hash.slice(1));
    const isOurs = ['from', 'at', 'fields'].some(key => had.has(key));
    if (!kept.length && !isOurs) return;
    try {
      const bare = location.pathname + location.search;
      history.replaceState(null, '', kept.length ? `#${kept.join('&')}` : bare);
    } catch { /* some browsers refuse it for a file */ }
  }, 200);
};
const restoreState = () => {
  const kept = new URLSearchParams(location.hash.slice(1));
  const [from, to, at] = ['from', 'to', 'at'].map(key => parseFloat(kept.get(key)));
  if (kept.has('fields')) restoreFields(kept.get('fields'));
  if (from < to) setRange(clamp(from, 0, data.span), clamp(to, 0, data.span));
  if (Number.isFinite(at)) {
    view.pinned = true;
    showAt(at);
  }
};
addEventListener('hashchange', restoreState);
