/** A DNS server of a test: argv is its address and a JSON object of names to lists of `[type, data, ttl]`; prints each name it is asked for. */
import { createSocket } from "node:dgram";
import { type Answer, decode, encode } from "dns-packet";

const [address = "", table = "{}"] = process.argv.slice(2);
const known = JSON.parse(table) as Record<string, [string, string, number][]>;
const socket = createSocket("udp4");
socket.on("message", (message, from) => {
  const { id, questions = [] } = decode(message);
  const name = questions[0]?.name ?? "";
  console.log(`asked ${name}`);
  const answers = (known[name] ?? []).map(([type, data, ttl], at, all) => {
    const owner = at > 0 && all[at - 1]?.[0] === "CNAME" ? (all[at - 1]?.[1] as string) : name;
    return { type, name: owner, data, ttl } as Answer;
  });
  const flags = 0x180 | (answers.length > 0 ? 0 : 3);
  socket.send(encode({ type: "response", id, flags, questions, answers }), from.port, from.address);
});
socket.bind(53, address, () => console.log("ready"));
