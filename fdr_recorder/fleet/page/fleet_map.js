// The list of flights, their tracks on a map, alerts and vehicles; then everything begins.

// --- the list -------------------------------------------------------------------------------

const TITLES = ['Start (UTC)', 'Vehicle', 'Flight', 'Duration', 'Messages', 'Lost', 'Alerts', 'Verdict', ''];
const NUMERIC = [3, 4, 5, 6];
const list = make('tbody');
const moreFlights = button('', more, { className: 'more' }, 'More');
const startFlights = () => {
  const heads = TITLES.map((title, place) => make('th', { className: NUMERIC.includes(place) ? 'num' : '' }, title));
  const table = make('table', {}, make('thead', {}, make('tr', {}, ...heads)), list);
  section('flights').append(make('div', { className: 'card list' }, make('div', { className: 'scroll' }, table)), moreFlights);
};
const tag = verdict => make('span', { className: `tag ${levelOf(verdict)}` }, inWords(verdict));
const reportLink = flight => {
  if (!/^\.\.\/results\/report\/[\w.~/-]+$/.test(flight.report)) return '';
  return make('a', { href: flight.report }, 'Report');
};
const showFlights = () => {
  const rows = found.slice(0, shown).map(flight => {
    const open = button('', () => toggle(flight, open), { className: 'open' }, when(flight.ms));
    open.setAttribute('aria-expanded', 'false');
    const cells = [
      open,
      make('bdi', {}, vehicleName(flight.vehicle)),
      make('code', {}, flight.name),
      lasting(flight.seconds),
      number(flight.messages),
      flight.lost ? make('b', { className: 'lost' }, number(flight.lost)) : number(flight.lost),
      flight.alerts.length ? number(flight.alerts.reduce((sum, alert) => sum + alert.times, 0)) : '',
      tag(flight.verdict),
      reportLink(flight),
    ];
    const row = make('tr', {}, ...cells.map((cell, place) => make('td', { className: NUMERIC.includes(place) ? 'num' : '' }, cell)));
    flight.row = row;
    return row;
  });
  list.replaceChildren(...rows);
  if (!rows.length) list.append(make('tr', {}, make('td', { colSpan: TITLES.length }, 'No flight is like this.')));
  const total = isWhole || clear.hidden === false ? found.length : data.flights;
  moreFlights.hidden = shown >= total;
  moreFlights.textContent = `${plural(Math.max(total - shown, 0), 'more flight')}`;
};
const toggle = async (flight, open) => {
  const isOpen = open.getAttribute('aria-expanded') === 'true';
  open.setAttribute('aria-expanded', String(!isOpen));
  if (isOpen) {
    flight.row.nextSibling.remove();
    return;
  }
  const facts = make('dl');
  for (const [name, value] of [
    ['Verdict', flight.sentence], ['Size', flight.bytes === null ? '' : size(flight.bytes)],
    ['Recorder', flight.recorder], ['Firmware', flight.firmware],
    ['Alerts', flight.alerts.map(alert => `${alert.code} (${alert.level}${alert.times > 1 ? `, ${number(alert.times)} times` : ''})`).join(', ')],
  ]) {
    if (value) facts.append(make('div', {}, make('dt', {}, name), make('dd', {}, value)));
  }
  const place = make('div', { className: 'one' });
  const cell = make('td', { colSpan: TITLES.length }, make('div', { className: 'about' }, facts, place));
  flight.row.after(make('tr', { className: 'about-row' }, cell));
  try {
    const track = await trackOf(flight);
    if (track.length) place.replaceChildren(drawMap([{ flight, track }], 260));
  } catch {
    sayLost();
  }
};

// --- the map --------------------------------------------------------------------------------

