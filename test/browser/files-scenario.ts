import type { Files } from "../../src/runtime/types.ts";

/** Everything that a checkpoint needs of a file system; what came out, for one host to be compared with another. */
export async function filesScenario(files: Files, dir: string): Promise<unknown[]> {
  const seen: unknown[] = [];
  const failure = async (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => "no error",
      (error: Error) => error.name,
    );
  await files.mkdir(`${dir}/runs/a`);
  await files.write(`${dir}/runs/a/text.txt`, "héllo");
  seen.push(await files.readText(`${dir}/runs/a/text.txt`), await files.size(`${dir}/runs/a/text.txt`));
  await files.write(
    `${dir}/runs/a/bytes.bin`,
    (async function* () {
      yield Uint8Array.of(1, 2, 3);
      yield Uint8Array.of(4, 5);
    })(),
  );
  seen.push(
    [...(await files.read(`${dir}/runs/a/bytes.bin`))],
    [...(await files.readRange(`${dir}/runs/a/bytes.bin`, 1, 4))],
  );
  seen.push(await failure(files.readRange(`${dir}/runs/a/bytes.bin`, 3, 9)));
  await files.write(`${dir}/runs/a/bytes.bin`, Uint8Array.of(9));
  seen.push(await files.size(`${dir}/runs/a/bytes.bin`));
  await files.append(`${dir}/runs/a/log.txt`, "one\n");
  await files.append(`${dir}/runs/a/log.txt`, "two\n");
  await files.truncate(`${dir}/runs/a/log.txt`, 4);
  seen.push(await files.readText(`${dir}/runs/a/log.txt`));
  seen.push(await files.list(`${dir}/runs/a`), await files.list(`${dir}/runs`));
  await files.rename(`${dir}/runs/a`, `${dir}/runs/b`);
  seen.push(
    await files.exists(`${dir}/runs/a`),
    await files.list(`${dir}/runs/b`),
    await files.exists(`${dir}/runs/b/log.txt`),
  );
  seen.push(await files.readText(`${dir}/runs/b/text.txt`));
  seen.push(await failure(files.read(`${dir}/runs/a/text.txt`)), await failure(files.read(`${dir}/none.txt`)));
  await files.remove(`${dir}/runs/b`);
  await files.remove(`${dir}/runs/b`);
  seen.push(await files.exists(`${dir}/runs/b/text.txt`));
  return seen;
}
