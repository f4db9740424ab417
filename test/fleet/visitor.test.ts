import type { JsMsg } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import type { Task } from "../../src/fleet/messages.ts";
import { Visitor } from "../../src/fleet/gate/visitor.ts";

/** A task as the server delivered it, and what it is told about it. */
function delivered() {
  const told: string[] = [];
  const tell = (word: string) => () => void told.push(word);
  const message = { working: tell("working"), nak: tell("nak"), term: tell("term") } as unknown as JsMsg;
  return { message, told };
}

const taskOf = (promptId: number) => ({ draw: "d", promptId, firstSample: 0 }) as Task;

test("a guest holds two tasks at most, and each is kept while it is heard of, for two minutes", () => {
  const back: JsMsg[] = [];
  const visitor = new Visitor("U", 0, (message) => back.push(message));
  const [first, second] = [delivered(), delivered()];
  for (const [i, { message }] of [first, second].entries()) {
    expect(visitor.ask()).toBe("");
    visitor.hold(taskOf(i), message, 0);
    visitor.endAsk();
  }
  expect(visitor.ask()).toBe("this tab has 2 tasks already");
  for (let now = 0; now < 119_000; now += 10_000) {
    visitor.hear(now);
    visitor.beat(now);
  }
  expect([back, first.told.every((word) => word === "working"), first.told.length]).toEqual([[], true, 12]);
  expect(visitor.release(taskOf(1))?.message).toBe(second.message);
  expect(visitor.release(taskOf(1))).toBe(null);
  visitor.hear(121_000);
  visitor.beat(121_000);
  expect([back, visitor.tasks]).toEqual([[first.message], 0]);
});

test("a guest that is silent, or late three times in a row, loses its tasks and gets no more", () => {
  const back: JsMsg[] = [];
  const visitor = new Visitor("U", 0, (message) => back.push(message));
  for (let late = 0; late < 3; late++) {
    expect(visitor.ask()).toBe("");
    visitor.hold(taskOf(late), delivered().message, 0);
    visitor.endAsk();
    visitor.beat(20_000);
    expect(back).toHaveLength(late + 1);
  }
  expect(visitor.ask()).toMatch(/took longer than 120 s for 3 tasks in a row/);
});

test("what nobody wants any more is not handed out again", () => {
  const back: JsMsg[] = [];
  const visitor = new Visitor("U", 0, (message) => back.push(message));
  const past = delivered();
  visitor.hold(taskOf(0), past.message, 0);
  visitor.drop({ past: true });
  const left = delivered();
  visitor.hold(taskOf(0), left.message, 0);
  visitor.drop({ past: false });
  expect([back, past.told]).toEqual([[left.message], ["term"]]);
});

test("messages beyond fifty a second are not heard", () => {
  const visitor = new Visitor("U", 0, () => {});
  const heard = (now: number) => Array.from({ length: 60 }, () => visitor.hear(now)).filter(Boolean).length;
  expect([heard(1000), heard(1500), heard(2000)]).toEqual([50, 0, 50]);
});
