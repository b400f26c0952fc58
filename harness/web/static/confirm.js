// Asks before a form does anything.
"use strict";

document.addEventListener("submit", event => {
  const asked = event.target.dataset.confirm;
  if (asked && !window.confirm(asked)) event.preventDefault();
});
