// The page over a fleet: what is known at once, parts that load on demand, filters, sections.

const root = document.documentElement;
const data = JSON.parse(document.getElementById('data').textContent);
const PAGE_ROWS = 40;
const MATRIX_ROWS = 25;

const clean = text => text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, '\ufffd');
const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children.map(child => (typeof child === 'string' ? clean(child) : child)));
  return element;
};
const button = (label, action, properties = {}, ...children) => {
  const made = make('button', { type: 'button', ...properties }, ...children);
  if (label) made.setAttribute('aria-label', clean(label));
  made.addEventListener('click', action);
  return made;
};
const section = id => document.getElementById(id);
const vehicleName = name => name || '(no vehicle_id)';
const inWords = verdict => verdict.replaceAll('_', ' ');
const levelOf = verdict => (Object.hasOwn(data.levels, verdict) ? data.levels[verdict] : 'bad');
const number = value => (value === null ? '' : value.toLocaleString('en-US'));
const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? '' : 's'}`;
const pad = value => String(value).padStart(2, '0');
const when = ms => (ms === null ? 'unknown' : new Date(ms).toISOString().slice(0, 16).replace('T', ' '));
const day = ms => (ms === null ? '' : new Date(ms).toISOString().slice(0, 10));
const lasting = seconds => {
  if (seconds === null) return '';
  const whole = Math.round(seconds);
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${number(hours)}:${pad(minutes)} h` : `${minutes}:${pad(whole % 60)} min`;
};
const size = bytes => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let power = 0;
  for (; bytes >= 1024 && power < units.length - 1; power += 1) bytes /= 1024;
  return `${power ? bytes.toFixed(1) : bytes} ${units[power]}`;
};

// --- light and dark: as the reports have it -------------------------------------------------

const KEY = 'fdr-report-theme';
const darkSystem = matchMedia('(prefers-color-scheme: dark)');
try {
  const theme = localStorage.getItem(KEY);
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
} catch { /* a page from a file may have no storage */ }
document.querySelector('.theme').addEventListener('click', () => {
  const isDark = root.dataset.theme ? root.dataset.theme === 'dark' : darkSystem.matches;
  root.dataset.theme = isDark ? 'light' : 'dark';
  try { localStorage.setItem(KEY, root.dataset.theme); } catch { /* likewise */ }
});

// --- parts: scripts beside this page, each loaded once --------------------------------------

const arrived = new Map();
window.fdrFleet = content => arrived.set(document.currentScript, content);
const loading = new Map();
const load = file => {
  if (!loading.has(file)) {
    loading.set(file, new Promise((resolve, reject) => {
      const script = make('script', { src: file, async: true });
      script.addEventListener('load', () => {
        resolve(arrived.get(script));
        arrived.delete(script);
        script.remove();
      });
      script.addEventListener('error', () => reject(new Error(file)));
      document.head.append(script);
    }));
  }
  return loading.get(file);
};
const parts = data.parts.map(([month, first, last, count, flights, tracks]) => ({
  month, first, last, count, tracks, flights: null, file: flights,
}));
const flightsOf = async part => {
  if (!part.flights) {
    const [texts, rows] = await load(part.file);
    part.flights = rows.map((row, place) => ({
      part,
      place,
      ms: row[0],
      vehicle: texts[row[1]],
      name: row[2],
      seconds: row[3],
      bytes: row[4],
      messages: row[5],
      lost: row[6],
      verdict: texts[row[7]],
      sentence: texts[row[8]],
      recorder: texts[row[9]],
      firmware: texts[row[10]],
      report: texts[row[11]],
      alerts: row[12].map(([code, level, times]) => ({
        code: texts[code], level: texts[level], times,
      })),
    }));
  }
  return part.flights;
};
const said = document.querySelector('header .at');
const sayLost = () => {
  said.replaceChildren('This page was made anew meanwhile: ', button('', () => location.reload(), {}, 'Reload'));
};

// --- which flights --------------------------------------------------------------------------

