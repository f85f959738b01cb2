onSubmit(async () => {
  const { ok, body } = await post("/v1/auth/passwordless/verify", { ticket: token });
  if (!ok) {
    outcome.textContent = asked(body);
    return;
  }
  if (body.status !== "signed_in") {
    done("A second factor is set up: sign in from your application, which can ask for it.");
    return;
  }
  // There is no application here to hand the tokens to (AppUrl): they are shown.
  done("You are signed in. The access token, good for ten minutes:");
  const shown = document.createElement("pre");
  shown.textContent = body.access_token;
  outcome.after(shown);
});
