// Finds words in the documents of the page.
"use strict";
(() => {
  const find = document.getElementById("find");
  if (!find) return;
  const cards = [...document.querySelectorAll(".cards .card")].map((card) => [card, card.textContent.toLowerCase()]);
  find.addEventListener("input", () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    cards.forEach(([card, text]) => {
      card.hidden = !words.every((word) => text.includes(word));
      shown += !card.hidden;
    });
    document.getElementById("found").textContent = words.length ? `${shown} of ${cards.length} documents` : "";
  });
})();
