// Keys of the page: / searches, Enter saves, Escape cancels. Everything works without this file too.
"use strict";

document.addEventListener("keydown", (event) => {
  const at = event.target;
  const writing = at.matches("input, textarea, select, [contenteditable]");
  if (event.key === "/" && !writing && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const search = document.querySelector("[data-slash]");
    if (search) { event.preventDefault(); search.focus(); }
  } else if (event.key === "Enter" && at.matches("textarea[data-enter]") && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    at.form.requestSubmit();
  } else if (event.key === "Escape") {
    const inside = at.closest(".open");
    const cancel = inside && inside.querySelector("[data-close]");
    if (cancel) { event.preventDefault(); cancel.click(); }
  }
});

// A part that was opened in place is closed in place, and the focus goes back to what opened it.
document.addEventListener("click", (event) => {
  const link = event.target.closest("[data-close]");
  const part = link && link.closest(".open");
  if (!part) return;
  event.preventDefault();
  event.stopPropagation();
  part.replaceChildren();
  document.getElementById(link.dataset.close)?.focus();
}, true);

// What was done is said to screen readers from a place that stays.
function tell() {
  const said = document.querySelector("[data-said]");
  document.getElementById("live").textContent = said ? said.textContent : "";
}
document.addEventListener("htmx:after:swap", (event) => {
  tell();
  // After a new page the focus is on its heading. A part that comes by itself, such as worth, leaves it where it is.
  if (event.target.id === "page" && document.activeElement === document.body) {
    document.querySelector("h1")?.focus({ preventScroll: true });
  }
});
if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", tell); else tell();
