/**
 * Colours of series in light and dark, and when a reading is seen. The host sets --ink, --faint, --rule and --page.
 * Each colour has a contrast of at least 4.5 to 1 with the page.
 */
export const CHART_STYLE = `
:root {
  --s0: light-dark(#b34a06, #f5a35b); --s1: light-dark(#0b5cad, #6cb0ff); --s2: light-dark(#0f6e66, #5cc7bb);
  --s3: light-dark(#9c2462, #ff8fc0); --s4: light-dark(#5b3fb8, #b7a1ff); --s5: light-dark(#5a5446, #b9b09d); --ghost: light-dark(#c4bcab, #5d5548);
}
.chart { margin: 0; min-width: 0; } .drawing { display: block; width: 100%; height: auto; color: var(--ink); overflow: visible; }
.drawing text { white-space: pre; }
.reading .read-out { visibility: hidden; } .reading:hover .read-out, .reading.read .read-out { visibility: visible; }
.plot:hover .reading.read:not(:hover) .read-out { visibility: hidden; }
`;
