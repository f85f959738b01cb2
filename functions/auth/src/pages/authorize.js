const request = new URLSearchParams(location.search).get("request");
const path = `/v1/auth/authorizations/${encodeURIComponent(request)}`;
const element = (id) => document.querySelector(`#${id}`);
const hasPasskeys = typeof PublicKeyCredential === "function" && "parseRequestOptionsFromJSON" in PublicKeyCredential;
// What the form is sent to: the password first, then what its answer asks for.
let step = byPassword;
let ticket;
element("email").value = new URLSearchParams(location.hash.slice(1)).get("login_hint") ?? "";
element("by-passkey").hidden = !hasPasskeys;
if (!request) done("This link is not whole: begin again in the application.");

onSubmit(() => signIn(step));
onPress("by-mail", startByMail);
onPress("by-passkey", () => signIn(byPasskey));
onPress("factor-passkey", () => signIn(byFactorPasskey));

async function signIn(prove) {
  const { ok, body } = await prove();
  if (!ok) {
    outcome.textContent = asked(body);
    return;
  }
  outcome.textContent = "";
  if (body.status === "signed_in") {
    keepDevice(body.device_token);
    await show(body.access_token, body.user.email);
    return;
  }
  ticket = body.ticket;
  const codes = body.factors.includes("totp") || body.factors.includes("recovery_code");
  const passkey = hasPasskeys && body.factors.includes("passkey");
  askForCode("Code of your authenticator app, or a recovery code", byFactor);
  element("code-step").hidden = form.querySelector("button").hidden = !codes;
  element("factor-passkey").hidden = !passkey;
  if (!codes && !passkey) done("Your second factor is a passkey, which this browser cannot ask for.");
}

function askForCode(label, next) {
  step = next;
  element("code-label").textContent = label;
  element("code").value = "";
  element("code-step").hidden = false;
  element("password-step").hidden = element("by-mail").hidden = element("by-passkey").hidden = true;
  element("code").focus();
}

function byPassword() {
  const credentials = { email: element("email").value, password: element("password").value };
  return post("/v1/auth/login", { ...credentials, device_token: knownDevice() });
}

// The answer is the same for every address.
async function startByMail() {
  const { ok, body } = await post("/v1/auth/passwordless/start", { email: element("email").value });
  if (!ok) {
    outcome.textContent = asked(body);
    return;
  }
  ticket = body.ticket;
  askForCode("Code of the mail, if the address has an account", byMail);
  outcome.textContent = "Leave this page open and look into your mail.";
}

function byMail() {
  return post("/v1/auth/passwordless/verify", { ticket, code: element("code").value });
}

function byFactor() {
  const code = element("code").value.trim();
  const proof = /^[0-9 ]{6,8}$/.test(code) ? { totp: code } : { recovery_code: code };
  return post("/v1/auth/second-factor", { ticket, ...proof });
}

async function byPasskey() {
  const begun = await post("/v1/auth/passkeys/login/begin", {});
  if (!begun.ok) return begun;
  const credential = await useOneOf(begun.body.options);
  return post("/v1/auth/passkeys/login/finish", { ticket: begun.body.ticket, credential });
}

async function byFactorPasskey() {
  const begun = await post("/v1/auth/second-factor/passkey", { ticket });
  if (!begun.ok) return begun;
  const passkey = { ticket: begun.body.ticket, credential: await useOneOf(begun.body.options) };
  return post("/v1/auth/second-factor", { ticket, passkey });
}

async function useOneOf(options) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  try {
    return (await navigator.credentials.get({ publicKey })).toJSON();
  } catch {
    throw new Told("No passkey was used. Try again, or sign in otherwise.");
  }
}

// By the token of the device, which opens nothing, a further sign-in alarms nobody, and waits for nobody else's tries.
function knownDevice() {
  try {
    return localStorage.getItem("device_token") ?? undefined;
  } catch {
    return undefined;
  }
}

function keepDevice(token) {
  try {
    if (token) localStorage.setItem("device_token", token);
  } catch {
    // The browser keeps nothing: each sign-in is one from a new device.
  }
}

// The page's own session ends with the decision: what the application gets is another one.
async function end(access, text) {
  await post("/v1/auth/logout", {}, access);
  done(text);
}

async function show(access, account) {
  const { ok, body } = await get(path, access);
  if (!ok) {
    await end(access, asked(body));
    return;
  }
  if (body.consented) {
    await decide(access, "allow");
    return;
  }
  form.remove();
  if (body.is_other_account) {
    element("other").textContent = account;
    element("other-account").hidden = false;
    onPress("leave", () => decide(access, "allow"));
    onPress("switch", async () => {
      await end(access, "");
      location.reload();
    });
    return;
  }
  element("application").textContent = body.client.name;
  element("tenant").textContent = body.tenant.name;
  element("account").textContent = account;
  element("host").textContent = body.redirect_host;
  element("access").textContent = body.access.description;
  for (const scope of body.scopes) {
    const item = document.createElement("li");
    item.textContent = scope.description;
    element("scopes").append(item);
  }
  element("consent").hidden = false;
  onPress("allow", () => decide(access, "allow"));
  onPress("deny", () => decide(access, "deny"));
}

async function decide(access, decision) {
  const { ok, body } = await post(path, { decision }, access);
  element("consent").hidden = element("other-account").hidden = true;
  const refused = ok && new URL(body.redirect_to).searchParams.has("error");
  const sent = refused ? "The application gets no access." : "You are sent back to the application.";
  await end(access, ok ? sent : asked(body));
  if (!ok) return;
  // Who gave nothing goes back by a link alone: the application may be somebody who wants nothing but that.
  if (decision === "allow" && !refused) location.replace(body.redirect_to);
  element("return").href = body.redirect_to;
  element("back").hidden = false;
}