const MOST_TRACKS = 500;
const SITE_KM = 30;
const SCALE = 100000;
const trackOf = async flight => {
  const tracks = await load(flight.part.tracks);
  const [steps, track] = [tracks[flight.place] ?? [], []];
  let [lat, lon] = [0, 0];
  for (let place = 0; place + 1 < steps.length; place += 2) {
    lat += steps[place];
    lon += steps[place + 1];
    track.push([lat / SCALE, lon / SCALE]);
  }
  return track;
};
const M_PER_DEGREE = 6371008.8 * Math.PI / 180;
const metres = (point, origin) => [
  (((point[1] - origin[1] + 540) % 360 + 360) % 360 - 180) * M_PER_DEGREE * Math.cos(origin[0] * Math.PI / 180),
  (point[0] - origin[0]) * M_PER_DEGREE,
];
// Tracks that begin close to each other are one site: a map of two continents shows nothing.
const sitesOf = tracked => {
  const sites = [];
  for (const each of tracked) {
    const at = each.track[0];
    const site = sites.find(({ origin }) => Math.hypot(...metres(at, origin)) < SITE_KM * 1000);
    if (site) site.tracked.push(each);
    else sites.push({ origin: at, tracked: [each] });
  }
  return sites.sort((one, other) => other.tracked.length - one.tracked.length);
};
const degrees = ([lat, lon]) => `${Math.abs(lat).toFixed(2)}\u00b0 ${lat < 0 ? 'S' : 'N'}, ${Math.abs(lon).toFixed(2)}\u00b0 ${lon < 0 ? 'W' : 'E'}`;
const nice = value => {
  const magnitude = 10 ** Math.floor(Math.log10(value));
  return Math.max(...[1, 2, 5].filter(factor => factor * magnitude <= value * 1.0001), 1) * magnitude;
};
const svg = (name, attributes = {}, ...children) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
};
// North is up, and a metre is as long to the east as to the north, as in the reports.
const drawMap = (tracked, side) => {
  const origin = tracked[0].track[0];
  const runs = tracked.map(({ flight, track }) => ({ flight, points: track.map(point => metres(point, origin)) }));
  const all = runs.flatMap(({ points }) => points);
  const [right, up] = [0, 1].map(axis => all.map(point => point[axis]));
  const low = values => values.reduce((one, other) => Math.min(one, other), Infinity);
  const high = values => values.reduce((one, other) => Math.max(one, other), -Infinity);
  const reach = Math.max(high(right) - low(right), high(up) - low(up), 1);
  const [padding, width] = [28, side * 1.6];
  const unit = (side - 2 * padding) / reach;
  const [middleX, middleY] = [(high(right) + low(right)) / 2, (high(up) + low(up)) / 2];
  const place = ([x, y]) => `${(width / 2 + (x - middleX) * unit).toFixed(1)} ${(side / 2 - (y - middleY) * unit).toFixed(1)}`;
  const bar = nice(reach / 4);
  const picture = svg('svg', { viewBox: `0 0 ${width} ${side}`, role: 'img', 'aria-label': `Tracks of ${plural(runs.length, 'flight')}` });
  for (const { flight, points } of runs) {
    const way = points.map((point, index) => `${index ? 'L' : 'M'}${place(point)}`).join('') + (points.length > 1 ? '' : 'h.1');
    const line = svg('path', { d: way, class: `line ${levelOf(flight.verdict)}` },
      svg('title', {}, clean(`${vehicleName(flight.vehicle)} ${when(flight.ms)}, ${inWords(flight.verdict)}`)));
    line.addEventListener('click', () => reveal(flight));
    picture.append(line);
  }
  if (runs.length === 1) {
    const [start, end] = [runs[0].points[0], runs[0].points.at(-1)].map(point => place(point).split(' ').map(Number));
    picture.append(
      svg('circle', { class: 'start', cx: start[0], cy: start[1], r: 4 }),
      svg('rect', { class: 'end', x: end[0] - 3.5, y: end[1] - 3.5, width: 7, height: 7 }),
    );
  }
  const distance = bar < 1000 ? `${bar} m` : `${bar / 1000} km`;
  const end = padding + bar * unit;
  const label = svg('text', { x: (end + 6).toFixed(1), y: side - 6 }, distance);
  picture.append(svg('g', { class: 'scale' }, svg('path', { d: `M${padding} ${side - 12}v5H${end.toFixed(1)}v-5` }), label));
  return picture;
};
const reveal = flight => {
  if (!flight.row?.isConnected) setFilters({ vehicle: clean(flight.vehicle), text: clean(flight.name) });
  else {
    flight.row.scrollIntoView({ block: 'center' });
    flight.row.querySelector('button').focus();
  }
};
let chosenSite = '';
const showMap = async mine => {
  const tracked = [];
  const some = found.slice(0, 2 * MOST_TRACKS);
  try {
    for (const flight of some) {
      const track = await trackOf(flight);
      if (mine !== turn) return;
      if (track.length) tracked.push({ flight, track });
      if (tracked.length >= MOST_TRACKS) break;
    }
  } catch {
    sayLost();
    return;
  }
  const heading = section('map').querySelector('h2');
  if (!tracked.length) {
    section('map').replaceChildren(heading, make('p', { className: 'source' }, 'No flight of these says where it was.'));
    return;
  }
  const sites = sitesOf(tracked).slice(0, 30);
  const site = sites.find(each => degrees(each.origin) === chosenSite) ?? sites[0];
  const choices = sites.map(each => {
    const made = button('', () => {
      chosenSite = degrees(each.origin);
      showMap(turn);
    }, {}, `${degrees(each.origin)} `, make('small', {}, plural(each.tracked.length, 'flight')));
    made.setAttribute('aria-pressed', String(each === site));
    return made;
  });
  const note = `Where the newest ${number(tracked.length)} of these flights were; north is up.`;
  section('map').replaceChildren(heading, make('p', { className: 'source' }, note),
    make('div', { className: 'sites' }, ...choices),
    make('div', { className: 'card fleet-map' }, drawMap(site.tracked, 660)));
};

