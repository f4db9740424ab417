/** Every English word of the page that lends a tab. */
export const words = {
  title: "Lend this tab",
  lead: "Somebody trains a language model and asked you to help. While this tab lends its GPU it draws responses to the run’s prompts; the trainer draws each of them again before it counts.",
  sees: "This tab can see the model’s weights and the prompts of the tasks that it takes, as token numbers. It sees no answers, no rewards, and nothing of what other tabs do; the trainer’s side sees its tokens, and how fast they come.",
  closing: "Close the tab whenever you like: what it has not finished is drawn elsewhere.",
  lend: "Lend this tab",
  stop: "Stop",
  uninvited:
    "This page needs a link that pith fleet invite has printed. Ask whoever trains for one; the page of its own is one level up.",
  over: "This invitation is over. Ask whoever trains for another.",
  ends: (time: string) => `The invitation holds until ${time}.`,
  opening: "Opening WebGPU…",
  joining: "Joining…",
  stopped: "Stopped. Nothing is lost.",
  failed: (why: string) => `This does not work: ${why || "no gate answers here; it may have ended"}.`,
  refused: "This invitation is over, or was ended. Ask whoever trains for another.",
  on: (adapter: string) => `on ${adapter}`,
  figures: { tokens: "Tokens", tasks: "Tasks in work", accepted: "Results accepted", refused: "Results refused" },
  number: (value: number) => value.toLocaleString("en"),
};
