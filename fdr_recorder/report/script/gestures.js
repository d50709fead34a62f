// Mouse, wheel, touch and keyboard, on everything that has a time axis, and on the map.

const MOVED_PX = 4;
const TAP_PX = 12;
const TWICE_MS = 350;

const timeOf = (part, event) => {
  if (part.isMap) return part.nearestTo(event);
  const box = part.element.getBoundingClientRect();
  return view.from + clamp((event.clientX - box.left) / box.width, 0, 1) * (view.to - view.from);
};
const lengthOf = (part, pixels) => pixels * (view.to - view.from) / part.element.clientWidth;
let here = null;
const point = (part, seconds) => {
  if (here !== part) {
    here?.element.classList.remove('here');
    part?.element.classList.add('here');
    here = part;
  }
  showAt(seconds);
};
const unpin = () => {
  view.pinned = false;
  point(null, null);
  keepState();
};
const pin = (part, seconds) => {
  view.pinned = true;
  point(part, seconds);
  keepState();
};

// --- mouse: move, press, drag to choose a range, with shift to move it -------------------------

let drag = null;
const select = (from, to) => {
  root.classList.toggle('selecting', from !== null);
  if (from === null) return;
  root.style.setProperty('--sel-from', clamp(shareOf(Math.min(from, to)), 0, 1));
  root.style.setProperty('--sel-to', clamp(shareOf(Math.max(from, to)), 0, 1));
};
const endDrag = () => {
  drag = null;
  select(null);
  root.classList.remove('panning');
};
const pressMouse = (part, event) => {
  if (event.button > 1) return;
  if (event.button === 1) event.preventDefault(); // no scrolling by itself
  const isPan = event.shiftKey || event.button === 1;
  const x = event.clientX;
  drag = { part, isPan, x, last: x, at: timeOf(part, event), moved: false };
  part.element.setPointerCapture(event.pointerId);
};
const moveMouse = (part, event) => {
  const seconds = timeOf(part, event);
  if (drag && !part.isMap && !part.isSmall) {
    drag.moved ||= Math.abs(event.clientX - drag.x) >= MOVED_PX;
    if (drag.moved && drag.isPan) {
      pan(-(event.clientX - drag.last) / part.element.clientWidth);
      drag.last = event.clientX;
      root.classList.add('panning');
    } else if (drag.moved) {
      select(drag.at, seconds);
    }
  }
  if (!view.pinned) point(part, seconds);
  keepClear(event);
};
const releaseMouse = (part, event) => {
  if (!drag) return;
  const { at, moved, isPan } = drag;
  const seconds = timeOf(part, event);
  endDrag();
  if (!moved) pin(part, seconds);
  else if (!isPan) setRange(Math.min(at, seconds), Math.max(at, seconds));
};

// --- touch: one finger shows a moment, or moves the range; two zoom; two taps show all ----------

const fingers = new Map();
let touch = null;
let lastTap = null;
const middleOf = () => {
  const [a, b] = [...fingers.values()];
  return b ? { x: (a.x + b.x) / 2, apart: Math.max(Math.hypot(a.x - b.x, a.y - b.y), 20) }
    : { x: a.x, apart: 1 };
};
// Fingers came or went: from here on, what they do is relative to where they are now.
const restartTouch = part => {
  if (!fingers.size) { touch = null; return; }
  const { x, apart } = middleOf();
  touch = {
    part, apart, length: view.to - view.from, at: timeOf(part, { clientX: x, clientY: 0 }),
    canTap: fingers.size === 1 && !touch,
  };
};
const pressFinger = (part, event) => {
  if (touch && touch.part !== part) return;
  const { clientX: x, clientY: y } = event;
  fingers.set(event.pointerId, { x, y, startX: x, startY: y });
  if (part.isMap || part.isSmall) pin(part, timeOf(part, event));
  else restartTouch(part);
};
const moveFinger = (part, event) => {
  const finger = fingers.get(event.pointerId);
  if (!finger) return;
  [finger.x, finger.y] = [event.clientX, event.clientY];
  if (part.isMap || part.isSmall) { pin(part, timeOf(part, event)); return; }
  if (!touch) return;
  const way = Math.hypot(finger.x - finger.startX, finger.y - finger.startY);
  if (way > TAP_PX) touch.canTap = false;
  if (fingers.size === 1 && isWhole()) { pin(part, timeOf(part, event)); return; }
  if (touch.canTap) return;
  const { x, apart } = middleOf();
  const box = part.element.getBoundingClientRect();
  const length = Math.min(touch.length * touch.apart / apart, data.span);
  const from = touch.at - (x - box.left) / box.width * length;
  const start = clamp(from, 0, data.span - length);
  setRange(start, start + length);
};
const liftFinger = (part, event) => {
  if (!fingers.delete(event.pointerId)) return;
  const isTap = touch?.canTap && event.type === 'pointerup';
  if (isTap) {
    const isSecond = lastTap && event.timeStamp - lastTap.time < TWICE_MS
      && Math.abs(event.clientX - lastTap.x) < 3 * TAP_PX;
    lastTap = isSecond ? null : { time: event.timeStamp, x: event.clientX };
    if (isSecond) showWhole();
    pin(part, timeOf(part, event));
  }
  restartTouch(part);
};

