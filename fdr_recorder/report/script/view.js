// The one range of time and the one moment that everything on the page shows.
//
// A part is what shows them: { element, draw(), show(), isMap }. `draw` draws the range, and is
// called when the part can be seen; `show` shows the moment.

const SHORTEST_S = 2e-4;
const view = { from: 0, to: data.span, now: null, pinned: false };
const parts = new Map();
const whenMoved = [];

const isWhole = () => view.from <= 0 && view.to >= data.span;
const shareOf = seconds => (seconds - view.from) / (view.to - view.from);

const seen = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    const part = parts.get(target);
    if (part) part.isSeen = isIntersecting;
  }
  redraw();
}, { rootMargin: '200px' });
const sized = new ResizeObserver(entries => {
  for (const { target } of entries) if (parts.has(target)) parts.get(target).isStale = true;
  redraw();
});
const addPart = (element, part) => {
  parts.set(element, Object.assign(part, { element, isStale: true, isSeen: false }));
  seen.observe(element);
  sized.observe(element);
  return part;
};
const removePart = part => {
  seen.unobserve(part.element);
  sized.unobserve(part.element);
  parts.delete(part.element);
};
const makeStale = () => {
  for (const part of parts.values()) part.isStale = true;
  redraw();
};
whenRecoloured.push(makeStale);

let frame = 0;
const redraw = () => { frame ||= requestAnimationFrame(paint); };
const paint = () => {
  frame = 0;
  const share = view.now === null ? -1 : shareOf(view.now);
  root.classList.toggle('has-at', view.now !== null);
  root.classList.toggle('at-outside', share < 0 || share > 1);
  root.classList.toggle('zoomed', !isWhole());
  root.style.setProperty('--at', clamp(share, 0, 1));
  const some = [...parts.values()];
  for (const part of some) {
    if (part.isSeen && part.isStale) {
      part.isStale = false;
      part.draw?.();
    }
  }
  for (const part of some) part.show?.();
  whenMoved.forEach(action => action());
};

const setRange = (from, to) => {
  const length = clamp(to - from, Math.min(SHORTEST_S, data.span), data.span);
  const start = clamp(from + (to - from - length) / 2, 0, data.span - length);
  if (start === view.from && start + length === view.to) return;
  [view.from, view.to] = [start, length === data.span ? data.span : start + length];
  makeStale();
  keepState();
};
const zoom = (factor, around) => {
  const centre = around ?? (view.now >= view.from && view.now <= view.to && view.now !== null
    ? view.now : (view.from + view.to) / 2);
  setRange(centre - (centre - view.from) * factor, centre + (view.to - centre) * factor);
};
const pan = share => {
  const by = share * (view.to - view.from);
  const stop = clamp(by, -view.from, data.span - view.to);
  setRange(view.from + stop, view.to + stop);
};
const showWhole = () => setRange(0, data.span);
const showAt = seconds => {
  view.now = seconds === null ? null : clamp(seconds, 0, data.span);
  redraw();
};
// Move the range so far that a moment is in it.
const follow = seconds => {
  if (seconds < view.from) pan((seconds - view.from) / (view.to - view.from));
  if (seconds > view.to) pan((seconds - view.to) / (view.to - view.from));
};

// Colours, as the style sheet has them now.
let colours = new Map();
whenRecoloured.unshift(() => { colours = new Map(); });
const probe = make('span');
probe.hidden = true;
document.body.append(probe);
const colour = value => {
  if (!colours.has(value)) {
    probe.style.color = value.startsWith('--') ? `var(${value})` : value;
    colours.set(value, getComputedStyle(probe).color);
  }
  return colours.get(value);
};
