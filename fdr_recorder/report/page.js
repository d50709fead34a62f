'use strict';
(() => {
  const root = document.documentElement;
  const data = JSON.parse(document.getElementById('data').textContent);
  const at = document.querySelector('.at');
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];

  // --- light and dark ---------------------------------------------------------------------

  const KEY = 'fdr-report-theme';
  const isDark = () => root.dataset.theme
    ? root.dataset.theme === 'dark' : matchMedia('(prefers-color-scheme: dark)').matches;
  try {
    const theme = localStorage.getItem(KEY);
    if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
  } catch { /* a page from a file may have no storage */ }
  document.querySelector('.theme').addEventListener('click', () => {
    root.dataset.theme = isDark() ? 'light' : 'dark';
    try { localStorage.setItem(KEY, root.dataset.theme); } catch { /* likewise */ }
  });

  // --- times and numbers ------------------------------------------------------------------

  const pad = (number, width = 2) => String(number).padStart(width, '0');
  const clock = seconds => {
    const ms = data.t0 + Math.floor((data.us + seconds * 1e6) / 1000);
    return new Date(ms).toISOString().slice(11, 23);
  };
  const elapsed = seconds => {
    const ms = Math.round(seconds * 1000);
    const [s, rest] = [Math.floor(ms / 1000), pad(ms % 1000, 3)];
    const [hours, minutes] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
    return `${hours ? `${hours}:${pad(minutes)}` : minutes}:${pad(s % 60)}.${rest}`;
  };
  const number = (value, decimals) => value.toLocaleString('en-US', {
    minimumFractionDigits: decimals, maximumFractionDigits: decimals,
  }).replace('-', '\u2212');
  for (const local of all('.local')) {
    const time = new Date(Number(local.dataset.ms));
    const shown = time.toLocaleString(undefined, {
      hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short',
    });
    if (time.getTimezoneOffset()) local.textContent = `${shown} where you are`;
  }

  // --- the moment under the pointer -------------------------------------------------------

  const nearest = (times, seconds) => {
    let [low, high] = [0, times.length - 1];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (times[middle] <= seconds) low = middle; else high = middle;
    }
    return high >= 0 && seconds - times[low] > times[high] - seconds ? high : low;
  };
  const valueAt = (chart, seconds) => {
    if (!chart.t.length) return '';
    let place = nearest(chart.t, seconds);
    if (chart.h && chart.t[place] > seconds && place) place -= 1;
    if (!chart.h && Math.abs(chart.t[place] - seconds) > chart.g + data.span / 800) return '\u2013';
    const exact = chart.h ? '' : ` at ${clock(chart.t[place])}`;
    return `${number(chart.v[place], chart.d)}${chart.u && ` ${chart.u}`}${exact}`;
  };
  const eventsAt = (chart, seconds, width) => {
    const reach = 6 * data.span / Math.max(width, 1);
    const found = chart.e.filter(([from, to]) => seconds > from - reach && seconds < to + reach);
    const more = found.length > 3 ? ` (and ${found.length - 3} more)` : '';
    return found.slice(0, 3).map(event => event[2]).join(' \u00b7 ') + more;
  };

  const events = document.querySelector('.events');
  const plots = all('[data-c]').map(element => {
    const chart = data.old[element.dataset.c];
    const isSpark = element.classList.contains('spark');
    const block = isSpark || chart.x ? element : element.closest('.chart, .lane');
    return { element, chart, isSpark, output: block.querySelector('output') ?? events, dot: element.querySelector('.dot') };
  });
  const lanes = plots.filter(plot => plot.chart.e);
  let now = null;
  let pinned = false;

  const show = (seconds, active) => {
    now = seconds;
    root.classList.toggle('has-at', seconds !== null);
    for (const plot of plots) plot.element.classList.toggle('here', plot === active && seconds !== null);
    if (seconds === null) {
      at.textContent = '';
      for (const { output } of plots) if (output.textContent) output.textContent = '';
      events.textContent = events.dataset.hint;
      return;
    }
    root.style.setProperty('--at', Math.min(Math.max(seconds / data.span, 0), 1));
    at.textContent = `${clock(seconds)} UTC  +${elapsed(seconds)}`;
    for (const plot of plots) {
      const { chart, output, dot } = plot;
      let text = '';
      if (chart.e) continue;
      if (chart.r) {
        if (plot !== active) continue;
        const rate = chart.r[Math.min(Math.floor(seconds / chart.w), chart.r.length - 1)];
        text = `${number(rate ?? 0, 1)} Hz`;
      } else if (chart.x) {
        const place = nearest(chart.t, seconds);
        dot.setAttribute('cx', chart.x[place]);
        dot.setAttribute('cy', chart.y[place]);
        text = chart.l[place];
      } else {
        text = valueAt(chart, seconds);
      }
      output.textContent = text;
    }
    const here = lanes.map(({ chart, element }) => [chart.n, eventsAt(chart, seconds, element.clientWidth)]);
    events.textContent = here.filter(([, text]) => text).map(pair => pair.join(': ')).join('\n');
  };

  const secondsOf = (plot, event) => {
    const box = plot.element.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
    if (!plot.chart.x) return Math.min(Math.max(x, 0), 1) * data.span;
    let [best, place] = [Infinity, 0];
    const [px, py] = [400 * x, 400 * (event.clientY - box.top) / box.width];
    plot.chart.x.forEach((cx, index) => {
      const distance = (cx - px) ** 2 + (plot.chart.y[index] - py) ** 2;
      if (distance < best) [best, place] = [distance, index];
    });
    return plot.chart.t[place];
  };

  let frame = 0;
  const later = action => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(action);
  };
  const KEYS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
  for (const plot of plots) {
    const { element } = plot;
    element.addEventListener('pointermove', event => {
      if (pinned && event.pointerType === 'mouse') return;
      later(() => show(secondsOf(plot, event), plot));
    });
    element.addEventListener('pointerdown', event => {
      pinned = true;
      later(() => show(secondsOf(plot, event), plot));
    });
    element.addEventListener('pointerleave', event => {
      if (!pinned && event.pointerType === 'mouse') later(() => show(null));
    });
    element.addEventListener('keydown', event => {
      if (event.key === 'Escape') { pinned = false; show(null); return; }
      const step = KEYS[event.key];
      if (step === undefined) return;
      event.preventDefault();
      pinned = true;
      const width = data.span / (event.shiftKey ? 20 : 400);
      const next = Math.abs(step) === 1 ? (now ?? 0) + step * width : step;
      show(Math.min(Math.max(next, 0), data.span), plot);
    });
    if (plot.isSpark) {
      element.addEventListener('click', event => event.preventDefault()); // it is in a summary
    } else {
      element.addEventListener('focus', () => plot.output.setAttribute('aria-live', 'polite'));
      element.addEventListener('blur', () => plot.output.setAttribute('aria-live', 'off'));
    }
  }
  document.addEventListener('pointerdown', event => {
    if (pinned && !event.target.closest('[data-c], header, button, summary')) { pinned = false; show(null); }
  });

  // --- the list of topics -----------------------------------------------------------------

  const list = document.querySelector('.topics');
  const topics = all('.topic', list);
  const more = document.querySelector('.more');
  const search = document.querySelector('input[type=search]');
  let unfolded = Number(list.dataset.unfolded);
  const fold = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const topic of all('.topic', list)) {
      const fits = `${topic.dataset.name} ${topic.dataset.type}`.toLowerCase().includes(wanted);
      topic.hidden = !fits;
      shown += fits;
      topic.classList.toggle('folded', fits && shown > unfolded);
    }
    if (more) more.hidden = shown <= unfolded;
  };
  search.addEventListener('input', fold);
  if (more) more.addEventListener('click', () => { unfolded = Infinity; fold(); });
  for (const button of all('.titles button')) {
    button.addEventListener('click', () => {
      const key = button.dataset.sort;
      const isText = key === 'name';
      const was = button.getAttribute('aria-sort');
      const ascending = was ? was === 'descending' : isText;
      for (const other of all('.titles button')) other.removeAttribute('aria-sort');
      button.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
      topics.sort((a, b) => (ascending ? 1 : -1) * (isText
        ? a.dataset.name.localeCompare(b.dataset.name) : a.dataset[key] - b.dataset[key]));
      list.append(...topics);
      fold();
    });
  }
  fold();

  // --- on paper ---------------------------------------------------------------------------

  addEventListener('beforeprint', () => {
    show(null);
    for (const details of all('section > details')) details.open = true;
  });
})();
