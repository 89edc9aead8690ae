// Tries thresholds over the scores in the page. Counts as interlink.report.view.recount does. Data: see explorer.py.
"use strict";
(() => {
  const block = document.getElementById("explorer");
  if (!block) return;
  const data = JSON.parse(block.textContent), get = (id) => document.getElementById(id);
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0)).buffer;
  const codes = new Uint8Array(bytes(data.codes)), items = new Int32Array(bytes(data.items));
  const columns = Object.fromEntries(Object.entries(data.columns).map(([name, text]) => [name, new Float64Array(bytes(text))]));
  const videos = codes.length ? items[items.length - 1] + 1 : 0, STOPPED = 255, FLAGGED = 254;

  // limits: field -> number or null. {clips, documents, videos, stopped, losses: {reason: clips}}
  const recount = (limits) => {
    const rules = data.rules.filter((rule) => limits[rule.field] !== null && !(rule.zero && limits[rule.field] === 0));
    const losses = Object.fromEntries([...data.before, ...rules.map((rule) => rule.reason), "flagged"].map((name) => [name, 0]));
    const left = new Int32Array(videos);
    let stopped = 0;
    for (let clip = 0; clip < codes.length; clip++) {
      const code = codes[clip];
      if (code === STOPPED) { stopped++; continue; }
      if (code > 0 && code !== FLAGGED) { losses[data.before[code - 1]]++; continue; }
      const broken = rules.find((rule) => {
        let value = columns[rule.column][clip];
        if (value !== value && rule.missing !== null) value = rule.missing;
        return !(rule.least ? value >= limits[rule.field] : value <= limits[rule.field]); // NaN never stays
      });
      if (broken) losses[broken.reason]++;
      else if (code === FLAGGED) losses.flagged++;
      else left[items[clip]]++;
    }
    const found = { clips: 0, documents: 0, videos: 0, stopped, losses };
    left.forEach((count) => {
      if (data.adjacent_clips && count > data.adjacent_clips) {
        losses.not_sampled = (losses.not_sampled || 0) + count - data.adjacent_clips;
        count = data.adjacent_clips;
      }
      if (count && data.min_clips > 1 && count < data.min_clips) {
        losses.few_clips = (losses.few_clips || 0) + count;
        count = 0;
      }
      found.clips += count;
      found.videos += count > 0;
      found.documents += data.clips_per_document ? Math.ceil(count / data.clips_per_document) : Math.min(count, 1);
    });
    return found;
  };

  const builtLimits = () => Object.fromEntries(data.rules.map((rule) => [rule.field, rule.built]));
  const limits = builtLimits(), plain = (value) => value.toLocaleString("en");
  const written = (value) => (`${value}`.includes("e") ? value.toFixed(15).replace(/0+$/, "") : `${value}`); // as YAML reads it
  const change = (value) => (value > 0 ? `+${plain(value)}` : value < 0 ? `−${plain(-value)}` : "");

  const show = () => {
    const now = recount(limits);
    ["clips", "documents", "videos"].forEach((what) => {
      const difference = now[what] - data.built[what], said = get(`change-${what}`);
      get(`now-${what}`).textContent = plain(now[what]);
      said.textContent = difference ? change(difference) : "±0";
      said.className = difference < 0 ? "less" : difference > 0 ? "more" : "same";
    });
    document.querySelectorAll("[id^=lost-]").forEach((cell) => {
      const reason = cell.id.slice(5), count = reason === "stopped" ? now.stopped : now.losses[reason] || 0;
      cell.textContent = plain(count);
      get(`bar-${reason}`).setAttribute("width", codes.length ? (100 * count) / codes.length : 0);
    });
    const sets = data.rules.filter((rule) => limits[rule.field] !== rule.built).map((rule) => {
      const value = limits[rule.field];
      return `--set filter.${rule.field}=${value === null ? (rule.zero ? 0 : "null") : written(value)}`;
    });
    get("command").textContent = ["interlink build --root", get("command").dataset.root, ...sets].join(" ");
    data.rules.forEach((rule) => {
      const value = limits[rule.field], row = get(`rule-${rule.field}`), plot = row.querySelector(".slide");
      const low = Number(plot.dataset.low), high = Number(plot.dataset.high), cut = get(`cut-${rule.field}`);
      const part = value === null ? null : Math.min(Math.max((value - low) / (high - low || 1), 0), 1);
      row.classList.toggle("on", part !== null);
      cut.setAttribute("x", part === null || rule.least ? 0 : 100 * part);
      cut.setAttribute("width", part === null ? 0 : 100 * (rule.least ? part : 1 - part));
    });
  };

  const fields = (rule) => ["on", "number", "range"].map((kind) => get(`${kind}-${rule.field}`));
  data.rules.forEach((rule) => {
    const [on, number, range] = fields(rule);
    const set = (value) => {
      limits[rule.field] = value === null || !rule.whole ? value : Math.round(value);
      on.checked = value !== null;
      show();
    };
    on.addEventListener("change", () => set(on.checked && number.value !== "" ? Number(number.value) : null));
    number.addEventListener("input", () => {
      const value = number.valueAsNumber;
      if (value !== value || !number.validity.valid) return;
      range.value = value;
      set(value);
    });
    range.addEventListener("input", () => {
      const value = Number(Number(range.value).toPrecision(6));
      number.value = value;
      set(value);
    });
  });
  get("reset").addEventListener("click", () => {
    Object.assign(limits, builtLimits());
    data.rules.forEach((rule) => {
      const [on, number, range] = fields(rule);
      on.checked = rule.built !== null;
      number.value = number.defaultValue;
      range.value = range.defaultValue;
    });
    show();
  });
  get("copy").addEventListener("click", () => {
    const selection = getSelection();
    selection.selectAllChildren(get("command"));
    let done = false;
    try { done = document.execCommand("copy"); } catch { /* the text stays selected */ }
    get("copy").textContent = done ? "Copied" : "Selected";
    setTimeout(() => { get("copy").textContent = "Copy"; }, 1500);
  });
  window.interlinkRecount = recount;
  show();
})();