const NAMES = ['text', 'vehicle', 'verdict', 'from', 'to'];
const filters = {
  text: make('input', { type: 'search', placeholder: 'Flight, alert, firmware …' }),
  vehicle: make('input', { type: 'search', placeholder: 'All vehicles' }),
  verdict: make('select', {}, make('option', { value: '' }, 'All verdicts')),
  from: make('input', { type: 'date' }),
  to: make('input', { type: 'date' }),
};
const LABELS = { text: 'Search', vehicle: 'Vehicle', verdict: 'Verdict', from: 'From', to: 'To' };
const clear = button('', () => setFilters({}), { className: 'clear', hidden: true }, 'Clear');
const startFilters = () => {
  const known = make('datalist', { id: 'known-vehicles' });
  for (const [name] of data.vehicles) known.append(make('option', { value: clean(name) }));
  filters.vehicle.setAttribute('list', known.id);
  for (const [verdict, count] of data.verdicts) {
    filters.verdict.append(make('option', { value: verdict }, `${inWords(verdict)} (${number(count)})`));
  }
  const bar = document.querySelector('.filters');
  for (const name of NAMES) {
    bar.append(make('label', {}, make('span', {}, LABELS[name]), filters[name]));
    filters[name].addEventListener('input', () => soon(refresh));
  }
  bar.append(known, clear);
};
let timer = 0;
const soon = action => {
  clearTimeout(timer);
  timer = setTimeout(action, 150);
};
const setFilters = values => {
  for (const name of NAMES) filters[name].value = values[name] ?? '';
  refresh();
};
const wanted = () => Object.fromEntries(NAMES.map(name => [name, filters[name].value.trim()]));
const textOf = flight => {
  flight.text ??= [
    vehicleName(flight.vehicle), flight.name, inWords(flight.verdict), flight.verdict, flight.sentence,
    flight.recorder, flight.firmware, when(flight.ms), ...flight.alerts.map(alert => alert.code),
  ].join('\n').toLowerCase();
  return flight.text;
};
const matcher = wants => {
  const words = wants.text.toLowerCase().split(/\s+/).filter(Boolean);
  const vehicle = wants.vehicle.toLowerCase();
  const isKnown = data.vehicles.some(([name]) => clean(name).toLowerCase() === vehicle);
  const isVehicle = flight => {
    const name = clean(flight.vehicle).toLowerCase();
    return isKnown ? name === vehicle : vehicleName(name).includes(vehicle);
  };
  return flight => (!vehicle || isVehicle(flight))
    && (!wants.verdict || flight.verdict === wants.verdict)
    && (!wants.from || (flight.ms !== null && day(flight.ms) >= wants.from))
    && (!wants.to || (flight.ms !== null && day(flight.ms) <= wants.to))
    && words.every(word => textOf(flight).includes(word));
};
const isIn = (part, wants) => (!wants.from && !wants.to) || (part.month
  && (!wants.from || day(part.last) >= wants.from) && (!wants.to || day(part.first) <= wants.to));

