import { ConfigError } from "../errors.ts";
import type { Files } from "../runtime/types.ts";
import { arithmeticTask } from "./arithmetic.ts";
import { mathTask } from "./math.ts";
import type { Task, TaskFactory, TaskOptions } from "./task.ts";

const TASKS: Record<string, TaskFactory> = {
  arithmetic: ({ options }) => arithmeticTask(options),
  math: mathTask,
};

/** A task by its name, or by the path of a module whose default export is a TaskFactory. */
export async function loadTask(
  name: string,
  options: TaskOptions,
  { files, importModule }: { files: Files; importModule(path: string): Promise<unknown> },
): Promise<Task> {
  const known = Object.hasOwn(TASKS, name) ? TASKS[name] : undefined;
  if (known) return known(options, { files });
  if (!/[./]/.test(name))
    throw new ConfigError(
      `task.name: expected ${Object.keys(TASKS).join(", ")} or a module's path such as ./task.ts, got ${name}`,
    );
  let module: { default?: unknown };
  try {
    module = (await importModule(name)) as { default?: unknown };
  } catch (error) {
    throw new ConfigError(`task.name: cannot load ${name}: ${(error as Error).message}`, { cause: error });
  }
  if (typeof module.default !== "function")
    throw new ConfigError(`${name}: expected its default export to be a function that makes a task`);
  return (module.default as TaskFactory)(options, { files });
}
