import { z } from "zod";

/** Whole numbers from `least` on. */
export const count = (least = 1) => z.int().min(least);
export const positive = () => z.number().positive();
export const fraction = () => z.number().min(0).max(1);
