// Runs before the first paint, so that a page in the dark does not flash white.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
})();
