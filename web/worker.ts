import { expose } from "comlink";
import { Engine } from "./session/engine.ts";

expose(new Engine());
