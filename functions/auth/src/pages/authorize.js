const request = new URLSearchParams(location.search).get("request");
const path = `/v1/auth/authorizations/${encodeURIComponent(request)}`;
const element = (id) => document.querySelector(`#${id}`);
let ticket;
if (!request) done("This link is not whole: begin again in the application.");

onSubmit(async () => {
  const { ok, body } = ticket ? await secondFactor() : await firstFactor();
  if (!ok) {
    outcome.textContent = asked(body);
    return;
  }
  outcome.textContent = "";
  if (body.status === "signed_in") {
    keepDevice(body.device_token);
    await show(body.access_token, body.user.email);
  } else if (body.factors.includes("totp") || body.factors.includes("recovery_code")) {
    ticket = body.ticket;
    element("password-step").hidden = true;
    element("code-step").hidden = false;
  } else {
    done("Your second factor is a passkey, which this page cannot ask for.");
  }
});

function firstFactor() {
  const credentials = { email: element("email").value, password: element("password").value };
  return post("/v1/auth/login", { ...credentials, device_token: knownDevice() });
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

function secondFactor() {
  const code = element("code").value.trim();
  const proof = /^[0-9 ]{6,8}$/.test(code) ? { totp: code } : { recovery_code: code };
  return post("/v1/auth/second-factor", { ticket, ...proof });
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
  for (const decision of ["allow", "deny"]) {
    element(decision).addEventListener("click", async () => {
      element("allow").disabled = element("deny").disabled = true;
      try {
        await decide(access, decision);
      } catch {
        outcome.textContent = "That did not work: check your connection and try again.";
        element("allow").disabled = element("deny").disabled = false;
      }
    });
  }
}

async function decide(access, decision) {
  const { ok, body } = await post(path, { decision }, access);
  element("consent").hidden = true;
  await end(access, ok ? "You are sent back to the application." : asked(body));
  if (ok) location.replace(body.redirect_to);
}
