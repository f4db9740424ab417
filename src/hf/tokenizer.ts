import { Tokenizer as HfTokenizer } from "@huggingface/tokenizers";
import { FormatError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";
import { ChatTemplate, type ChatMessage } from "./chat-template.ts";
import { brief, oneLine, readJsonObject } from "./json.ts";

type Json = Record<string, unknown>;

/** Runs synchronous work that a hostile tokenizer.json could keep from ending; what that means is up to the host. */
export type Within = <T>(work: () => T) => T;

/** Within the spelling of a special token: that it is text. A noncharacter of Unicode, which texts do not have. */
const GUARD = "\uFDD0";

/** tokenizer.json with tokenizer_config.json: text to ids and back, and the model's chat template. */
export class Tokenizer {
  readonly #tokenizer: HfTokenizer;
  readonly #config: Json;
  /** Has calls made in `work` share one deadline. */
  readonly within: Within;
  /** A deadline takes a millisecond, and responses are decoded token by token: only what may not end has one. */
  readonly #withinDecode: Within;
  /** The place behind the first character of each added token. */
  readonly #spelled: RegExp | null;
  readonly #chatTemplateSource: string | null;
  #chatTemplate: ChatTemplate | null = null;

  constructor(tokenizer: HfTokenizer, config: Json, chatTemplate: string | null, within: Within = (work) => work()) {
    keepByteOrderMarks(tokenizer.decoder);
    dropGuards(tokenizer);
    this.within = within;
    const hasPattern = JSON.stringify(tokenizer.decoder?.config ?? null).includes('"Regex"');
    this.#withinDecode = hasPattern ? within : (work) => work();
    this.#tokenizer = tokenizer;
    this.#spelled = spelling([...tokenizer.get_added_tokens_decoder().values()].map(({ content }) => content));
    this.#config = config;
    this.#chatTemplateSource = chatTemplate;
  }

  /** `addSpecialTokens`: what the tokenizer itself puts around a text, such as a BOS token; a rendered prompt has its own. */
  encode(text: string, { addSpecialTokens }: { addSpecialTokens: boolean }): number[] {
    const { ids } = this.#explained("encode", this.within, () =>
      this.#tokenizer.encode(text, { add_special_tokens: addSpecialTokens }),
    );
    const complete = ids.every((id) => Number.isSafeInteger(id) && id >= 0);
    if (!complete)
      throw new FormatError(
        `expected a token for each part of a text, got none for a part of ${brief(text)}; the tokenizer names none for what it does not know`,
      );
    return ids;
  }

  decode(ids: readonly number[], { skipSpecialTokens }: { skipSpecialTokens: boolean }): string {
    if (ids.length === 0) return "";
    return this.#explained("decode", this.#withinDecode, () =>
      this.#tokenizer.decode([...ids], {
        skip_special_tokens: skipSpecialTokens,
        clean_up_tokenization_spaces: false,
      }),
    );
  }

  /** The text such that `encode` takes the special tokens that it spells for text. */
  literal(text: string): string {
    const plain = this.plain(text);
    return this.#spelled === null ? plain : plain.replaceAll(this.#spelled, GUARD);
  }

  /** The text as it was before `literal`. */
  plain(text: string): string {
    return text.replaceAll(GUARD, "");
  }

  tokenId(token: string): number | undefined {
    return this.#tokenizer.token_to_id(token);
  }

  /** The id of tokenizer_config.json's `eos_token`, if it names one. */
  get eosTokenId(): number | undefined {
    const token = this.#special("eos_token");
    return token === undefined ? undefined : this.tokenId(token);
  }

  applyChatTemplate(
    messages: readonly ChatMessage[],
    { addGenerationPrompt }: { addGenerationPrompt: boolean },
  ): string {
    if (this.#chatTemplateSource === null) {
      throw new FormatError(
        "expected a chat template in tokenizer_config.json or chat_template.jinja, got none; use a task with a prompt of its own",
      );
    }
    this.#chatTemplate ??= new ChatTemplate(this.#chatTemplateSource);
    const template = this.#chatTemplate;
    return this.within(() =>
      template.render(messages, {
        add_generation_prompt: addGenerationPrompt,
        bos_token: this.#special("bos_token") ?? "",
        eos_token: this.#special("eos_token") ?? "",
      }),
    );
  }

  /** What @huggingface/tokenizers throws says nothing of where it comes from. */
  #explained<T>(what: string, within: Within, work: () => T): T {
    return within(() => {
      try {
        return work();
      } catch (error) {
        throw new FormatError(`tokenizer.json: cannot ${what}: ${oneLine((error as Error).message)}`, { cause: error });
      }
    });
  }

  #special(key: string): string | undefined {
    const token = this.#config[key];
    if (typeof token === "string") return token;
    return typeof token === "object" && token !== null ? String((token as Json)["content"]) : undefined;
  }
}

