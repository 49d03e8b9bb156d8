"use strict";
const save = (name, kind, text) => {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
};
const asFile = (svg) => {
  const copy = svg.cloneNode(true), parts = copy.querySelectorAll("*"), originals = svg.querySelectorAll("*");
  originals.forEach((part, i) => {
    const style = getComputedStyle(part);
    for (const name of ["fill", "stroke", "stroke-width", "stroke-dasharray", "font", "fill-opacity", "opacity"])
      parts[i].style.setProperty(name, style.getPropertyValue(name));
  });
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
};
document.addEventListener("click", (event) => {
  const kind = event.target.dataset && event.target.dataset.save;
  if (!kind) return;
  const figure = event.target.closest("figure");
  if (kind === "csv") save(figure.id + ".csv", "text/csv", figure.querySelector(".data").textContent);
  else save(figure.id + ".svg", "image/svg+xml", asFile(figure.querySelector("svg")));
});
const scaled = (value, steps) => {
  let i = 0;
  while (i + 1 < steps.length && Math.abs(value) >= steps[i + 1][0]) i++;
  return +(value / steps[i][0]).toPrecision(3) + steps[i][1];
};
const thousands = [[1, ""], [1e3, "k"], [1e6, "M"], [1e9, "G"]];
const forPeople = (value, unit) =>
  unit === 2 ? scaled(value, [[1, " ns"], [1e3, " \u00b5s"], [1e6, " ms"], [1e9, " s"]])
  : unit === 3 ? scaled(value, [[1, " B"], [1024, " KiB"], [1048576, " MiB"], [1073741824, " GiB"]])
  : unit === 4 ? +value.toPrecision(3) + " %" : unit === 6 ? +value.toPrecision(4) + " s" : scaled(value, thousands);
for (const figure of document.querySelectorAll("figure")) {
  const cursor = figure.querySelector(".cursor"), data = figure.querySelector(".data");
  if (!cursor) continue;
  const svg = figure.querySelector("svg"), out = figure.querySelector(".readout"), at = cursor.dataset;
  let lines = null, share = 0;
  const show = () => {
    if (!lines) {
      lines = new Map();
      for (const row of data.textContent.trim().split("\n").slice(1)) {
        const [name, x, y] = row.split(",");
        if (!lines.has(name)) lines.set(name, []);
        lines.get(name).push([+x, +y]);
      }
    }
    const x = +at.from + share * (at.to - at.from), place = +at.left + share * (at.right - at.left);
    cursor.setAttribute("d", `M${place} ${at.top}V${at.bottom}`);
    const xUnit = +data.dataset.xUnit;
    const words = [xUnit === 6 ? forPeople(x, 6) : xUnit === 1 ? forPeople(x, 1) + "/s" : ""];
    for (const [name, points] of lines) {
      let best = points[0];
      for (const point of points) if (Math.abs(point[0] - x) < Math.abs(best[0] - x)) best = point;
      words.push(name + " " + forPeople(best[1], +data.dataset.unit));
    }
    out.textContent = words.filter(Boolean).join("  \u00b7  ");
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect(), width = svg.viewBox.baseVal.width;
    const x = ((event.clientX - box.left) / box.width) * width;
    share = Math.min(1, Math.max(0, (x - at.left) / (at.right - at.left)));
    show();
  });
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -0.01, ArrowRight: 0.01, Home: -1, End: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    share = Math.min(1, Math.max(0, share + step));
    show();
  });
}
for (const table of document.querySelectorAll("table.sortable")) {
  const rows = () => [...table.rows].slice(1);
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.v !== undefined ? +cell.dataset.v
      : cell.textContent !== "" && !isNaN(cell.textContent) ? +cell.textContent : cell.textContent;
  };
  [...table.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const falls = head.getAttribute("aria-sort") !== "descending";
      for (const other of table.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", falls ? "descending" : "ascending");
      const sorted = rows().sort((a, b) => {
        const x = value(a, column), y = value(b, column);
        return (x < y ? -1 : x > y ? 1 : 0) * (falls ? -1 : 1);
      });
      for (const row of sorted) row.parentNode.append(row);
    });
  });
}
