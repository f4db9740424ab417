/** Mathematics written in Unicode, as LaTeX. */

/** Signs and what they are in LaTeX. A command is followed by a space, so that no letter behind it becomes part of it. */
const SIGNS: Readonly<Record<string, string>> = Object.fromEntries(
  (
    [
      ["−–—‒―‐‑﹣⁻", "-"],
      ["×✕✖⨯", "\\times "],
      ["·⋅∙•‧", "\\cdot "],
      ["÷➗", "\\div "],
      ["∗✱", "*"],
      ["∕⁄⧸", "/"],
      ["∶", ":"],
      ["±", "\\pm "],
      ["∓", "\\mp "],
      ["√", "\\sqrt "],
      ["∛", "\\sqrt[3]"],
      ["∜", "\\sqrt[4]"],
      ["∞", "\\infty "],
      ["≤≦⩽", "\\le "],
      ["≥≧⩾", "\\ge "],
      ["≠", "\\ne "],
      ["≈≃≅≐", "\\approx "],
      ["≡", "\\equiv "],
      ["∪", "\\cup "],
      ["∩", "\\cap "],
      ["∖", "\\setminus "],
      ["∈∊", "\\in "],
      ["∉", "\\notin "],
      ["∅⌀", "\\emptyset "],
      ["⊂", "\\subset "],
      ["⊆", "\\subseteq "],
      ["∑", "\\sum "],
      ["∏", "\\prod "],
      ["∫", "\\int "],
      ["∂", "\\partial "],
      ["→⟶", "\\to "],
      ["⇒⟹", "\\Rightarrow "],
      ["⟨〈", "\\langle "],
      ["⟩〉", "\\rangle "],
      ["⌊", "\\lfloor "],
      ["⌋", "\\rfloor "],
      ["⌈", "\\lceil "],
      ["⌉", "\\rceil "],
      ["∣", "|"],
      ["∥‖", "\\|"],
      ["∨", "\\lor "],
      ["∧", "\\land "],
      ["⋯", "\\ldots "],
      ["°º˚", "^\\circ "],
      ["′", "'"],
      ["、", ","],
      ["。", "."],
      ["∠", "\\angle "],
      ["△", "\\triangle "],
      ["∀", "\\forall "],
      ["∃", "\\exists "],
    ] as const
  ).flatMap(([signs, latex]) => Array.from(signs, (sign) => [sign, latex])),
);

/** Letters in order from U+0391 and U+03B1; the second sigma ends words. */
const GREEK =
  "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho varsigma sigma tau upsilon phi chi psi omega".split(
    " ",
  );
/** Capitals that LaTeX writes as Latin letters. */
const LATIN: Readonly<Record<string, string>> = {
  alpha: "A",
  beta: "B",
  epsilon: "E",
  zeta: "Z",
  eta: "H",
  iota: "I",
  kappa: "K",
  mu: "M",
  nu: "N",
  omicron: "O",
  rho: "P",
  tau: "T",
  chi: "X",
};

function greek(letter: string): string {
  const code = letter.codePointAt(0)!;
  const capital = code < 0x3b1;
  const name = GREEK[code - (capital ? 0x391 : 0x3b1)]!;
  if (name === "omicron" && !capital) return "o";
  if (capital) return LATIN[name] ?? `\\${name[0]!.toUpperCase()}${name.slice(1)} `;
  return `\\${name} `;
}

const SETS: Readonly<Record<string, string>> = { ℝ: "R", ℤ: "Z", ℕ: "N", ℚ: "Q", ℂ: "C" };

/** Characters that only direct or join, and a byte order mark. */
const INVISIBLE = /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff]/g;
const HIGH = /[⁰¹²³⁴-⁹⁺⁻⁼⁽⁾ⁿⁱ]+/g;
const LOW = /[₀-₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ]+/g;
/** One half and its like, whose compatible form has a fraction slash. */
const FRACTION = /[¼-¾⅐-⅞↉]/g;

const ascii = (text: string): string => text.normalize("NFKC").replaceAll("\u2212", "-");

/**
 * The same text with LaTeX for Unicode's mathematical signs, letters, raised and lowered digits and fractions, and ASCII for full
 * width and mathematical forms. White space of all kinds becomes a space, but for line ends.
 */
export function latexOf(text: string): string {
  if (/^[ -~\n]*$/.test(text)) return text;
  return asciiDigits(text)
    .replaceAll(INVISIBLE, "")
    .replaceAll(/[^\S\n]/g, " ")
    .replaceAll(HIGH, (run) => `^{${ascii(run)}}`)
    .replaceAll(LOW, (run) => `_{${ascii(run)}}`)
    .replaceAll(FRACTION, (sign) => {
      const [over, under] = sign.normalize("NFKC").split("\u2044");
      return `\\frac{${over}}{${under}}`;
    })
    .replaceAll(/[ℝℤℕℚℂ]/g, (set) => `\\mathbb{${SETS[set]!}}`)
    .replaceAll(/\P{ASCII}/gu, (sign) => SIGNS[sign] ?? sign.normalize("NFKC"))
    .replaceAll(/\P{ASCII}/gu, (sign) => SIGNS[sign] ?? sign)
    .replaceAll(/[Α-ΡΣ-Ωα-ω]/gu, greek)
    .replaceAll("ϕ", "\\phi ")
    .replaceAll("ϵ", "\\epsilon ");
}

/** Decimal digits of any script as 0 to 9. */
export function asciiDigits(text: string): string {
  return text.replaceAll(/\p{Nd}/gu, (digit) => {
    const code = digit.codePointAt(0)!;
    // Unicode keeps each script's ten in a row; five rows of mathematical ones follow each other.
    if (code >= 0x1d7ce && code <= 0x1d7ff) return String((code - 0x1d7ce) % 10);
    let zero = code;
    while (code - zero < 9 && /\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--;
    return String(code - zero);
  });
}
