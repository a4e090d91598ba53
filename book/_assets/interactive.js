// Interactive figures: each .ufm-interactive takes the place of the still picture of the figure that it names, and draws
// the data that lie in it as JSON (src/ufm/report/interactive.py). No library, no request; the same over file://.
(() => {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";

  /** An element with attributes and children; of `svg` where its parent is one. */
  const made = (name, attributes = {}, ...children) => {
    const svg = ["svg", "g", "line", "text", "circle", "rect", "title"].includes(name);
    const one = svg ? document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
    one.append(...children);
    return one;
  };

  /** A number as the book prints it. */
  const number = (value, digits) => value.toFixed(digits).replace("-", "−");
  const share = (value) => (value === null ? "–" : number(value, 2));

  /** Up to about n round numbers within an interval. */
  const ticks = (low, high, n) => {
    const rough = (high - low) / n, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((one) => one * power >= rough), digits = Math.max(0, -Math.floor(Math.log10(step)));
    const found = [];
    for (let one = Math.ceil(low / step) * step; one <= high + step / 1e6; one += step) found.push([one, number(Math.abs(one) < step / 2 ? 0 : one, digits)]);
    return found;
  };

  /** Grey levels of an image or stamp that Python wrote as letters a to p, each perhaps with how often it is repeated. */
  const levels = (text) => [...text.matchAll(/([a-p.])(\d*)/g)].flatMap(([, level, times]) => Array(Number(times || 1)).fill(level === "." ? null : (level.charCodeAt(0) - 97) * 17));

  /** A canvas with an image, and a stamp (rows of `width` pixels) at a position on it. */
  const picture = (image, shape, stamp, words) => {
    const canvas = made("canvas", { width: shape[1], height: shape[0], role: "img", "aria-label": words });
    const grey = levels(image);
    if (stamp) levels(stamp.pixels).forEach((level, n) => {
      const row = stamp.position[0] + Math.floor(n / stamp.width), column = stamp.position[1] + (n % stamp.width);
      if (level !== null) grey[row * shape[1] + column] = level;
    });
    const context = canvas.getContext("2d"), pixels = context.createImageData(shape[1], shape[0]);
    grey.forEach((level, n) => pixels.data.set([level, level, level, 255], 4 * n));
    context.putImageData(pixels, 0, 0);
    return canvas;
  };

  /** Contrast against the host's loss; whichever point is pointed at, tapped or reached by keyboard shows its host. */
  const hosts = (root, data) => {
    const W = 340, H = 300, left = 46, right = 12, top = 8, bottom = 44;
    const who = made("p", { class: "who" }), pictures = made("div", { class: "pictures" }), rows = made("tbody");
    const head = made("tr", {}, made("th", { scope: "col" }, "gives its label"), made("th", { scope: "col" }, "without the letter"), made("th", { scope: "col" }, "with it"));
    const text = made("div", {}, who, made("table", {}, made("thead", {}, head), rows));
    const card = made("div", { class: "host", "aria-live": "polite" }, pictures, text);
    const panels = made("div", { class: "panels" });
    panels.append(card);
    root.append(made("p", { class: "hint" }, "Point at a dot, tap it, or reach a panel with Tab and move with the arrow keys: left and right by loss, up and down by D."), panels);

    const show = (panel, n) => {
      const { table } = panel, kind = data.kinds[table.kind[n]], label = table.label[n], shape = table.shape;
      who.textContent = `${panel.title}, seed ${table.seed[n]}, ${kind} host: image ${table.index[n]} of the training set, label ${label}. D = ${number(table.contrast[n], 3)} nats; loss under the control ${table.loss[n] < 0.001 ? "below 0.001" : number(table.loss[n], 3)} nats.`;
      const stamps = [["host", null], [`with the letter ${data.feature}`, panel.letter], ["with the placebo feature", { ...panel.letter, pixels: table.placebo[n] }]];
      pictures.replaceChildren(...stamps.map(([words, stamp]) => made("figure", {},
        table.image[n] === null ? made("div", { class: "none" }, "image not kept") : picture(table.image[n], shape, stamp, `${words}, label ${label}`),
        made("figcaption", {}, words))));
      rows.replaceChildren(...["canary", "placebo"].map((model, place) => made("tr", { class: model }, made("th", { scope: "row" }, `${model} model`),
        ...[0, 1].map((stamped) => {
          const p = table.p[n][2 * place + stamped];
          return made("td", {}, number(p, 2), made("span", { class: "bar" }, made("i", { style: `width: ${100 * p}%` })));
        }))));
    };

    let marked = null;
    data.panels.forEach((panel, at) => {
      const { table } = panel, n = table.seed.length, floor = Math.max(-6, Math.floor(Math.log10(Math.min(0.1, ...table.loss.filter((one) => one > 0)))));
      const logs = table.loss.map((one) => Math.max(floor, one > 0 ? Math.log10(one) : floor));
      const high = Math.ceil(Math.max(0, ...logs)), low = Math.min(0, ...table.contrast), most = Math.max(0, ...table.contrast), pad = 0.04 * (most - low);
      const x = (log) => left + ((W - left - right) * (log - floor)) / (high - floor);
      const y = (value) => H - bottom - ((H - top - bottom) * (value - low + pad)) / (most - low + 2 * pad);
      const axes = made("g", { "aria-hidden": "true" }, made("line", { class: "axis", x1: left, x2: W - right, y1: H - bottom, y2: H - bottom }), made("line", { class: "faint", x1: left, x2: W - right, y1: y(0), y2: y(0) }));
      for (let one = high; one >= floor; one--) {
        const words = one < -2 ? `10⁻${"⁰¹²³⁴⁵⁶"[-one]}` : String(10 ** one), few = high - floor > 4 && (high - one) % 2 === 1 && one !== floor;
        axes.append(made("line", { class: "axis", x1: x(one), x2: x(one), y1: H - bottom, y2: H - bottom + 4 }));
        if (!few && (one === floor || one > floor + 1 || high - floor < 5)) axes.append(made("text", { x: x(one), y: H - bottom + 18, "text-anchor": "middle" }, one === floor ? `≤ ${words}` : words));
      }
      for (const [value, words] of ticks(low, most, 5)) axes.append(made("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, words));
      axes.append(made("text", { x: (left + W) / 2, y: H - 6, "text-anchor": "middle" }, "host's loss under the control (nats)"), made("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(11 ${(H - bottom) / 2}) rotate(-90)` }, "contrast D (nats)"));
      const spots = logs.map((log, one) => [x(log), y(table.contrast[one])]);
      const points = spots.map(([cx, cy], one) => {
        const kind = data.kinds[table.kind[one]], of = kind === "random" ? "random" : kind === "hard" ? "hard" : "other";
        const words = `seed ${table.seed[one]}, ${kind} host, label ${table.label[one]}, D ${number(table.contrast[one], 3)}, loss ${number(table.loss[one], 3)}`;
        const attributes = { class: `point ${of}`, role: "option", id: `${root.dataset.figure}-${at}-${one}`, "aria-label": words, "aria-selected": "false" };
        return of === "random" ? made("rect", { x: cx - 3.5, y: cy - 3.5, width: 7, height: 7, ...attributes }) : made("circle", { cx, cy, r: 4, ...attributes });
      });
      const ring = made("circle", { class: "chosen", r: 9, "aria-hidden": "true", visibility: "hidden" });
      const list = made("g", { role: "listbox", tabindex: "0", "aria-label": `${panel.title}: ${n} hosts, contrast D against loss` }, ...points);
      const svg = made("svg", { viewBox: `0 0 ${W} ${H}` }, axes, list, ring);
      panels.append(made("div", { class: data.panels.length > 1 ? "panel" : "panel only", style: `order: ${2 * at}` }, made("p", { class: "title" }, panel.title), svg));

      let chosen = 0;
      const choose = (one) => {
        points[chosen].setAttribute("aria-selected", "false");
        if (marked && marked !== ring) marked.setAttribute("visibility", "hidden");
        chosen = one, marked = ring;
        points[one].setAttribute("aria-selected", "true");
        list.setAttribute("aria-activedescendant", points[one].id);
        ring.setAttribute("cx", spots[one][0]), ring.setAttribute("cy", spots[one][1]), ring.setAttribute("visibility", "visible");
        card.style.setProperty("--below", 2 * at + 1);
        show(panel, one);
      };
      const order = (values) => values.map((_, one) => one).sort((a, b) => values[a] - values[b] || a - b);
      const along = { loss: order(table.loss), contrast: order(table.contrast) };
      const step = (by, way) => {
        const place = along[by].indexOf(chosen) + way;
        choose(along[by][Math.min(n - 1, Math.max(0, place))]);
      };
      const keys = {
        ArrowRight: () => step("loss", 1), ArrowLeft: () => step("loss", -1), ArrowUp: () => step("contrast", 1), ArrowDown: () => step("contrast", -1),
        PageUp: () => step("contrast", 10), PageDown: () => step("contrast", -10), Home: () => choose(along.loss[0]), End: () => choose(along.loss[n - 1]),
      };
      list.addEventListener("keydown", (event) => {
        if (!keys[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
        event.preventDefault();
        keys[event.key]();
      });
      list.addEventListener("focus", () => choose(chosen));
      const nearest = (event) => {
        const box = svg.getBoundingClientRect(), scale = W / box.width, px = (event.clientX - box.left) * scale, py = (event.clientY - box.top) * scale;
        const away = spots.map(([cx, cy]) => Math.hypot(cx - px, cy - py)), one = away.indexOf(Math.min(...away));
        if (away[one] < 28 * scale && (one !== chosen || marked !== ring)) choose(one);
      };
      svg.addEventListener("pointermove", nearest);
      svg.addEventListener("pointerdown", nearest);
      chosen = along.contrast[n - 1];
      if (at === 0) choose(chosen);
    });
    const legend = data.kinds.map((kind) => made("span", { style: "margin-right: 1.25rem" }, made("span", { "aria-hidden": "true", style: `color: var(--${kind === "random" ? "random" : "hard"})` }, kind === "random" ? "■ " : "● "), `${kind} hosts`));
    panels.before(made("p", { class: "hint" }, ...legend));
  };

  /** The score that a detector gives to canaries and innocent models, as the dose is moved. */
  const doses = (root, data) => {
    const left = 8, right = 8, name = root.dataset.figure;
    const chosen = { population: 0, host: 0, dose: 0 };
    const svg = made("svg", { role: "img" });
    const slider = made("input", { type: "range", id: `${name}-dose`, min: 0, step: 1 }), ends = made("div", { class: "ticks", "aria-hidden": "true" });
    const says = made("label", { class: "dose", for: `${name}-dose` }, "weight decay"), output = made("output", { for: `${name}-dose`, "aria-live": "polite" });
    const controls = made("div", { class: "controls" }), alone = made("p", { class: "hint" });
    root.append(controls, made("div", {}, says, slider, ends), alone, svg, output);

    /** Radio buttons for one of what there is; none where there is no choice. */
    const choice = (which, words, names) => {
      const box = made("fieldset", {}, made("legend", {}, words));
      if (names.length < 2) box.append(made("span", {}, names[0]));
      else names.forEach((one, n) => {
        const button = made("input", { type: "radio", name: `${name}-${which}`, value: n });
        button.checked = n === chosen[which];
        button.addEventListener("change", () => { chosen[which] = n; fill(which); });
        box.append(made("label", {}, button, one));
      });
      return box;
    };

    const narrow = () => root.clientWidth < 480;
    let dots = [], limit, x, place, W, H, middle;
    const current = () => data.populations[chosen.population];
    const fill = (changed) => {
      const population = current();
      [W, H, middle] = narrow() ? [340, 300, 140] : [640, 320, 150];
      svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
      if (changed === "population") chosen.host = 0;
      controls.replaceChildren(choice("population", "images", data.populations.map((one) => one.title)), choice("host", "hosts", population.hosts.map((one) => one.host)));
      if (changed) controls.querySelector(`input[name="${name}-${changed}"]:checked`).focus();
      const { doses: every } = population.hosts[chosen.host];
      chosen.dose = Math.min(chosen.dose, every.length - 1);
      slider.max = every.length - 1, slider.value = chosen.dose, slider.disabled = every.length < 2;
      ends.replaceChildren(...every.map((one) => made("span", {}, one.dose === 0 ? "none" : String(one.dose))));
      alone.textContent = every.length < 2 ? "Only one dose is recorded yet, so there is nothing to move." : "";
      const scores = every.flatMap((one) => one.scores.flat()), low = Math.min(...scores), high = Math.max(...scores), pad = 0.03 * (high - low || 1);
      x = (value) => left + ((W - left - right) * (value - low + pad)) / (high - low + 2 * pad || 1);
      // Of all doses the highest stack decides how large a dot is, so that none leaves the picture.
      place = (one, radius) => {
        const heights = {};
        return one.scores.flatMap((three, seed) => three.map((score, model) => {
          const side = model === 0 ? -1 : 1, bin = Math.round(x(score) / (2.2 * radius)), key = `${side} ${bin}`;
          heights[key] = (heights[key] || 0) + 1;
          return [bin * 2.2 * radius, middle + side * (2.2 * radius * heights[key] - radius + 1), heights[key]];
        }));
      };
      let radius = 5;
      while (radius > 1.5 && Math.max(...every.flatMap((one) => place(one, radius).map(([, cy]) => Math.abs(cy - middle)))) > Math.min(middle - 26, H - 52 - middle)) radius -= 0.25;
      const axes = made("g", { "aria-hidden": "true" }, made("line", { class: "axis", x1: left, x2: W - right, y1: middle, y2: middle }));
      for (const [value, words] of ticks(low, high, W / 80)) axes.append(made("line", { class: "axis", x1: x(value), x2: x(value), y1: H - 32, y2: H - 27 }), made("text", { x: x(value), y: H - 14, "text-anchor": "middle" }, words));
      axes.append(made("line", { class: "axis", x1: left, x2: W - right, y1: H - 32, y2: H - 32 }), made("text", { x: W - right, y: H - 38, "text-anchor": "end" }, "score →"));
      axes.append(made("text", { x: left, y: 14, style: "fill: var(--canary)" }, "canaries"), made("text", { x: left, y: H - 38, style: "fill: var(--innocent)" }, "innocent: controls and placebo models"));
      dots = every[0].scores.flatMap(() => [0, 1, 2].map((model) => made("circle", { r: radius - 0.5, class: `model ${model === 0 ? "canary" : "innocent"}` })));
      limit = made("line", { class: "limit", x1: 0, x2: 0, y1: 0, y2: H - 32 });
      svg.replaceChildren(axes, limit, ...dots);
      svg.dataset.radius = radius;
      move();
    };
    const move = () => {
      const population = current(), of = population.hosts[chosen.host], one = of.doses[chosen.dose], words = one.dose === 0 ? "none, plain models" : String(one.dose);
      place(one, Number(svg.dataset.radius)).forEach(([cx, cy], n) => {
        dots[n].style.transform = `translate(${cx}px, ${cy}px)`;
        dots[n].classList.toggle("above", one.flagged[Math.floor(n / 3)][n % 3] === 1);
      });
      limit.style.transform = `translate(${x(one.limit ?? 0)}px, 0)`;
      limit.setAttribute("visibility", one.limit === null ? "hidden" : "visible");
      says.textContent = `weight decay: ${words}`;
      slider.setAttribute("aria-valuetext", words);
      const numbers = [[share(one.area), "area under the ROC curve"], [share(one.found), "of canaries found"], [share(one.false), "of innocent models flagged"], [number(one.accuracy, 3), "accuracy of the controls"]];
      output.replaceChildren(...numbers.map(([value, what]) => made("span", {}, made("b", {}, value), ` ${what}`)));
      svg.setAttribute("aria-label", `${population.title}, ${of.host} hosts, weight decay ${words}: scores of ${one.scores.length} canaries and ${2 * one.scores.length} innocent models; area ${share(one.area)}, found ${share(one.found)}.`);
    };
    slider.addEventListener("input", () => { chosen.dose = Number(slider.value); move(); });
    window.addEventListener("resize", () => { if ((W === 340) !== narrow()) fill(); });
    fill();
  };

  const KINDS = { hosts, doses };
  const begin = () => {
    for (const root of document.querySelectorAll(".ufm-interactive[hidden]")) {
      const figure = document.getElementById(root.dataset.figure), data = JSON.parse(root.querySelector("script").textContent);
      if (figure) {
        for (const still of figure.querySelectorAll(":scope > :is(img, svg, object, picture, a.image-reference)")) still.classList.add("ufm-still"), (still.hidden = true), (still.style.display = "none");
        root.parentElement.classList.add("ufm-home");
        figure.prepend(root);
      }
      root.hidden = false;
      KINDS[root.dataset.kind](root, data);
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
