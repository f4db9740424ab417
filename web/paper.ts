import { PAPER_TABLES } from "../src/run/paper-tables.ts";

/** One of the published tables as the page draws it: the untrained model and RL, all at a context of 32k. */
export interface PaperResults {
  name: string;
  table: number;
  base: { tokens: number; accuracy: number };
  runs: { alpha: number; tokens: number; accuracy: number }[];
}

const CONTEXT = 32;

export const PAPER: PaperResults[] = PAPER_TABLES.map(({ table, dataset, model, rows }) => ({
  name: `${dataset}, ${model}`,
  table,
  base: rows.find(({ method, context }) => method === "Distill" && context === CONTEXT)!,
  runs: rows.flatMap(({ method, alpha, tokens, accuracy }) =>
    method === "RL" && alpha !== null ? [{ alpha, tokens, accuracy }] : [],
  ),
}));
