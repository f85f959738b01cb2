"use strict";
const form = document.querySelector("form");
const outcome = document.querySelector("#outcome");
// What a visitor is told in place of the usual.
class Told extends Error {}
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
// One thing at a time: all buttons wait until what one of them began is over.
async function busy(act) {
  const waiting = [...document.querySelectorAll("button")];
  for (const button of waiting) button.disabled = true;
  try {
    await act();
  } catch (error) {
    const usual = "That did not work: check your connection and try again.";
    outcome.textContent = error instanceof Told ? error.message : usual;
  }
  for (const button of waiting) button.disabled = false;
}
function onSubmit(act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    busy(act);
  });
}
function onPress(id, act) {
  document.querySelector(`#${id}`).addEventListener("click", () => busy(act));
}
