// Draws the curves of a training report with uPlot. Data: see curves.py. Charts are made when they come into view.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const COLOURS = 10, HEIGHT = 240, KINDS = [[], [7, 4], [2, 4]]; // solid; dashed: shuffled; dotted: chance
  const host = document.getElementById("charts"), tip = document.getElementById("tip");
  const hidden = new Set(), charts = new Map(), inView = new Set();
  const chosen = { axis: "step", smoothing: 0, log: false };
  const sync = uPlot.sync("step");
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const element = (name, parent, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  };

  const short = (value) => {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size >= 1e6) return `${+(value / 1e6).toPrecision(3)}M`;
    if (size >= 1e4) return `${+(value / 1e3).toPrecision(3)}k`;
    return size !== 0 && size < 1e-3 ? value.toExponential(1) : `${+value.toPrecision(4)}`;
  };
  const clock = (seconds) => {
    if (seconds < 120) return `${+seconds.toPrecision(3)} s`;
    if (seconds < 7200) return `${+(seconds / 60).toPrecision(3)} min`;
    return `${+(seconds / 3600).toPrecision(3)} h`;
  };
  const acrossText = (x) => (chosen.axis === "seconds" ? clock(x) : short(x));

  // Samples or seconds at each of `steps`, between the known ones in proportion. Both ascend.
  const along = (steps, known) => {
    let at = 0;
    return steps.map((step) => {
      while (at + 1 < known.s.length && known.s[at + 1] < step) at++;
      const next = Math.min(at + 1, known.s.length - 1);
      if (step <= known.s[0]) return known.s[0] ? (known.v[0] * Math.max(step, 0)) / known.s[0] : known.v[0];
      if (next === at || step >= known.s[next]) return known.v[next];
      const part = (step - known.s[at]) / (known.s[next] - known.s[at]);
      return known.v[at] + part * (known.v[next] - known.v[at]);
    });
  };

  // Debiased exponential average, over the parts' means where a curve is shortened.
  const smooth = (values, weight) => {
    let sum = 0, share = 1;
    return values.map((value) => {
      if (value === null) return null;
      sum = sum * weight + value * (1 - weight);
      share *= weight;
      return sum / (1 - share);
    });
  };

  // The lines of a panel: [{run, kind, faint, xs, ys}]
  const linesOf = (panel) => {
    const found = [];
    data.runs.forEach((run, number) => {
      if (hidden.has(number)) return;
      const axis = chosen.axis === "step" ? null : run.axes[chosen.axis];
      if (axis === undefined) return;
      panel.lines.forEach((name) => {
        const curve = run.curves[name];
        if (!curve) return;
        const kind = name.endsWith("_chance") && name !== panel.name ? 2 : name.endsWith("_shuffled") && name !== panel.name ? 1 : 0;
        const add = (steps, ys, faint) => found.push({ run: number, kind, faint, xs: axis ? along(steps, axis) : steps, ys });
        const smoothed = chosen.smoothing > 0 && kind === 0 && curve.s.length > 2;
        add(curve.s, curve.v, smoothed);
        if (smoothed) add(curve.ms || curve.s, smooth(curve.mv || curve.v, chosen.smoothing), false);
      });
    });
    return found;
  };

  const colour = (run) => css(`--c${run % COLOURS}`);

  const showTip = (chart) => {
    const { left, top, idx } = chart.cursor;
    if (left === undefined || left < 0 || idx === null || idx === undefined || chart !== charts.get(showTip.over)) return;
    const rows = chart.lines
      .map((line, n) => ({ line, value: chart.data[n + 1][chart.cursor.idxs[n + 1]] }))
      .filter((row) => !row.line.faint && row.line.kind === 0 && row.value !== null && row.value !== undefined)
      .sort((a, b) => b.value - a.value);
    tip.replaceChildren();
    const at = element("div", tip);
    element("span", at, "", chosen.axis);
    element("b", at, "", acrossText(chart.data[0][idx]));
    rows.slice(0, 14).forEach(({ line, value }) => {
      const row = element("div", tip), name = element("span", row, "run");
      element("span", name, `swatch c${line.run % COLOURS}${Math.floor(line.run / COLOURS) % 2 ? " dashed" : ""}`);
      element("bdi", name, "", data.runs[line.run].name);
      element("b", row, "", short(value));
    });
    if (rows.length > 14) element("div", tip, "", `and ${rows.length - 14} more`);
    tip.hidden = false;
    const box = chart.over.getBoundingClientRect(), wide = tip.offsetWidth;
    const across = box.left + left + 16 + wide > innerWidth - 8 ? box.left + left - wide - 16 : box.left + left + 16;
    tip.style.left = `${Math.max(8, across) + scrollX}px`;
    tip.style.top = `${box.top + top + 14 + scrollY}px`;
  };

  const draw = (figure) => {
    const panel = figure.panel, plot = figure.querySelector(".plot"), old = charts.get(figure);
    if (old) { sync.unsub(old); old.destroy(); charts.delete(figure); }
    plot.replaceChildren();
    const lines = linesOf(panel);
    if (!lines.length) {
      element("p", plot, "empty", chosen.axis === "step" ? "No run to show" : `No run to show by ${chosen.axis}`);
      return;
    }
    const positive = lines.some((line) => line.ys.some((y) => y > 0));
    const log = chosen.log && positive;
    const joined = uPlot.join(lines.map((line) => [line.xs, log ? line.ys.map((y) => (y > 0 ? y : null)) : line.ys]));
    const ink = css("--soft"), grid = css("--line"), font = "12px system-ui, sans-serif";
    const single = lines.every((line) => line.xs.length < 3);
    const options = {
      width: Math.max(plot.clientWidth, 160), height: HEIGHT, legend: { show: false },
      scales: { x: { time: false }, y: log ? { distr: 3 } : {} },
      cursor: {
        sync: { key: "step", scales: ["x", null] }, drag: { x: true, y: false }, points: { size: 6 },
        dataIdx: (chart, series, at) => {
          const values = chart.data[series], there = (n) => values[n] !== undefined && values[n] !== null;
          for (let away = 0; away < values.length; away++) {
            if (at - away >= 0 && there(at - away)) return at - away;
            if (at + away < values.length && there(at + away)) return at + away;
          }
          return at;
        },
      },
      axes: [
        { stroke: ink, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, space: 64, size: 36,
          values: (_, splits) => splits.map(acrossText) },
        { stroke: ink, font, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, size: 58,
          values: (_, splits) => splits.map((value) => (value === null ? "" : short(value))) },
      ],
      series: [{}, ...lines.map((line) => ({
        stroke: line.faint ? `color-mix(in srgb, ${colour(line.run)} 28%, transparent)` : colour(line.run),
        width: line.kind || line.faint ? 1 : 1.6, points: { show: single || line.xs.length === 1, size: 6 },
        dash: line.kind ? KINDS[line.kind] : Math.floor(line.run / COLOURS) % 2 ? [10, 4] : [],
      }))],
      hooks: { setCursor: [showTip] },
    };
    const chart = new uPlot(options, joined, plot);
    chart.lines = lines;
    chart.over.addEventListener("mouseenter", () => { showTip.over = figure; });
    chart.over.addEventListener("mouseleave", () => { showTip.over = null; tip.hidden = true; });
    sync.sub(chart);
    charts.set(figure, chart);
    figure.querySelector(".plot").setAttribute("aria-label", described(panel));
  };

  const described = (panel) => {
    const runs = data.runs.filter((run, n) => !hidden.has(n) && run.curves[panel.name]);
    const last = (run) => short(run.curves[panel.name].v.filter((value) => value !== null).pop());
    return `${panel.name} by ${chosen.axis}: ${runs.map((run) => `${run.name} ends at ${last(run)}`).join(", ") || "no run"}`;
  };

  // What is in view is drawn now, the rest when it comes into view: once per frame, whatever happened.
  const stale = new Set();
  let asked = 0;
  const redraw = () => {
    document.querySelectorAll(".panel").forEach((figure) => stale.add(figure));
    if (!asked) asked = requestAnimationFrame(() => { asked = 0; inView.forEach(fresh); });
  };
  const fresh = (figure) => {
    if (!stale.delete(figure)) return;
    draw(figure);
  };
  const watcher = new IntersectionObserver((entries) => entries.forEach(({ target, isIntersecting }) => {
    if (isIntersecting) { inView.add(target); fresh(target); } else inView.delete(target);
  }), { rootMargin: "200px" });

  const OPEN = innerWidth < 600 ? 1 : 3; // groups that are open at first
  data.groups.forEach((group, number) => {
    const details = element("details", host, "group");
    details.open = number < OPEN;
    element("summary", details, "", group.title);
    const panels = element("div", details, "panels");
    group.panels.forEach((panel) => {
      const figure = element("figure", panels, "panel"), caption = element("figcaption", figure);
      element("bdi", caption, "", panel.name);
      if (panel.lines.length > 1) element("span", caption, "", "dashed: shuffled; dotted: chance");
      const plot = element("div", figure, "plot");
      plot.setAttribute("role", "img");
      plot.setAttribute("aria-label", described(panel));
      figure.panel = panel;
      figure.dataset.name = panel.name;
      stale.add(figure);
      watcher.observe(figure);
    });
  });

  document.querySelectorAll("input[data-run]").forEach((box) => box.addEventListener("change", () => {
    hidden[box.checked ? "delete" : "add"](Number(box.dataset.run));
    redraw();
  }));
  document.querySelectorAll("button[data-all]").forEach((button) => button.addEventListener("click", () => {
    document.querySelectorAll("input[data-run]").forEach((box) => {
      box.checked = button.dataset.all === "yes";
      hidden[box.checked ? "delete" : "add"](Number(box.dataset.run));
    });
    redraw();
  }));
  document.querySelectorAll("input[name=axis]").forEach((radio) => radio.addEventListener("change", () => {
    chosen.axis = radio.value;
    redraw();
  }));
  const smoothing = document.getElementById("smoothing");
  smoothing.addEventListener("input", () => {
    chosen.smoothing = Number(smoothing.value);
    document.getElementById("smoothed").textContent = chosen.smoothing.toFixed(2);
    redraw();
  });
  const log = document.getElementById("log");
  log.addEventListener("change", () => { chosen.log = log.checked; redraw(); });
  document.getElementById("whole").addEventListener("click", redraw);
  const search = document.getElementById("search"), none = document.getElementById("none");
  search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    document.querySelectorAll(".group").forEach((group) => {
      let here = 0;
      group.querySelectorAll(".panel").forEach((figure) => {
        figure.hidden = !figure.dataset.name.toLowerCase().includes(wanted);
        here += !figure.hidden;
      });
      group.hidden = !here;
      if (wanted && here) group.open = true;
      shown += here;
    });
    none.hidden = shown > 0;
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; redraw(); } });
})();
