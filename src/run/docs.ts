import { configKeys } from "./config.ts";

/** docs/configuration.md: every key with its default and what it means. */
export function configurationDocs(): string {
  const rows = configKeys().map(({ key, default: value, description }) => {
    const shown = value === undefined ? "" : `\`${JSON.stringify(value)}\``;
    return `| \`${key}\` | ${shown} | ${description} |`;
  });
  return `# Configuration

Defaults, then TOML files from left to right, then \`--section.key value\`. Made by \`node scripts/docs.ts\`.

| key | default | meaning |
| --- | --- | --- |
${rows.join("\n")}
`;
}
