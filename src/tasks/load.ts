import { ConfigError } from "../errors.ts";
import { arithmeticTask } from "./arithmetic.ts";
import { evaluationTask, mathTask } from "./math.ts";
import type { DataHost } from "./rows.ts";
import type { Task, TaskFactory, TaskOptions } from "./task.ts";

const TASKS: Record<string, TaskFactory> = {
  arithmetic: ({ options }) => arithmeticTask(options),
  math: mathTask,
  gsm8k: evaluationTask("gsm8k"),
  math500: evaluationTask("math500"),
  aime2024: evaluationTask("aime2024"),
};

/** A task by its name, or by the path of a module whose default export is a TaskFactory. */
export async function loadTask(
  name: string,
  options: TaskOptions,
  { importModule, ...host }: DataHost & { importModule(path: string): Promise<unknown> },
): Promise<Task> {
  const known = Object.hasOwn(TASKS, name) ? TASKS[name] : undefined;
  if (known) return known(options, host);
  if (!/[./]/.test(name) || /^[a-z][\w+.-]+:/i.test(name))
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
  return (module.default as TaskFactory)(options, host);
}
