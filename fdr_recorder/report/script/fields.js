// A search over every numeric field of every topic; what is chosen is drawn like the rest.

const MOST_FOUND = 60;
const EXAMPLE = 'Part of a topic or a field, say imu x';
const input = make('input', {
  type: 'text', placeholder: EXAMPLE, autocomplete: 'off', spellcheck: false,
});
const listbox = make('div', { id: 'found', hidden: true });
const status = make('p', { className: 'vh' });
const finder = make('div', { className: 'finder' }, input, listbox, status);
const addedCard = make('div', { className: 'card', hidden: true });
const addedAxis = make('div', { className: 'row axis' }, make('span', {}, 'UTC'));
addedCard.append(addedAxis);
const hint = make('p', { className: 'source' },
  'Each numeric field of each topic can be drawn. ',
  'Those of one unit can share a chart: + adds a field to it.');
const fieldsSection = make('section', { id: 'fields' },
  make('h2', {}, 'Any field ', make('small', {}, data.series.length.toLocaleString('en-US'))),
  hint, finder, addedCard);
input.setAttribute('role', 'combobox');
input.setAttribute('aria-label', 'Add a chart of a field');
input.setAttribute('aria-autocomplete', 'list');
input.setAttribute('aria-controls', listbox.id);
input.setAttribute('aria-expanded', 'false');
listbox.setAttribute('role', 'listbox');
listbox.setAttribute('aria-label', 'Fields');
status.setAttribute('role', 'status');

let target = null;
let options = [];
let active = -1;

const closeList = () => {
  listbox.hidden = true;
  input.setAttribute('aria-expanded', 'false');
  input.removeAttribute('aria-activedescendant');
  active = -1;
};
// Bring the search box to a chart, or (null) back to its section.
const openSearch = chart => {
  target = null; // the box loses the focus while it moves, which must not bring it back
  if (chart) chart.block.querySelector('.head').after(finder); else hint.after(finder);
  target = chart;
  finder.classList.toggle('at-chart', Boolean(chart));
  const what = chart ? `Add a field${chart.unit && ` in ${chart.unit}`} to ${chart.title}`
    : 'Add a chart of a field';
  input.setAttribute('aria-label', what);
  input.placeholder = chart ? what : EXAMPLE;
  if (chart) {
    input.value = '';
    input.focus();
    find();
  }
};
const activate = place => {
  options[active]?.element.removeAttribute('aria-selected');
  active = options.length ? (place + options.length) % options.length : -1;
  const chosen = options[active]?.element;
  if (!chosen) return;
  chosen.setAttribute('aria-selected', 'true');
  chosen.scrollIntoView({ block: 'nearest' });
  input.setAttribute('aria-activedescendant', chosen.id);
};
const marked = (text, words) => {
  const lower = text.toLowerCase();
  const [place, length] = words.map(word => [lower.indexOf(word), word.length])
    .find(pair => pair[0] >= 0) ?? [-1, 0];
  if (place < 0) return [text];
  const end = place + length;
  return [text.slice(0, place), make('mark', {}, text.slice(place, end)), text.slice(end)];
};
const optionOf = (series, words, place) => {
  const [low, high] = [series.lo, series.hi].map(each => short(each ?? 0, series.isWhole ? 0 : 2));
  const unit = series.unit && ` ${series.unit}`;
  const element = make('div', { className: 'option', id: `found-${place}` },
    make('span', { className: 'field' }, ...marked(series.field, words)),
    make('span', { className: 'topic-name' }, ...marked(series.topic || 'recorder', words)),
    make('span', { className: 'bounds' }, `${low === high ? low : `${low} to ${high}`}${unit}`));
  element.setAttribute('role', 'option');
  element.title = series.type;
  // the box keeps the focus
  element.addEventListener('pointerdown', event => event.preventDefault());
  element.addEventListener('click', () => choose(series));
  return { element, series };
};
const find = () => {
  const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fits = [...seriesById.values()].filter(series => {
    if (target && (series.unit !== target.unit || target.lines.includes(series))) return false;
    const text = `${series.topic || 'recorder'} ${series.field} ${series.name}`.toLowerCase();
    return words.every(word => text.includes(word));
  });
  options = fits.slice(0, MOST_FOUND).map((series, place) => optionOf(series, words, place));
  const rest = fits.length - options.length;
  const more = rest ? `and ${rest.toLocaleString('en-US')} more: type more of the name` : '';
  const note = fits.length ? more : 'No field like this';
  listbox.replaceChildren(...options.map(option => option.element));
  if (note) listbox.append(make('p', {}, note));
  listbox.hidden = false;
  status.textContent = `${fits.length} found`;
  input.setAttribute('aria-expanded', 'true');
  active = -1;
  if (words.length) activate(0);
};
const choose = series => {
  let chart = target;
  if (chart) {
    chart.add(series);
    openSearch(null);
    chart.element.focus({ preventScroll: true });
  } else {
    chart = addChart(series);
    input.select();
  }
  closeList();
  chart.block.scrollIntoView({ block: 'nearest' });
  status.textContent = `${series.topic} ${series.field} was added`;
  keepState();
};

