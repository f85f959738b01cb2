onSubmit(async () => {
  const new_password = document.querySelector("#password").value;
  const { ok, body } = await post("/v1/auth/password/reset", { token, new_password });
  if (ok) done("The password is set. You are signed out everywhere; sign in with the new one.");
  else outcome.textContent = asked(body);
});
