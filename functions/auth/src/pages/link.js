const token = new URLSearchParams(location.hash.slice(1)).get("token");
// The token leaves the address, so that the history does not keep it.
history.replaceState(null, "", location.pathname);
if (!token) done("This link is not whole: open it from the mail again.");