let turn = 0;
let found = [];
let isWhole = false;
let shown = PAGE_ROWS;
const refresh = async () => {
  turn += 1;
  const mine = turn;
  const wants = wanted();
  const isAll = NAMES.every(name => !wants[name]);
  const matches = matcher(wants);
  const those = parts.filter(part => isIn(part, wants));
  clear.hidden = isAll;
  saveState(wants);
  [found, isWhole, shown] = [[], false, PAGE_ROWS];
  for (const [place, part] of those.entries()) {
    if (isAll && found.length >= shown) break;
    let flights;
    try {
      flights = await flightsOf(part);
    } catch {
      sayLost();
      return;
    }
    if (mine !== turn) return;
    found.push(...(isAll ? flights : flights.filter(matches)));
    const rest = place + 1 < those.length ? `, ${place + 1} of ${those.length} parts read` : '';
    if (!isAll) said.textContent = `${number(found.length)} of ${plural(data.flights, 'flight')}${rest}`;
    if (place === 0 || found.length < shown) showFlights();
  }
  isWhole = !isAll;
  if (isAll) said.textContent = plural(data.flights, 'flight');
  showFlights();
  showMap(mine);
};
const more = async () => {
  shown += PAGE_ROWS;
  const mine = turn;
  const rest = parts.filter(part => !found.some(flight => flight.part === part));
  while (!isWhole && found.length < shown && rest.length) {
    try {
      const flights = await flightsOf(rest.shift());
      if (mine !== turn) return;
      found.push(...flights);
    } catch {
      sayLost();
      return;
    }
  }
  showFlights();
};
const saveState = wants => {
  const values = Object.entries(wants).filter(([, value]) => value);
  const text = new URLSearchParams(values).toString();
  try {
    history.replaceState(null, '', text ? `#?${text}` : location.pathname + location.search);
  } catch { /* not from every file */ }
};
const restoreState = () => {
  const values = new URLSearchParams(location.hash.startsWith('#?') ? location.hash.slice(2) : '');
  for (const name of NAMES) filters[name].value = values.get(name) ?? '';
};

// --- the numbers at the top -----------------------------------------------------------------

const startFacts = () => {
  const not = data.verdicts.filter(([verdict]) => !['good', 'soft'].includes(levelOf(verdict)));
  const count = not.reduce((sum, [, each]) => sum + each, 0);
  const alerts = data.codes.reduce((sum, [, , , times]) => sum + times, 0);
  const months = data.months.map(([month]) => month).filter(Boolean);
  for (const [name, value, small] of [
    ['Flights', number(data.flights), months.length ? `${months[0]} to ${months.at(-1)}` : ''],
    ['Vehicles', number(data.vehicle_count), ''],
    ['Recorded', data.duration_s < 36000 ? lasting(data.duration_s) : `${number(Math.round(data.duration_s / 3600))} h`, ''],
    ['Size', size(data.bytes), ''],
    ['To look at', number(count), not.map(([verdict, each]) => `${number(each)} ${inWords(verdict)}`).join(', ')],
    ['Alerts', number(alerts), plural(data.codes.length, 'kind')],
  ]) {
    section('facts').append(make('div', {}, make('dt', {}, name), make('dd', {}, value, make('small', {}, small))));
  }
};

// --- flights by month, by day and vehicle ---------------------------------------------------

