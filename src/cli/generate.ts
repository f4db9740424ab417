import { LLM } from "../engine/llm.ts";
import { beforeStop, untilStop } from "../engine/stop-strings.ts";
import { UsageError } from "../errors.ts";
import { stopTokenIds } from "../hf/generation-config.ts";
import { StreamDecoder } from "../hf/tokenizer.ts";
import { readModelConfig, type ModelDType } from "../model/model.ts";
import { decodeWith } from "../train/rollouts.ts";
import { files, loadModel, modelFolders, openGpu, openTokenizer, print, write } from "./host.ts";
import { readerGone } from "./output.ts";

export interface GenerateOptions {
  dtype: ModelDType;
  prompt?: string;
  promptTokenIds?: readonly number[];
  n: number;
  seed: number;
  temperature: number;
  topP: number;
  topK: number;
  minP: number;
  maxTokens: number;
  /** Strings that end a completion; its text is what comes before. */
  stop: readonly string[];
  json: boolean;
  /** Send the prompt as a user's message through the chat template. */
  chat: boolean;
  adapter?: string;
}

/** `pith generate DIR`: streams completions of one prompt; with --json, token ids and log-probabilities. */
export async function generateCommand(name: string, options: GenerateOptions): Promise<void> {
  if ((options.prompt === undefined) === (options.promptTokenIds === undefined)) {
    throw new UsageError("expected either --prompt TEXT or --prompt-ids 5,9,2");
  }
  const folders = await modelFolders(name);
  const dir = folders.modelDir;
  const config = await readModelConfig(files, dir);
  const tokenizer = (await files.exists(`${dir}/tokenizer.json`)) ? await openTokenizer(dir) : null;
  if (options.prompt !== undefined && !tokenizer)
    throw new UsageError(`${dir}: expected a tokenizer.json for --prompt, got none; use --prompt-ids`);
  const promptTokenIds = options.promptTokenIds ?? encodePrompt(options.prompt!);
  function encodePrompt(text: string): number[] {
    return options.chat
      ? tokenizer!.encode(
          tokenizer!.applyChatTemplate([{ role: "user", content: tokenizer!.literal(text) }], {
            addGenerationPrompt: true,
          }),
          { addSpecialTokens: false },
        )
      : tokenizer!.encode(text, { addSpecialTokens: true });
  }

  const gpu = await openGpu(options.adapter);
  const model = await loadModel(gpu, folders, options.dtype);
  const needed = Math.min(promptTokenIds.length + options.maxTokens, model.config.maxPositionEmbeddings);
  const llm = new LLM(model, { maxNumSeqs: options.n, maxModelLen: Math.max(needed, 2) });
  const given = untilStop(options.stop);
  const stream = !options.json && options.n === 1 && tokenizer ? new StreamDecoder(tokenizer) : null;
  const [result] = await llm.generate(
    [{ promptId: 0, promptTokenIds }],
    { ...options, stopTokenIds: await stopTokenIds(files, dir, config, tokenizer) },
    {
      signal: readerGone.signal,
      ...(tokenizer ? { decode: decodeWith(tokenizer) } : {}),
      ...(stream
        ? { onTokens: ({ tokenIds, finished }) => write(given(stream.push(tokenIds, finished), finished)) }
        : {}),
    },
  );
  const text = (ids: readonly number[]) => (tokenizer ? beforeStop(decodeWith(tokenizer)(ids), options.stop) : null);
  if (options.json) {
    const outputs = result!.outputs.map(({ index, tokenIds, logprobs, finishReason }) => ({
      index,
      text: text(tokenIds),
      token_ids: tokenIds,
      logprobs,
      finish_reason: finishReason,
    }));
    print(JSON.stringify({ prompt_token_ids: promptTokenIds, outputs }));
  } else if (stream) {
    print();
  } else {
    for (const { index, tokenIds } of result!.outputs) print(`[${index}] ${text(tokenIds) ?? tokenIds.join(",")}`);
  }
}
