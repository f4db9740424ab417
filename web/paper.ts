/**
 * The published points: "Training Language Models to Reason Efficiently" (Arora & Zanette, 2025), appendix E, tables 1 to 6; rows
 * "Distill" (the untrained model) and "RL", all at a context of 32k. Accuracy is the paper's average pass rate.
 */
export interface PaperResults {
  name: string;
  table: number;
  base: { tokens: number; accuracy: number };
  runs: { alpha: number; tokens: number; accuracy: number }[];
}

const ALPHAS = [0, 0.05, 0.1, 0.2, 0.4];

function results(
  name: string,
  table: number,
  [baseTokens, baseAccuracy]: [number, number],
  rows: [number, number][],
): PaperResults {
  return {
    name,
    table,
    base: { tokens: baseTokens, accuracy: baseAccuracy },
    runs: rows.map(([tokens, accuracy], i) => ({ alpha: ALPHAS[i]!, tokens, accuracy })),
  };
}

export const PAPER: PaperResults[] = [
  results(
    "MATH500, 1.5B",
    1,
    [5309.7, 0.847],
    [
      [3469.0, 0.853],
      [2818.0, 0.827],
      [2691.8, 0.819],
      [2349.9, 0.829],
      [1715.5, 0.73],
    ],
  ),
  results(
    "MATH500, 7B",
    4,
    [4044.4, 0.933],
    [
      [3340.4, 0.927],
      [3258.9, 0.923],
      [2823.6, 0.921],
      [1978.2, 0.883],
      [1719.3, 0.833],
    ],
  ),
  results(
    "GSM8K, 1.5B",
    3,
    [676.0, 0.763],
    [
      [1283.1, 0.858],
      [773.9, 0.852],
      [687.9, 0.832],
      [295.6, 0.795],
      [151.0, 0.689],
    ],
  ),
  results(
    "GSM8K, 7B",
    6,
    [1626.1, 0.926],
    [
      [1345.8, 0.936],
      [942.9, 0.927],
      [812.6, 0.917],
      [248.8, 0.889],
      [105.8, 0.823],
    ],
  ),
  results(
    "AIME 2024, 1.5B",
    2,
    [16067.4, 0.32],
    [
      [13097.2, 0.297],
      [9399.1, 0.317],
      [11570.1, 0.32],
      [10429.1, 0.283],
      [8879.4, 0.263],
    ],
  ),
  results(
    "AIME 2024, 7B",
    5,
    [13173.0, 0.557],
    [
      [11725.1, 0.537],
      [10768.4, 0.56],
      [10893.3, 0.513],
      [9209.3, 0.533],
      [9831.7, 0.513],
    ],
  ),
];
