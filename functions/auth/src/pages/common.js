"use strict";
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
async function post(path, body, access) {
  return answered(await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json", ...bearer(access) },
    body: JSON.stringify(body),
  }));
}
async function get(path, access) {
  return answered(await fetch(path, { headers: bearer(access) }));
}
function bearer(access) {
  return access ? { authorization: `Bearer ${access}` } : {};
}
async function answered(response) {
  const text = await response.text();
  return { ok: response.ok, body: text ? JSON.parse(text) : {} };
}
function onSubmit(act) {
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
