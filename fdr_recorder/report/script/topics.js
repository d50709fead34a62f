// The list of topics: filtered, sorted, unfolded.

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
more?.addEventListener('click', () => { unfolded = Infinity; fold(); });
for (const title of all('.titles button')) {
  title.addEventListener('click', () => {
    const key = title.dataset.sort;
    const isText = key === 'name';
    const was = title.getAttribute('aria-sort');
    const ascending = was ? was === 'descending' : isText;
    for (const other of all('.titles button')) other.removeAttribute('aria-sort');
    title.setAttribute('aria-sort', ascending ? 'ascending' : 'descending');
    topics.sort((a, b) => (ascending ? 1 : -1) * (isText
      ? a.dataset.name.localeCompare(b.dataset.name) : a.dataset[key] - b.dataset[key]));
    list.append(...topics);
    fold();
  });
}
fold();
