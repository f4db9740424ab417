/** The paper's appendix E: tables 1 to 6. */
export interface PaperTable {
  table: number;
  dataset: string;
  /** Parameters of DeepSeek-R1-Distill-Qwen. */
  model: string;
  rows: readonly PaperRow[];
}

export interface PaperRow {
  /** "Distill" is the model as it was, generation cut off at the context. */
  method: "Distill" | "RL" | "SFT" | "DPO";
  alpha: number | null;
  tokens: number;
  accuracy: number;
  /** In thousands of tokens. */
  context: number;
}

type Row = [method: PaperRow["method"], alpha: number | null, tokens: number, accuracy: number, context: number];

const table = (number: number, dataset: string, model: string, rows: readonly Row[]): PaperTable => ({
  table: number,
  dataset,
  model,
  rows: rows.map(([method, alpha, tokens, accuracy, context]) => ({ method, alpha, tokens, accuracy, context })),
});

export const PAPER_TABLES: readonly PaperTable[] = [
  table(1, "MATH500", "1.5B", [
    ["DPO", null, 4478.6, 0.833, 32],
    ["Distill", null, 3712.0, 0.773, 8],
    ["Distill", null, 4274.1, 0.822, 12],
    ["Distill", null, 4638.6, 0.836, 16],
    ["Distill", null, 4940.7, 0.831, 20],
    ["Distill", null, 5056.2, 0.842, 24],
    ["Distill", null, 5309.7, 0.847, 32],
    ["RL", 0, 3469.0, 0.853, 32],
    ["RL", 0.05, 2818.0, 0.827, 32],
    ["RL", 0.1, 2691.8, 0.819, 32],
    ["RL", 0.2, 2349.9, 0.829, 32],
    ["RL", 0.4, 1715.5, 0.73, 32],
    ["SFT", null, 3701.2, 0.778, 32],
  ]),
  table(2, "AIME", "1.5B", [
    ["DPO", null, 15145.8, 0.287, 32],
    ["Distill", null, 12135.6, 0.307, 16],
    ["Distill", null, 13706.7, 0.32, 20],
    ["Distill", null, 14831.0, 0.32, 24],
    ["Distill", null, 16067.4, 0.32, 32],
    ["Distill", null, 7244.3, 0.227, 8],
    ["Distill", null, 9996.3, 0.287, 12],
    ["RL", 0, 13097.2, 0.297, 32],
    ["RL", 0.05, 9399.1, 0.317, 32],
    ["RL", 0.1, 11570.1, 0.32, 32],
    ["RL", 0.2, 10429.1, 0.283, 32],
    ["RL", 0.4, 8879.4, 0.263, 32],
    ["SFT", null, 13805.5, 0.243, 32],
  ]),
  table(3, "GSM8K", "1.5B", [
    ["DPO", null, 831.0, 0.763, 32],
    ["Distill", null, 660.6, 0.762, 8],
    ["Distill", null, 670.6, 0.763, 12],
    ["Distill", null, 673.4, 0.763, 16],
    ["Distill", null, 676.0, 0.763, 20],
    ["Distill", null, 676.0, 0.763, 24],
    ["Distill", null, 676.0, 0.763, 32],
    ["RL", 0, 1283.1, 0.858, 32],
    ["RL", 0.05, 773.9, 0.852, 32],
    ["RL", 0.1, 687.9, 0.832, 32],
    ["RL", 0.2, 295.6, 0.795, 32],
    ["RL", 0.4, 151.0, 0.689, 32],
    ["SFT", null, 508.2, 0.776, 32],
  ]),
  table(4, "MATH500", "7B", [
    ["DPO", null, 3363.6, 0.906, 32],
    ["Distill", null, 3321.1, 0.886, 8],
    ["Distill", null, 3632.4, 0.915, 12],
    ["Distill", null, 3824.2, 0.921, 16],
    ["Distill", null, 3884.1, 0.93, 20],
    ["Distill", null, 3999.8, 0.928, 24],
    ["Distill", null, 4044.4, 0.933, 32],
    ["RL", 0, 3340.4, 0.927, 32],
    ["RL", 0.05, 3258.9, 0.923, 32],
    ["RL", 0.1, 2823.6, 0.921, 32],
    ["RL", 0.2, 1978.2, 0.883, 32],
    ["RL", 0.4, 1719.3, 0.833, 32],
    ["SFT", null, 1429.8, 0.782, 32],
  ]),
  table(5, "AIME", "7B", [
    ["DPO", null, 13161.8, 0.513, 32],
    ["Distill", null, 10418.2, 0.5, 16],
    ["Distill", null, 11670.9, 0.507, 20],
    ["Distill", null, 12890.1, 0.507, 24],
    ["Distill", null, 13173.0, 0.557, 32],
    ["Distill", null, 6737.4, 0.41, 8],
    ["Distill", null, 8910.5, 0.48, 12],
    ["RL", 0, 11725.1, 0.537, 32],
    ["RL", 0.05, 10768.4, 0.56, 32],
    ["RL", 0.1, 10893.3, 0.513, 32],
    ["RL", 0.2, 9209.3, 0.533, 32],
    ["RL", 0.4, 9831.7, 0.513, 32],
    ["SFT", null, 5603.7, 0.2, 32],
  ]),
  table(6, "GSM8K", "7B", [
    ["DPO", null, 536.6, 0.87, 32],
    ["Distill", null, 1576.0, 0.923, 8],
    ["Distill", null, 1605.4, 0.925, 12],
    ["Distill", null, 1615.0, 0.926, 16],
    ["Distill", null, 1616.4, 0.926, 20],
    ["Distill", null, 1619.4, 0.926, 24],
    ["Distill", null, 1626.1, 0.926, 32],
    ["RL", 0, 1345.8, 0.936, 32],
    ["RL", 0.05, 942.9, 0.927, 32],
    ["RL", 0.1, 812.6, 0.917, 32],
    ["RL", 0.2, 248.8, 0.889, 32],
    ["RL", 0.4, 105.8, 0.823, 32],
    ["SFT", null, 440.2, 0.879, 32],
  ]),
];
