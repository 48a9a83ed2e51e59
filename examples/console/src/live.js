// Loads the page again when a connection changes. The page also works without this script.
const stream = new EventSource("/integrations/v1/connections/live");
let isReady = false;
stream.addEventListener("ready", () => { isReady = true; });
for (const kind of ["connection", "removed"]) {
  stream.addEventListener(kind, () => { if (isReady) location.replace("/"); });
}