// --- wheel: zooms once the pointer was moved on a chart, so that it does not trap who scrolls --

let armed = null;
let lastPlace = [];
let wheeledMs = -Infinity;
addEventListener('scroll', () => { armed = null; }, { passive: true });
const arm = (part, { clientX, clientY }) => {
  if (clientX !== lastPlace[0] || clientY !== lastPlace[1]) armed = part;
  lastPlace = [clientX, clientY];
};
const wheel = (part, event) => {
  const pixels = event.deltaMode === 1 ? 20 : event.deltaMode === 2 ? 400 : 1;
  const [across, along] = [event.deltaX * pixels, event.deltaY * pixels];
  const isPinch = event.ctrlKey || event.metaKey;
  const isAcross = !isPinch && (event.shiftKey || Math.abs(across) > Math.abs(along));
  if (isAcross) {
    if (isWhole()) return;
    event.preventDefault();
    pan((across || along) / part.element.clientWidth);
    return;
  }
  if (!isPinch && armed !== part) return;
  const isLate = event.timeStamp - wheeledMs > 300;
  if (!isPinch && along > 0 && isWhole() && isLate) return; // there is no more to zoom out
  event.preventDefault();
  wheeledMs = event.timeStamp;
  zoom(Math.exp(clamp(along, -240, 240) * (isPinch ? 0.01 : 0.0025)), timeOf(part, event));
};

// --- keyboard ---------------------------------------------------------------------------------

const HELP = 'Arrow keys move in time; plus and minus zoom, a and d move, 0 shows the whole flight';
const MOMENT_KEYS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };
const RANGE_KEYS = {
  '+': () => zoom(0.5), '=': () => zoom(0.5), w: () => zoom(0.5),
  '-': () => zoom(2), _: () => zoom(2), s: () => zoom(2),
  a: () => pan(-0.25), d: () => pan(0.25), 0: showWhole,
};
const pressKey = (part, event) => {
  if (event.target !== part.element || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === 'Escape') {
    if (drag) endDrag(); else unpin();
    return;
  }
  if (Object.hasOwn(RANGE_KEYS, event.key) && !part.isSmall) {
    event.preventDefault();
    RANGE_KEYS[event.key]();
    return;
  }
  const step = MOMENT_KEYS[event.key];
  if (step === undefined) return;
  event.preventDefault();
  const width = (view.to - view.from) / (event.shiftKey ? 20 : 400);
  const now = view.now ?? view.from;
  const next = clamp(Math.abs(step) === 1 ? now + step * width : step, 0, data.span);
  follow(next);
  pin(part, next);
};

const listen = part => {
  const { element } = part;
  const isTouch = event => event.pointerType === 'touch';
  element.addEventListener('pointerdown', event => {
    (isTouch(event) ? pressFinger : pressMouse)(part, event);
  });
  element.addEventListener('pointermove', event => {
    if (!isTouch(event)) arm(part, event);
    (isTouch(event) ? moveFinger : moveMouse)(part, event);
  });
  element.addEventListener('pointerup', event => {
    (isTouch(event) ? liftFinger : releaseMouse)(part, event);
  });
  element.addEventListener('pointercancel', event => {
    if (isTouch(event)) liftFinger(part, event); else endDrag();
  });
  element.addEventListener('pointerleave', event => {
    if (!isTouch(event) && !view.pinned && !drag) point(null, null);
  });
  element.addEventListener('keydown', event => pressKey(part, event));
  if (part.output) {
    element.addEventListener('focus', () => part.output.setAttribute('aria-live', 'polite'));
    element.addEventListener('blur', () => part.output.setAttribute('aria-live', 'off'));
  }
  if (part.isSmall) return;
  element.setAttribute('aria-description', HELP);
  element.addEventListener('dblclick', () => {
    showWhole();
    if (!part.isMap) unpin();
  });
  if (part.isMap) return;
  element.addEventListener('wheel', event => wheel(part, event), { passive: false });
};

document.addEventListener('pointerdown', event => {
  const isOther = !event.target.closest('.plot, .track, header, button, summary, input, .finder');
  if (view.pinned && isOther) unpin();
});