export async function loadTokenizer(files: Files, dir: string, within?: Within): Promise<Tokenizer> {
  const tokenizer = await readJsonObject(files, `${dir}/tokenizer.json`);
  const configPath = `${dir}/tokenizer_config.json`;
  const config = (await files.exists(configPath)) ? await readJsonObject(files, configPath) : {};
  const template = (await files.exists(`${dir}/chat_template.jinja`))
    ? await files.readText(`${dir}/chat_template.jinja`)
    : namedTemplate(config["chat_template"]);
  try {
    return new Tokenizer(new HfTokenizer(tokenizer, config), config, template, within);
  } catch (error) {
    throw new FormatError(`${dir}/tokenizer.json: ${oneLine((error as Error).message)}`, { cause: error });
  }
}

/** A template is a string, or a list of named ones of which "default" is meant. */
function namedTemplate(template: unknown): string | null {
  if (typeof template === "string") return template;
  if (!Array.isArray(template)) return null;
  const named = template.filter(
    (entry: unknown): entry is { name: unknown; template: string } =>
      typeof (entry as { template?: unknown } | null)?.template === "string",
  );
  return (named.find(({ name }) => name === "default") ?? named[0])?.template ?? null;
}

/** Matches each of the tokens, the longest first; those of one character cannot be broken up. */
function spelling(tokens: readonly string[]): RegExp | null {
  const escaped = tokens
    .map((token) => [...token])
    .filter((characters) => characters.length > 1)
    .sort((a, b) => b.length - a.length)
    .map(([first, ...rest]) => `(?<=${RegExp.escape(first!)})(?=${RegExp.escape(rest.join(""))})`);
  return escaped.length === 0 ? null : new RegExp(escaped.join("|"), "gu");
}

/** Has texts lose their guards when they have been split at special tokens. */
function dropGuards(tokenizer: HfTokenizer): void {
  const pretokenize = tokenizer.pre_tokenizer as ((text: string, options: unknown) => string[]) | null;
  Object.assign(tokenizer, {
    pre_tokenizer(text: string, options: unknown): string[] {
      const plain = text.replaceAll(GUARD, "");
      return pretokenize ? pretokenize(plain, options) : [plain];
    },
  });
}

/** Has byte-fallback decoders keep a U+FEFF, which TextDecoder takes for a mark and drops; in a sequence each by itself. */
function keepByteOrderMarks(decoder: unknown): void {
  const { decoders, text_decoder } = (decoder ?? {}) as { decoders?: unknown[]; text_decoder?: TextDecoder };
  if (text_decoder && !text_decoder.ignoreBOM)
    Object.assign(decoder!, { text_decoder: new TextDecoder("utf-8", { ignoreBOM: true }) });
  decoders?.forEach(keepByteOrderMarks);
}

/**
 * Decodes tokens as they come, and holds back a character until its last byte. Only the tokens since the last two pieces are
 * decoded again, so that a long response costs no more per token than a short one: the older piece is there for decoders
 * that treat the start of a text differently. The pieces together are the text of all tokens decoded at once, wherever
 * the bytes are valid UTF-8.
 */
export class StreamDecoder {
  readonly #tokenizer: Tokenizer;
  /** Tokens of the last piece given out, then those not given out yet. */
  #window: number[] = [];
  #given = 0;

  constructor(tokenizer: Tokenizer) {
    this.#tokenizer = tokenizer;
  }

  /** The text that these tokens add. */
  push(ids: readonly number[], last = false): string {
    this.#window.push(...ids);
    const text = this.#decode(this.#window);
    if (!last && text.endsWith("\ufffd")) return "";
    const added = text.slice(this.#decode(this.#window.slice(0, this.#given)).length);
    if (added !== "") {
      this.#window.splice(0, this.#given);
      this.#given = this.#window.length;
    }
    return added;
  }

  #decode(ids: readonly number[]): string {
    return this.#tokenizer.decode(ids, { skipSpecialTokens: true });
  }
}
