"use strict";
// The tables of a leaderboard follow its controls, and its plots the rows that are ticked. Names are put into the page
// only as text.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const one = (selector, within = document) => within.querySelector(selector);
  const boards = all("table.board");
  const rows = all("table.board tbody tr");

  // --- the order ------------------------------------------------------------------------------------------------

  function valueOf(row, column) {
    const text = row.cells[column].dataset.value;
    if (text === undefined) return null;
    return text !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
  }

  function sort(board, column, falling) {
    const sign = falling ? -1 : 1;
    const body = board.tBodies[0];
    const order = [...body.rows].sort((a, b) => {
      const [x, y] = [valueOf(a, column), valueOf(b, column)];
      if (x === null || y === null) return (x === null) - (y === null); // what was not measured comes last
      return sign * (typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)));
    });
    body.append(...order);
    all("thead th", board).forEach((head, place) => {
      if (place === column) head.setAttribute("aria-sort", falling ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
  }

  const higherIsBetter = (name) => data.metrics[name]?.higher ?? false;

  for (const board of boards) {
    all("thead th", board).forEach((head, column) => {
      one("button", head).addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const falling = now ? now === "ascending" : higherIsBetter(head.dataset.name); // the best first
        for (const other of boards) sort(other, column, falling);
      });
    });
  }

  const rankBy = one("#rank");
  const rankColumn = all("thead th", boards[0]).findIndex((head) => head.dataset.name === "rank");

  function rank() {
    const ranks = data.ranks[rankBy.value];
    for (const row of rows) {
      const found = ranks[row.dataset.id];
      if (!found) continue;
      const [place, tied] = found;
      row.cells[rankColumn].textContent = (tied ? "=" : "") + place;
      row.cells[rankColumn].dataset.value = place;
    }
    for (const label of all(".ranked")) label.textContent = rankBy.selectedOptions[0].textContent;
    for (const board of boards) sort(board, rankColumn, false);
    showColumn(all("thead th", boards[0]).findIndex((head) => head.dataset.name === rankBy.value));
    draw(["interval"]);
  }

  // --- which rows and columns -----------------------------------------------------------------------------------

  const hidden = one("#hidden-columns");
  const columns = all("[data-column]");

  function showColumns() {
    const away = columns.filter((box) => !box.checked).map((box) => `.c${box.dataset.column}`);
    hidden.textContent = away.length ? `${away.join(",")} { display: none; }` : "";
  }

  function showColumn(column) {
    const box = columns.find((box) => Number(box.dataset.column) === column);
    if (box && !box.checked) {
      box.checked = true;
      showColumns();
    }
  }

  function filter() {
    const words = one("#find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = all("[data-filter]").filter((list) => list.value);
    const published = one("#published")?.checked ?? true;
    let shown = 0;
    for (const row of rows) {
      const name = one("th", row).textContent.toLowerCase();
      const reported = row.classList.contains("reported");
      row.hidden =
        !words.every((word) => name.includes(word)) ||
        (reported ? !published : !wanted.every((list) => row.dataset[list.dataset.filter] === list.value));
      if (!row.hidden && !reported) shown += 1;
    }
    for (const section of all("section.table")) {
      section.hidden = all(".board tbody tr", section).every((row) => row.hidden || row.classList.contains("reported"));
    }
    one("#count").textContent = `${shown} of ${Object.keys(data.rows).length} rows`;
  }

  // --- the plots ------------------------------------------------------------------------------------------------

  const figures = all("[data-plot]");
  const boxes = all("input.draw");
  const places = new Map(); // run -> place among the looks, the same as long as the row is drawn
  const idOf = (box) => box.closest("tr").dataset.id;
  const classOf = (kind) => choice(kind, "class") ?? data.signal;
  const choice = (kind, name) => one(`[data-plot="${kind}"] [data-choice="${name}"]`)?.value;

  function chosen() {
    const ids = boxes.filter((box) => box.checked).map(idOf);
    for (const id of [...places.keys()]) if (!ids.includes(id)) places.delete(id);
    for (const id of ids) {
      if (places.has(id)) continue;
      let place = 0;
      while ([...places.values()].includes(place)) place += 1;
      places.set(id, place);
    }
    for (const box of boxes) box.style.accentColor = box.checked ? lookOf(idOf(box)).color : "";
    return ids;
  }

  const lookOf = (id) => data.looks[places.get(id) % data.looks.length];

  // { value, low, high } of a metric or cost; of a metric that has only a lower limit this, as a limit; null where none.
  function numberOf(row, name) {
    const [value, low, high] = name in data.costs ? [row.costs[name]] : row.values[name] ?? [];
    if (value != null) return { value, low: low ?? value, high: high ?? value, limit: false };
    return low == null || high != null ? null : { value: low, low, high: low, limit: true };
  }

  const headingOf = (name) => data.costs[name] ?? data.metrics[name].heading;
  const better = (name) => (higherIsBetter(name) ? 1 : -1);

  const points = {
    rejection: (ids) => curves(ids, "rejection", (value) => value),
    roc: (ids) => curves(ids, "roc", (value) => 1 / value),
    interval(ids) {
      const name = rankBy.value;
      const found = ids
        .map((id) => ({ row: data.rows[id].name, ...(numberOf(data.rows[id], name) ?? { value: null }) }))
        .filter((point) => point.value !== null);
      found.sort((a, b) => better(name) * (b.value - a.value) || b.limit - a.limit);
      return found.map((point, place) => ({ ...point, first: place === 0 }));
    },
    pareto(ids) {
      const [x, y] = [choice("pareto", "x"), choice("pareto", "y")];
      const found = [];
      for (const id of ids) {
        const row = data.rows[id];
        const [across, up] = [numberOf(row, x), numberOf(row, y)];
        if (!across || !up || offAxis(x, across.value) || offAxis(y, up.value)) continue;
        const limit = across.limit || up.limit;
        found.push({ row: row.name, x: across.value, y: up.value, low: up.low, high: up.high, limit });
      }
      return withFront(found, better(x), better(y));
    },
    shifts(ids) {
      const name = choice("shifts", "shift");
      const found = [];
      for (const id of ids) {
        const row = data.rows[id];
        const [auc] = row.values.auc ?? [];
        const [y, error] = row.shifts[name] ?? [];
        if (auc != null && y !== undefined) found.push({ ...bar(row.name, auc, y, error), y });
      }
      return withFront(found, 1, -1);
    },
    learning(ids) {
      const name = choice("learning", "history");
      const found = [];
      for (const id of ids) {
        const { name: row, history } = data.rows[id];
        for (const [column, part] of [[name, "training"], [`val_${name}`, "validation"]]) {
          (history[column] ?? []).forEach((value, place) => {
            if (value !== null) found.push({ row, part, value, epoch: history.epoch[place] });
          });
        }
      }
      return found;
    },
    calibration: (ids) =>
      ids.flatMap((id) => {
        const [scores = [], shares, errors] = data.rows[id].reliability;
        const row = data.rows[id].name;
        return scores.map((x, place) => bar(row, x, shares[place], errors[place]));
      }),
    slices: (ids) =>
      ids.flatMap((id) => {
        const row = data.rows[id];
        return (row.slices[choice("slices", "slice")] ?? []).map(([x, value, error]) => bar(row.name, x, value, error));
      }),
    confusion(ids) {
      const matrix = ids.length ? data.rows[ids[0]].confusion : [];
      return matrix.flatMap((line, place) => {
        const sum = line.reduce((total, events) => total + events, 0);
        return line.map((events, guess) => ({
          true: data.classes[place],
          guessed: data.classes[guess],
          events,
          share: sum ? events / sum : 0,
        }));
      });
    },
  };

  function withFront(found, ofX, ofY) {
    const beats = (a, b) => ofX * (a.x - b.x) >= 0 && ofY * (a.y - b.y) >= 0 && (a.x !== b.x || a.y !== b.y);
    return found.map((point) => ({ ...point, front: !found.some((other) => beats(other, point)) }));
  }

  function curves(ids, kind, turn) {
    const name = classOf(kind);
    return ids.flatMap((id) => {
      const [value = [], low, high] = data.rows[id].rejection[name] ?? [];
      return value
        .map((found, place) => [found, low[place], high[place], data.efficiencies[place]])
        .filter(([found]) => found !== null)
        .map(([found, from, to, x]) => ({
          row: data.rows[id].name,
          x,
          value: turn(found),
          low: Math.min(turn(from), turn(to)),
          high: Math.max(turn(from), turn(to)),
        }));
    });
  }

  const bar = (row, x, value, error) => ({ row, x, value, low: value - (error ?? 0), high: value + (error ?? 0) });

  const adjusted = {
    // A band of two seeds may reach anywhere: the axis is that of the lines.
    rejection(spec, values) {
      eachAxis(spec, "y", null, { type: "log", domain: [1, 2 * Math.max(...values.map((point) => point.value))] });
      eachAxis(spec, "x", `ε_S (${classOf("rejection")})`);
    },
    roc: (spec) => eachAxis(spec, "x", `ε_S (${classOf("roc")})`),
    interval: (spec) => eachAxis(spec, "x", headingOf(rankBy.value), scaleOf(rankBy.value)),
    pareto(spec) {
      for (const axis of ["x", "y"]) {
        const name = choice("pareto", axis);
        eachAxis(spec, axis, headingOf(name), scaleOf(name));
      }
    },
    shifts: (spec) => eachAxis(spec, "y", "change of the AUC [%]"),
    learning(spec, values) {
      eachAxis(spec, "y", labelOf("history"));
      spec.encoding.x.axis.values = wholeTicks(values.map((point) => point.epoch));
    },
    slices(spec) {
      const [up, across] = data.slices[choice("slices", "slice")];
      eachAxis(spec, "y", up);
      eachAxis(spec, "x", across);
    },
  };

  // About ten numbers in steps of 1, 2 or 5 times a power of ten, all of them whole.
  function wholeTicks(numbers) {
    const [low, high] = [Math.min(...numbers), Math.max(...numbers)];
    const power = 10 ** Math.max(0, Math.floor(Math.log10((high - low) / 10 || 1)));
    const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size * 10 >= high - low);
    const first = Math.ceil(low / step);
    return Array.from({ length: Math.floor(high / step) - first + 1 }, (_, place) => (first + place) * step);
  }

  const labelOf = (name) => one(`[data-choice="${name}"]`).selectedOptions[0].textContent;
  const isLog = (name) => name in data.costs || data.metrics[name].log;
  const offAxis = (name, value) => isLog(name) && value <= 0;
  const scaleOf = (name) => (isLog(name) ? { type: "log" } : null);

  // Which rows a plot leaves out though they are measured.
  const leftOut = {
    pareto(ids) {
      const lines = [choice("pareto", "x"), choice("pareto", "y")].map((name) => {
        const off = ids.filter((id) => offAxis(name, numberOf(data.rows[id], name)?.value ?? 1));
        const names = off.map((id) => data.rows[id].name).join(", ");
        return names && `Left out: ${names}: ${headingOf(name)} 0, which a logarithmic axis cannot show.`;
      });
      return lines.filter(Boolean).join(" ");
    },
  };

  function eachAxis(spec, axis, title, scale = null) {
    for (const part of [spec, ...(spec.layer ?? [])]) {
      const found = part.encoding?.[axis];
      if (!found?.field) continue;
      if (title) found.title = title;
      if (scale) found.scale = scale;
    }
  }

  function paint(part, ids) {
    // Each row its colour, dash and shape, wherever a specification has one by row.
    if (Array.isArray(part)) part.forEach((inner) => paint(inner, ids));
    else if (part && typeof part === "object") {
      for (const [key, inner] of Object.entries(part)) {
        if (["color", "strokeDash", "shape"].includes(key) && inner?.field === "row") {
          inner.scale = { domain: ids.map((id) => data.rows[id].name), range: ids.map((id) => lookOf(id)[key]) };
        } else paint(inner, ids);
      }
    }
  }

  async function drawOne(figure, ids) {
    const kind = figure.dataset.plot;
    const place = one(".plot", figure);
    const values = points[kind](ids);
    one(".left-out", figure).textContent = leftOut[kind]?.(ids) ?? "";
    if (!values.length) {
      place.replaceChildren(ids.length ? "Not measured for these rows." : "No row is ticked.");
      return;
    }
    const named = new Set(values.map((point) => point.row));
    const spec = structuredClone(data.plots[kind]);
    adjusted[kind]?.(spec, values);
    if (spec.layer && ids.length > data.bands) spec.layer = spec.layer.filter((layer) => layer.mark.type !== "area");
    paint(spec, ids.filter((id) => named.has(data.rows[id].name)));
    spec.data = { values };
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const actions = { export: true, source: false, compiled: false, editor: false };
    await vegaEmbed(place, spec, { renderer: "svg", actions, tooltip: { theme: dark ? "dark" : "light" } });
  }

  let drawing = Promise.resolve();

  function draw(kinds) {
    const ids = chosen();
    const some = figures.filter((figure) => !kinds || kinds.includes(figure.dataset.plot));
    drawing = drawing.then(() => Promise.all(some.map((figure) => drawOne(figure, ids))));
    window.drawn = drawing; // for who waits for it
  }

  function tick(which) {
    for (const box of boxes) box.checked = which(box);
    draw();
  }

  // --- at the beginning -----------------------------------------------------------------------------------------

  for (const box of columns) box.addEventListener("change", showColumns);
  for (const list of all("[data-filter]")) list.addEventListener("change", filter);
  one("#find").addEventListener("input", filter);
  one("#published")?.addEventListener("change", filter);
  one("form.controls").addEventListener("submit", (event) => event.preventDefault());
  rankBy.addEventListener("change", rank);
  for (const box of boxes) box.addEventListener("change", () => draw());
  for (const list of all("[data-choice]")) {
    list.addEventListener("change", () => draw([list.closest("figure").dataset.plot]));
  }
  one("#draw-shown")?.addEventListener("click", () => tick((box) => !box.closest("tr").hidden));
  one("#draw-none")?.addEventListener("click", () => tick(() => false));
  for (const list of all('[data-choice="class"]')) list.value = data.signal;
  filter();
  tick((box) => box.closest("table") === boards[0] && boxes.indexOf(box) < data.first);
})();
