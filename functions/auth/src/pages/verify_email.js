onSubmit(async () => {
  const { ok, body } = await post("/v1/auth/email/verify", { token });
  if (ok) done(`${body.email} is confirmed. You can close this page and sign in.`);
  else outcome.textContent = asked(body);
});
