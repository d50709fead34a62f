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

// Charts that were added have no static picture: they are printed as they are, on white.
const forPaper = isPrinted => {
  root.classList.toggle('on-paper', isPrinted);
  recolour();
  for (const chart of charts.values()) {
    if (chart.isAdded || chart.lines.length > chart.own.size) chart.draw();
  }
};
addEventListener('beforeprint', () => {
  unpin();
  for (const details of all('section > details')) details.open = true;
  forPaper(true);
});
addEventListener('afterprint', () => forPaper(false));
