/** Keeps the whole page in this browser, so that it opens without a network after the first visit. The build writes the two constants. */
const FILES = ["__FILES__"];
const CACHE = "pith-__VERSION__";

addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(FILES))
      .then(() => self.skipWaiting()),
  );
});

addEventListener("activate", (event) => {
  const old = (name) => name.startsWith("pith-") && name !== CACHE;
  event.waitUntil(
    caches
      .keys()
      .then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))))
      .then(() => self.clients.claim()),
  );
});

addEventListener("fetch", (event) => {
  const { request } = event;
  if (request.method !== "GET" || !request.url.startsWith(self.registration.scope)) return;
  const kept = () => caches.match(request, { ignoreSearch: true });
  // A newer page is taken where there is a network; the files that it names never change.
  if (request.mode === "navigate")
    event.respondWith(fetch(request).catch(async () => (await kept()) ?? caches.match("./")));
  else event.respondWith(kept().then((response) => response ?? fetch(request)));
});
