import { configKeys, deepMerge, type Json } from "./config.ts";
import { decimal } from "./decimal.ts";

/**
 * Settings typed as texts, by `section.key` (or `section.key.name` for a key that holds names), as parseConfig takes them: a text
 * becomes a number, a truth value or what JSON says only where the key wants one.
 */
export function typedSettings(texts: Iterable<readonly [key: string, text: string]>): Json {
  const schemas = new Map(configKeys().map(({ key, schema }) => [key, schema]));
  let settings: Json = {};
  for (const [key, text] of texts) {
    const parts = key.split(".");
    const schema = schemas.get(parts.slice(0, 2).join("."));
    // A key of free names holds what its owner says: JSON where it is JSON.
    const readings = parts.length > 2 ? readingsOf(text).reverse() : readingsOf(text);
    const value = readings.find((reading) => parts.length > 2 || schema?.safeParse(reading).success) ?? readings.at(-1);
    settings = deepMerge(settings, parts.reduceRight<unknown>((inner, part) => ({ [part]: inner }), value) as Json);
  }
  return settings;
}

/** What a text may stand for: itself, then the number that it writes or what it is as JSON. */
function readingsOf(text: string): unknown[] {
  const number = decimal(text);
  if (number !== null) return [text, number];
  try {
    return [text, JSON.parse(text) as unknown];
  } catch {
    return [text];
  }
}
