// Bring the page to life: static pictures become charts, once their samples are unpacked.

const startCharts = () => {
  for (const element of all('[data-plot]')) {
    const specification = data.charts.find(chart => chart.id === element.dataset.plot);
    if (specification) listen(new Chart(element, specification));
  }
  for (const element of all('[data-track]')) {
    const specification = data.tracks.find(track => track.id === element.dataset.track);
    if (specification) listen(new Track(element, specification));
  }
  startFields();
};

const start = async () => {
  let isUnpacked = false;
  try {
    await unpackSamples();
    isUnpacked = true;
  } catch { /* an old browser: the static pictures stay */ }
  for (const element of all('[data-lane]')) {
    const specification = data.lanes.find(lane => lane.id === element.dataset.lane);
    if (specification) listen(new Lane(element, specification));
  }
  for (const element of all('[data-thumbs]')) listen(new Thumbs(element));
  for (const element of all('[data-spark]')) {
    const spark = new Spark(element, data.sparks[element.dataset.spark]);
    spark.isSmall = true;
    listen(spark);
  }
  if (isUnpacked) startCharts();
  for (const element of all('.axis')) new Axis(element);
  startViewbar();
  whenMoved.push(showEvents, showPreview);
  root.classList.add('live');
  restoreState();
  redraw();
};
start();

// --- on paper -----------------------------------------------------------------------------

// Pictures of the whole flight are printed. Charts that were added have none: they are drawn for
// paper, on white and as wide as on A4.
const PAPER_PX = 600;
let shown = null;
addEventListener('beforeprint', () => {
  unpin();
  for (const details of all('section > details')) details.open = true;
  shown = [view.from, view.to];
  [view.from, view.to] = [0, data.span];
  root.classList.add('on-paper');
  recolour();
  for (const chart of charts.values()) if (chart.isAdded) chart.draw(PAPER_PX);
  for (const part of parts.values()) if (part.isSmall) part.draw();
  parts.get(addedAxis)?.draw();
});
addEventListener('afterprint', () => {
  if (shown) [view.from, view.to] = shown;
  root.classList.remove('on-paper');
  recolour();
});
