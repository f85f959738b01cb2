"use strict";
const token = new URLSearchParams(location.hash.slice(1)).get("token");
// The token leaves the address, so that the history does not keep it.
history.replaceState(null, "", location.pathname);
const form = document.querySelector("form");
const outcome = document.querySelector("#outcome");
function done(text) {
  form.remove();
  outcome.textContent = text;
}
function asked(problem) {
  const fields = (problem.errors || []).map((error) => error.detail).join("; ");
  return `${problem.title}: ${fields || problem.detail}.`;
}
async function post(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  return { ok: response.ok, body: text ? JSON.parse(text) : {} };
}
function onSubmit(act) {
  if (!token) {
    done("This link is not whole: open it from the mail again.");
    return;
  }
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      await act();
    } catch {
      outcome.textContent = "That did not work: check your connection and try again.";
    }
    button.disabled = false;
  });
}