const idOf = series => `added-${series.id}`;
const addChart = series => {
  const id = idOf(series);
  if (charts.has(id)) return charts.get(id);
  const plot = make('div', { className: 'plot' });
  plot.dataset.plot = id;
  const block = make('div', { className: 'chart added' },
    make('div', { className: 'head' },
      make('h3', {}, series.field, ' ', make('small', {}, series.unit),
        make('small', { className: 'of' }, ` ${series.topic || 'recorder'}`)),
      make('output')),
    make('div', { className: 'row' }, make('span'), plot));
  addedCard.hidden = false;
  addedAxis.before(block);
  const chart = new Chart(plot, {
    id, title: `${series.topic} ${series.field}`, unit: series.unit, series: [series.id],
  });
  const what = `Remove ${series.field} of ${series.topic}`;
  chart.tools.append(button(what, '\u00d7', () => removeChart(chart)));
  listen(chart);
  redraw();
  return chart;
};
const removeChart = chart => {
  if (chart.block.contains(finder)) openSearch(null);
  chart.u?.destroy();
  chart.block.remove();
  removePart(chart);
  charts.delete(chart.id);
  addedCard.hidden = !addedCard.querySelector('.chart');
  input.focus({ preventScroll: true });
  keepState();
};

// Which fields were added, to which charts: s1,s2~chart
const fieldState = () => [...charts.values()].flatMap(chart => [
  ...(chart.isAdded ? [encodeURIComponent(chart.lines[0].id)] : []),
  ...chart.lines.filter(line => !chart.own.has(line))
    .map(line => `${encodeURIComponent(line.id)}~${encodeURIComponent(chart.id)}`),
]).join(',');
const restoreFields = text => {
  for (const [id, chartId] of text.split(',').map(each => each.split('~'))) {
    const series = seriesById.get(id);
    if (!series) continue;
    if (chartId === undefined) addChart(series);
    else charts.get(chartId)?.add(series);
  }
};

input.addEventListener('input', find);
input.addEventListener('focus', () => { if (listbox.hidden) find(); });
input.addEventListener('click', () => { if (listbox.hidden) find(); });
input.addEventListener('blur', () => {
  closeList();
  if (target) openSearch(null);
});
input.addEventListener('keydown', event => {
  const steps = { ArrowDown: 1, ArrowUp: -1 };
  if (event.key in steps) {
    event.preventDefault();
    if (listbox.hidden) find();
    activate(active < 0 && steps[event.key] < 0 ? -1 : active + steps[event.key]);
  } else if (event.key === 'Enter' && options[active] && !listbox.hidden) {
    event.preventDefault();
    choose(options[active].series);
  } else if (event.key === 'Escape') {
    event.preventDefault();
    const chart = target;
    closeList();
    if (chart) {
      openSearch(null);
      chart.element.focus({ preventScroll: true });
    }
  }
});

const startFields = () => {
  if (!data.series.length) return;
  const topicsSection = document.getElementById('topics');
  topicsSection.before(fieldsSection);
  const link = make('a', { href: '#fields' }, 'Any field');
  const before = document.querySelector('nav a[href="#topics"]');
  if (before) before.before(link); else document.querySelector('nav').append(link);
};
