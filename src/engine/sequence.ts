export type FinishReason = "stop" | "length";

/** A prompt with the blocks that hold the keys and values of its full blocks, shared by its n samples. */
export interface Prompt {
  /** Key of the random numbers: what is drawn depends on (seed, promptId, sample, position) alone. */
  promptId: number;
  tokenIds: readonly number[];
  /** Blocks of the shared prefix while any sample holds them. */
  sharedBlocks: number[];
  /** Samples that hold them. */
  holders: number;
}

/** One sample of one prompt on its way through the engine. */
export class Sequence {
  readonly prompt: Prompt;
  readonly sample: number;
  /** Most tokens that prompt and completion may have together. */
  readonly maxLength: number;
  readonly tokenIds: number[] = [];
  readonly logprobs: number[] = [];
  /** Blocks in order of position, the shared ones first; empty while waiting. */
  blocks: number[] = [];
  finishReason: FinishReason | null = null;

  constructor(prompt: Prompt, sample: number, maxLength: number) {
    this.prompt = prompt;
    this.sample = sample;
    this.maxLength = maxLength;
  }

  /** Tokens so far, prompt included. */
  get length(): number {
    return this.prompt.tokenIds.length + this.tokenIds.length;
  }

  tokenAt(position: number): number {
    const inPrompt = this.prompt.tokenIds.length;
    return position < inPrompt ? this.prompt.tokenIds[position]! : this.tokenIds[position - inPrompt]!;
  }

  append(tokenId: number, logprob: number, stopTokenIds: ReadonlySet<number>): void {
    this.tokenIds.push(tokenId);
    this.logprobs.push(logprob);
    if (stopTokenIds.has(tokenId)) this.finishReason = "stop";
    else if (this.length >= this.maxLength) this.finishReason = "length";
  }
}
