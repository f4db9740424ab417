/** What a probability ratio is taken of: each token, or a whole response, by the mean of its tokens' (GSPO, Zheng et al. 2025). */
export const IMPORTANCE_SAMPLING_LEVELS = ["token", "sequence"] as const;
export type ImportanceSamplingLevel = (typeof IMPORTANCE_SAMPLING_LEVELS)[number];
