import { randomBytes, randomInt } from "node:crypto";

const adjectives = ["amber", "bold", "brave", "bright", "calm", "clever", "cosmic", "crisp", "eager", "fair", "gentle", "golden", "happy", "keen", "kind", "lively", "lucky", "mellow", "noble", "proud", "quick", "quiet", "rapid", "shiny", "silver", "steady", "sunny", "swift", "tidy", "vivid", "warm", "wise"];
const animals = ["badger", "bear", "beaver", "crane", "deer", "dolphin", "eagle", "falcon", "ferret", "finch", "fox", "gecko", "hare", "heron", "jay", "koala", "lark", "lemur", "lynx", "marten", "moose", "newt", "otter", "owl", "panda", "puffin", "raven", "robin", "seal", "stork", "tiger", "wren"];

const pick = (words: string[]) => words[randomInt(words.length)];

/** A name for people, such as `brave-otter-3f2a`. Not unique; ids are. */
export const generateName = (): string => `${pick(adjectives)}-${pick(animals)}-${randomBytes(2).toString("hex")}`;
