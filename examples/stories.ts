/**
 * A task for a model that tells children's stories, such as stories260k: `Once upon a time, there was a little girl named
 * X.` A story passes when it names its hero at least twice: once in the prompt, and again on its own account. That it ends
 * by itself within the token limit is the trainer's rule (finish reason "stop").
 *
 *   pith train configs/stories.toml --model.path path/to/stories260k
 */
import type { Problem, Task, TaskFactory } from "../src/tasks/task.ts";

const NAMES = {
  girl: "Lily Mia Anna Sue Lucy Emma Sara Jane Amy Molly Daisy Lola Zoe Kate Ella Bella Mary Rose Nina Lisa",
  boy: "Tim Tom Ben Max Sam Jack Billy Bob Joe Timmy Tommy Jimmy Fred Mike Leo Dan Spot John Peter Alex",
};

/** Every fourth name is held out. */
const HELD_OUT_EVERY = 4;

function problems(heldOut: boolean): Problem[] {
  return Object.entries(NAMES).flatMap(([child, names]) =>
    names
      .split(" ")
      .filter((_, i) => (i % HELD_OUT_EVERY === 0) === heldOut)
      .map((name) => ({
        id: `${child} ${name}`,
        prompt: `Once upon a time, there was a little ${child} named ${name}.`,
        answer: name,
        difficulty: child,
      })),
  );
}

const timesNamed = (story: string, name: string): number => story.split(new RegExp(`\\b${name}\\b`)).length - 1;

const stories: TaskFactory = (): Task => ({
  name: "stories",
  train: problems(false),
  test: problems(true),
  // The tokenizer would put the BOS token in front by itself; a rendered prompt spells its special tokens out.
  render: (problem) => `<s>${problem.prompt}`,
  judge(problem, response) {
    const times = timesNamed(problem.prompt + response, problem.answer);
    const correct = times >= 2;
    return {
      correct,
      extracted: String(times),
      gold: "2",
      reason: correct ? "names its hero again" : "does not name its hero again",
    };
  },
});

export default stories;