// Arrow keys go from button to button within a group, which is one stop of the tab key.
const rove = (group, perRow) => {
  const buttons = () => [...group.querySelectorAll('button')];
  group.addEventListener('focusin', event => {
    for (const each of buttons()) each.tabIndex = each === event.target ? 0 : -1;
  });
  group.addEventListener('keydown', event => {
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -perRow, ArrowDown: perRow }[event.key];
    const all = buttons();
    const place = all.indexOf(document.activeElement);
    if (!step || place < 0) return;
    const aim = Math.abs(step) === 1 ? all[place + step] : nextRow(all, place, step);
    if (aim) {
      aim.focus();
      event.preventDefault();
    }
  });
};
const nextRow = (all, place, step) => {
  const rows = [...new Set(all.map(each => each.closest('tr')))];
  const [cell, row] = [all[place].closest('td'), rows[rows.indexOf(all[place].closest('tr')) + Math.sign(step)]];
  const there = row ? [...row.querySelectorAll('button')] : [];
  const off = each => Math.abs(each.closest('td').cellIndex - cell.cellIndex);
  return there.sort((one, other) => off(one) - off(other))[0];
};
const startDays = () => {
  const months = data.months.filter(([month]) => month);
  const most = Math.max(1, ...months.map(([, ...counts]) => counts.reduce((sum, each) => sum + each)));
  const chart = make('div', { className: 'months card' });
  chart.setAttribute('role', 'group');
  chart.setAttribute('aria-label', 'Months');
  for (const [month, ...counts] of months) {
    const total = counts.reduce((sum, each) => sum + each);
    const column = make('span', { className: 'column' });
    counts.forEach((count, place) => {
      const bar = make('i', { className: data.level_names[place] });
      bar.style.height = `${100 * count / most}%`;
      if (count) column.append(bar);
    });
    const name = month.endsWith('-01') || month === months[0][0] ? month : month.slice(5);
    const each = button(`${month}: ${plural(total, 'flight')}`, () => showMonth(month), {
      title: `${month}: ${plural(total, 'flight')}`, tabIndex: -1,
    }, column, make('small', {}, name));
    each.dataset.month = month;
    chart.append(each);
  }
  const key = make('p', { className: 'key' }, ...data.level_names.flatMap(level => {
    const names = Object.keys(data.levels).filter(verdict => levelOf(verdict) === level);
    return [make('i', { className: level }), `${names.map(inWords).join(', ')} `];
  }));
  rove(chart, 1);
  section('days').append(chart, key, make('div', { className: 'matrix card' }));
  if (!months.length) return chart.replaceChildren('No flight says when it was.');
  chart.scrollLeft = chart.scrollWidth;
  return showMonth(months.at(-1)[0]);
};
let month = '';
const showMonth = async (name, most = MATRIX_ROWS) => {
  month = name;
  for (const each of document.querySelectorAll('.months button')) {
    each.setAttribute('aria-pressed', String(each.dataset.month === name));
    if (each.dataset.month === name) each.tabIndex = 0;
  }
  const rows = new Map();
  try {
    for (const part of parts.filter(each => each.month === name)) {
      for (const flight of await flightsOf(part)) {
        const days = rows.get(flight.vehicle) ?? rows.set(flight.vehicle, new Map()).get(flight.vehicle);
        const date = new Date(flight.ms).getUTCDate();
        days.set(date, [...(days.get(date) ?? []), flight]);
      }
    }
  } catch {
    return sayLost();
  }
  if (month === name) showMatrix(name, rows, most);
  return null;
};
const worst = flights => data.level_names[Math.max(...flights.map(flight => data.level_names.indexOf(levelOf(flight.verdict))))];
const showMatrix = (name, rows, most) => {
  const last = new Date(Date.UTC(+name.slice(0, 4), +name.slice(5), 0)).getUTCDate();
  const dates = Array.from({ length: last }, (_, place) => place + 1);
  const total = days => [...days.values()].reduce((sum, each) => sum + each.length, 0);
  const ordered = [...rows].sort((one, other) => total(other[1]) - total(one[1]) || (one[0] < other[0] ? -1 : 1));
  const head = make('tr', {}, make('th', {}, `${name}`), ...dates.map(date => make('th', {}, String(date))));
  const body = ordered.slice(0, most).map(([vehicle, days]) => make('tr', {},
    make('th', { scope: 'row' }, make('bdi', {}, vehicleName(vehicle))),
    ...dates.map(date => {
      const flights = days.get(date);
      if (!flights) return make('td');
      const at = `${name}-${pad(date)}`;
      const label = `${vehicleName(vehicle)}, ${at}: ${plural(flights.length, 'flight')}, ${inWords(worstVerdict(flights))}`;
      return make('td', {}, button(label, () => {
        setFilters({ vehicle: clean(vehicle), from: at, to: at });
        section('flights').scrollIntoView();
      }, { className: worst(flights), title: clean(label), tabIndex: -1 }, String(flights.length)));
    })));
  const table = make('table', {}, make('thead', {}, head), make('tbody', {}, ...body));
  rove(table, last);
  const first = table.querySelector('button');
  if (first) first.tabIndex = 0;
  const rest = ordered.length - most;
  const place = document.querySelector('.matrix');
  place.replaceChildren(make('div', { className: 'scroll' }, table));
  if (rest > 0) place.append(button('', () => showMonth(name, most + 200), { className: 'more' }, `${plural(rest, 'more vehicle')}`));
};
const worstVerdict = flights => flights.map(flight => flight.verdict)
  .sort((one, other) => data.level_names.indexOf(levelOf(other)) - data.level_names.indexOf(levelOf(one)))[0];
