// Keys, seeking, sliders, marks. Every page also works without it.
"use strict";
const $ = (query, from = document) => from.querySelector(query);
const all = (query, from = document) => [...from.querySelectorAll(query)];
const build = document.body.dataset.build || "";

// Seeking: whatever has a time moves the video, which counts from its first picture.
const video = $("#video"), line = $("#timeline"), head = $("#playhead");
const start = video ? +video.dataset.start : 0;
const seek = (seconds) => { if (video) video.currentTime = Math.max(0, seconds - start); place(seconds); };
const place = (seconds) => {
  if (!line) return;
  const x = +line.dataset.left + (seconds - line.dataset.start) * line.dataset.scale;
  head.setAttribute("x1", x); head.setAttribute("x2", x);
};
document.addEventListener("click", (event) => {
  const timed = event.target.closest("[data-time]");
  if (timed) return seek(+timed.dataset.time);
  if (line && line.contains(event.target)) {
    const x = (event.clientX - line.getBoundingClientRect().left) * line.viewBox.baseVal.width / line.clientWidth;
    seek(Math.max(0, (x - line.dataset.left) / line.dataset.scale + +line.dataset.start));
  }
});
if (video) video.addEventListener("timeupdate", () => place(video.currentTime + start));

// Tokens: which media one may attend to, and which tokens attend to a medium.
const tokens = $("#tokens");
if (tokens) tokens.addEventListener("mouseover", (event) => {
  const token = event.target.closest("span");
  if (!token) return;
  const sees = token.dataset.sees.split(" "), own = token.dataset.media;
  for (const other of tokens.children) {
    other.classList.toggle("here", other === token);
    const seen = own === undefined ? sees.includes(other.dataset.media) : other.dataset.sees.split(" ").includes(own);
    other.classList.toggle("seen", seen && other !== token);
  }
});

// Thresholds: one request at a time, the newest state last; the address says the state.
const form = $("#explore");
if (form) {
  let busy = false, again = false, edge = new URLSearchParams(location.search).get("edge") || "";
  const state = () => {
    const values = new URLSearchParams();
    for (const field of all("fieldset", form)) {
      const on = $("[data-on]", field).checked, input = $("input[type=number]", field);
      field.classList.toggle("on", on);
      if (on && input.value !== "") values.set(input.name, input.value);
      else values.set(input.name, "off");
    }
    if (edge) values.set("edge", edge);
    return values;
  };
  const shade = (field) => {
    const range = $("input[type=range]", field), rect = $(".gone", field), on = $("[data-on]", field).checked;
    const share = 100 * (range.value - range.min) / ((range.max - range.min) || 1), least = $(".least", field);
    rect.setAttribute("x", least ? 0 : share);
    rect.setAttribute("width", on ? (least ? share : 100 - share) : 0);
  };
  const count = async () => {
    if (busy) { again = true; return; }
    busy = true;
    const values = state();
    history.replaceState(null, "", `${form.action}?${values}`);
    values.set("part", "counts");
    try {
      const answer = await fetch(`${form.action}?${values}`);
      if (answer.ok) $("#counts").innerHTML = await answer.text();
    } finally {
      busy = false;
      if (again) { again = false; count(); }
    }
  };
  form.addEventListener("input", (event) => {
    const field = event.target.closest("fieldset"), [on, number, range] = all("input", field);
    if (event.target === range) { number.value = range.value; on.checked = true; }
    if (event.target === number) { on.checked = number.value !== ""; if (number.value !== "") range.value = number.value; }
    if (event.target === on) number.value = on.checked ? range.value : "";
    edge = on.checked ? field.dataset.rule : "";
    shade(field);
    count();
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); count(); });
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText($(`#${button.dataset.copy}`).textContent);
  button.textContent = "Copied";
});

// Marks: `id`, or `id<TAB>clip`, in this browser.
const store = `interlink-marks-${build}`;
const marks = () => new Set(JSON.parse(localStorage.getItem(store) || "[]"));
const keyOf = (button) => button.dataset.clip === undefined ? button.dataset.markIt : `${button.dataset.markIt}\t${button.dataset.clip}`;
const show = () => {
  const found = marks(), badge = $("#marked");
  if (badge) { badge.hidden = !found.size; badge.textContent = found.size; }
  for (const button of all("[data-mark-it]")) {
    const on = found.has(keyOf(button));
    button.setAttribute("aria-pressed", on);
    if (button.dataset.clip !== undefined) button.textContent = on ? "★" : "☆";
  }
  for (const card of all("[data-mark]")) card.classList.toggle("marked", found.has(card.dataset.mark));
  const list = $("#marks");
  if (!list) return;
  $("#nothing").hidden = found.size > 0;
  list.replaceChildren(...[...found].sort().map((key) => {
    const [id, clip] = key.split("\t"), entry = document.createElement("li"), link = document.createElement("a");
    link.href = list.dataset.base + encodeURIComponent(id);
    link.textContent = clip === undefined ? id : `${id}, clip ${clip}`;
    const drop = document.createElement("button");
    drop.textContent = "Remove";
    drop.addEventListener("click", () => flip(key));
    entry.append(link, " ", drop);
    return entry;
  }));
};
const flip = (key) => {
  const found = marks();
  if (!found.delete(key)) found.add(key);
  localStorage.setItem(store, JSON.stringify([...found]));
  show();
};
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-mark-it]");
  if (button) flip(keyOf(button));
});
if ($("#export")) {
  $("#export").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([...marks()].sort().map((key) => `${key}\n`)));
    link.download = "ids.txt";
    link.click();
  });
  $("#clear").addEventListener("click", () => { localStorage.removeItem(store); show(); });
}
show();

// A catalogue that is being made: the page comes again when it is there.
const making = $("#making");
if (making) {
  const look = async () => {
    const found = await (await fetch(making.dataset.progress)).json();
    if (found.ready) return location.reload();
    $("progress").max = found.of || 1; $("progress").value = found.done;
    if (found.problem) $("[role=status]").textContent = found.problem;
    setTimeout(look, 500);
  };
  look();
}

// Narrow screens begin with the filters closed.
const filters = $(".filters");
if (filters && matchMedia("(max-width: 800px)").matches) filters.open = false;

// Keys.
let last = "", chosen = -1;
const cards = all("[data-card]");
const choose = (step) => {
  if (!cards.length) return;
  chosen = Math.min(cards.length - 1, Math.max(0, chosen + step));
  cards.forEach((card, place) => card.classList.toggle("chosen", place === chosen));
  cards[chosen].scrollIntoView({ block: "nearest" });
  $("a", cards[chosen]).focus({ preventScroll: true });
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  const key = event.key, before = last, follow = (query) => { const link = $(query); if (link) link.click(); return link; };
  last = key;
  if (before === "g" && follow(`[data-go="${CSS.escape(key)}"]`)) event.preventDefault();
  else if (key === "/" && $("#search")) { event.preventDefault(); $("#search").focus(); }
  else if (key === "?") { event.preventDefault(); $("#help").showModal(); }
  else if (key === "j") follow("[data-next]") || choose(1);
  else if (key === "k") follow("[data-previous]") || choose(-1);
  else if (key === "m") {
    const button = $(".steps [data-mark-it]");
    if (button) button.click(); else if (cards[chosen]?.dataset.mark) flip(cards[chosen].dataset.mark);
  } else if (key === " " && video && !event.target.closest("button, a, summary, video")) {
    event.preventDefault();
    if (video.paused) video.play(); else video.pause();
  }
});
