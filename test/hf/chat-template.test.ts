import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { ChatTemplate } from "../../src/hf/chat-template.ts";

const messages = [{ role: "user", content: "hi" }];
const rendered = (source: string, variables = {}) => new ChatTemplate(source).render(messages, variables);

/** As jinja2 prints them. */
test.each([
  ["{{ true }} {{ false }} {{ none }}", "True False None"],
  ["{{ 1 == 1 }}{% if true %}{{ messages[0].role == 'system' }}{% endif %}", "TrueFalse"],
  ["{% for m in messages %}{{ loop.first }}{% else %}{{ true }}{% endfor %}", "True"],
  ["{% set x = true %}{% if x == true %}[{{ x }}]{% endif %}", "[True]"],
  ["{{ [true, 1][1] }}{{ ('a' if true else 'b') }}", "1a"],
  ["{% macro f(x) %}{{ x }}{% endmacro %}{{ f(false) }}", "False"],
  ["{% for i in range(2) %}{{ i }}{% endfor %}{% for i in range(5, 1, -2) %}{{ i }}{% endfor %}", "0153"],
  ["{{ missing }}{{ 7 % 4 }}", "3"],
  ["{# {% break %} #}{{ '{% continue %}' }}", "{% continue %}"],
])("%s is %s", (source, text) => {
  expect(rendered(source)).toBe(text);
});

test("the date is English whatever the host speaks", () => {
  expect(rendered("{{ strftime_now('%d %b %Y %Q%%') }}")).toMatch(/^\d\d [A-Z][a-z]{2} \d{4} %Q%$/);
});

describe("what does not end, or would be rendered wrong, is a FormatError", () => {
  test.each([
    ["loops", "{% for a in range(4000) %}{% for b in range(4000) %}{{ b }}{% endfor %}{% endfor %}", /100000 steps/],
    ["a range", "{% for a in range(1000000000000) %}{% endfor %}", /a range of at most 1048576 numbers/],
    ["a range of no step", "{% for a in range(0, 5, 0) %}{% endfor %}", /a range of at most/],
    [
      "a text that doubles",
      "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
      /at most 1048576 elements/,
    ],
    [
      "a list that doubles",
      "{% set n = namespace(s=[1]) %}{% for i in range(60) %}{% set n.s = n.s + n.s %}{% endfor %}",
      /at most 1048576 elements/,
    ],
    ["recursion", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", /chat template cannot be rendered/],
    ["formatting", "{{ '%s' % 5 }}", /chat template cannot be rendered/],
    ["break", "{% for m in messages %}a{%- break -%}{% endfor %}", /no statement break/],
    ["raise_exception", "{{ raise_exception('roles must alternate') }}", /roles must alternate/],
    ["syntax", "{% for %}", /chat template cannot be rendered/],
  ])("%s", (_, source, message) => {
    expect(() => rendered(source)).toThrow(message);
    expect(() => rendered(source)).toThrow(FormatError);
  });
});

test("what a rendering sets, of the globals too, is gone in the next one", () => {
  const template = new ChatTemplate(
    "{% for i in range(2) %}{{ i }}{% endfor %}{{ seen }}{% set range = 1 %}{% set true = 2 %}{% set seen = 3 %}{{ true }}",
  );
  expect([1, 2].map(() => template.render(messages, {}))).toEqual(["012", "012"]);
});
