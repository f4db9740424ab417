/** What one of a fleet's workers drew of a run. */
export interface SamplerShare {
  worker: string;
  /** As it says itself; null where it was gone before it was asked. */
  adapter: string | null;
  responses: number;
  /** Of the responses. */
  tokens: number;
}

/** Adds to what the worker's share holds already. */
export function addShare(shares: Map<string, SamplerShare>, share: SamplerShare): void {
  const before = shares.get(share.worker) ?? { ...share, responses: 0, tokens: 0 };
  shares.set(share.worker, {
    worker: share.worker,
    adapter: share.adapter ?? before.adapter,
    responses: before.responses + share.responses,
    tokens: before.tokens + share.tokens,
  });
}
