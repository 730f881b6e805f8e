"use strict";
// Filters the list of records by all words typed; needs nothing but records.js beside it.
(() => {
  const field = document.getElementById("q");
  const told = document.getElementById("found");
  const items = [...document.querySelectorAll("#records > li")];
  if (!field || !window.RECORDS) return;
  const texts = new Map(window.RECORDS.map((r) => [r.id, r.text]));
  const filter = () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const item of items) {
      const text = texts.get(item.dataset.record) || "";
      item.hidden = !words.every((w) => text.includes(w));
      shown += item.hidden ? 0 : 1;
    }
    told.textContent = words.length ? `${shown} of ${items.length} records` : "";
  };
  field.addEventListener("input", filter);
  field.form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
