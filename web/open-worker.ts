/**
 * A module worker that is under its document's policy, because it begins as a blob; one from a file host, which sends no policy with
 * it, would be under none.
 */
export function openWorker(address: string): Worker {
  const script = `import ${JSON.stringify(new URL(address, location.href).href)};`;
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  return new Worker(url, { type: "module" });
}
