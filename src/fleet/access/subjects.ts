/** Where guests ask, and where they are answered. A guest's id is its public key. */
export const GATE = "gate";
export const GUEST = "guest";
