// What all parts use: the page's data, elements, times and numbers, light and dark.

const root = document.documentElement;
const data = JSON.parse(document.getElementById('data').textContent);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

const make = (name, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
};
const button = (label, text, action, className = '') => {
  const made = make('button', { type: 'button', title: label, className }, text);
  made.setAttribute('aria-label', label);
  made.addEventListener('click', action);
  return made;
};

// --- times and numbers --------------------------------------------------------------------

const pad = (number, width = 2) => String(number).padStart(width, '0');
const clock = (seconds, decimals = 3) => {
  const us = Math.floor(data.us + seconds * 1e6 + 1e-3);
  const ms = data.t0 + Math.floor(us / 1000);
  const rest = pad(us - Math.floor(us / 1000) * 1000, 3);
  const time = new Date(ms).toISOString().slice(11, 23) + rest;
  return decimals ? time.slice(0, 9 + decimals) : time.slice(0, 8);
};
const elapsed = (seconds, decimals = 3) => {
  const scale = 10 ** decimals;
  const ticks = Math.round(seconds * scale);
  const [s, rest] = [Math.floor(ticks / scale), pad(ticks % scale, decimals)];
  const [hours, minutes] = [Math.floor(s / 3600), Math.floor(s / 60) % 60];
  return `${hours ? `${hours}:${pad(minutes)}` : minutes}:${pad(s % 60)}.${rest}`;
};
const lasting = seconds => {
  if (seconds < 1) return `${number(1000 * seconds, seconds < 0.01 ? 2 : 0)}\u00a0ms`;
  if (seconds < 120) return `${number(seconds, 1)}\u00a0s`;
  return elapsed(seconds).slice(0, -4);
};
const number = (value, decimals) => value.toLocaleString('en-US', {
  minimumFractionDigits: decimals, maximumFractionDigits: decimals,
}).replace(/^-(?=[0.,]*$)/, '').replace('-', '\u2212');
// Very large and very small numbers are written with an exponent: on an axis, which is narrow,
// from `most` on.
const short = (value, decimals, most = 1e15, digits = 5) =>
  Math.abs(value) >= most || (value && decimals > 6)
    ? value.toExponential(digits).replace(/\.?0+e/, 'e').replace('e+', 'e').replace(/-/g, '\u2212')
    : number(value, decimals);

const STEPS_S = [
  ...[-6, -5, -4, -3, -2, -1].flatMap(power => [1, 2, 5].map(part => part * 10 ** power)),
  1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400,
  172800, 604800, 2592000,
];
// Ticks of the time axis, at round times of the day: seconds after the flight's start.
const timeTicks = (from, to, most) => {
  const step = STEPS_S.find(each => (to - from) / each <= most) ?? (to - from) / most;
  const offset = (data.t0 % 86400000) / 1000 + data.us / 1e6;
  const decimals = step < 1 ? Math.round(-Math.log10(step) + 0.49) : 0;
  const ticks = [];
  for (let place = Math.ceil((from + offset) / step - 1e-9); ; place += 1) {
    const seconds = place * step - offset;
    if (seconds > to || ticks.length > 100) break;
    ticks.push(seconds);
  }
  return { ticks, decimals };
};

// --- light and dark -----------------------------------------------------------------------

const KEY = 'fdr-report-theme';
const darkSystem = matchMedia('(prefers-color-scheme: dark)');
const isDark = () => (root.dataset.theme ? root.dataset.theme === 'dark' : darkSystem.matches);
const whenRecoloured = [];
const recolour = () => whenRecoloured.forEach(action => action());
try {
  const theme = localStorage.getItem(KEY);
  if (theme === 'light' || theme === 'dark') root.dataset.theme = theme;
} catch { /* a page from a file may have no storage */ }
document.querySelector('.theme').addEventListener('click', () => {
  root.dataset.theme = isDark() ? 'light' : 'dark';
  try { localStorage.setItem(KEY, root.dataset.theme); } catch { /* likewise */ }
  recolour();
});
darkSystem.addEventListener('change', recolour);

for (const local of all('.local')) {
  const time = new Date(Number(local.dataset.ms));
  const shown = time.toLocaleString(undefined, {
    hour: '2-digit', minute: '2-digit', second: '2-digit', timeZoneName: 'short',
  });
  if (time.getTimezoneOffset()) local.textContent = `${shown} where you are`;
}