// --- alerts and vehicles --------------------------------------------------------------------

const table = (titles, rows) => {
  const cells = (name, row) => row.map((cell, place) => make(name, { className: place && typeof row[place] !== 'object' ? 'num' : '' }, cell));
  return make('div', { className: 'card' }, make('div', { className: 'scroll' }, make('table', {},
    make('thead', {}, make('tr', {}, ...cells('th', titles))),
    make('tbody', {}, ...rows.map(row => make('tr', {}, ...cells('td', row)))))));
};
const filterButton = (text, values) => button('', () => {
  setFilters(values);
  section('flights').scrollIntoView();
}, { className: 'link' }, make('bdi', {}, text));
const folded = (id, titles, rows, most) => {
  const place = make('div');
  const show = count => {
    place.replaceChildren(table(titles, rows.slice(0, count)));
    const rest = rows.length - count;
    if (rest > 0) place.append(button('', () => show(count + 500), { className: 'more' }, `${number(rest)} more`));
  };
  show(most);
  section(id).append(place);
};
const startTables = () => {
  if (!data.codes.length) section('alerts').append(make('p', { className: 'source' }, 'No flight had an alert.'));
  else {
    folded('alerts', ['Alert', 'Flights', 'Times'], data.codes.map(([code, level, flights, times]) => [
      make('span', {}, filterButton(code, { text: clean(code) }), ' ', make('span', { className: `tag ${level === 'warning' ? 'warn' : 'bad'}` }, level)),
      number(flights), number(times),
    ]), 20);
  }
  folded('vehicles', ['Vehicle', 'Flights', 'To look at'], data.vehicles.map(([name, flights, not]) => [
    filterButton(vehicleName(name), { vehicle: clean(name) }), number(flights), number(not),
  ]), 20);
  const rest = data.vehicle_count - data.vehicles.length;
  if (rest > 0) section('vehicles').append(make('p', { className: 'source' }, `and ${plural(rest, 'vehicle')} with fewer flights`));
};

// --- begin ----------------------------------------------------------------------------------

addEventListener('keydown', event => {
  const isTyping = event.target.matches?.('input, select');
  if (event.key === '/' && !isTyping) {
    filters.text.focus();
    event.preventDefault();
  } else if (event.key === 'Escape' && isTyping) {
    setFilters({});
  }
});
const start = async () => {
  startFilters();
  startFacts();
  startFlights();
  startTables();
  restoreState();
  await refresh();
  root.classList.add('live');
  root.dataset.viewMs = String(Math.round(performance.now()));
  await startDays();
};
start();
